"""Views: the named tensors that one model shows for one batch, hidden layers included."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

View = Mapping[str, Tensor]
Call = Callable[[nn.Module, Any], Any]


@runtime_checkable
class Batch(Protocol):
    """Anything with ``batch["x"]`` and ``"x" in batch``: a dict, PyG ``Data``, RecBole ``Interaction``."""

    def __getitem__(self, name: str) -> Any: ...

    def __contains__(self, name: object) -> bool: ...


def names(batch: Any) -> list[str] | None:
    """The names a batch holds, or None where ``batch`` is no batch (a list or a loader of batches, say)."""
    if isinstance(batch, Mapping) or callable(getattr(batch, "keys", None)):
        return [str(name) for name in batch.keys()]  # noqa: SIM118 - iterating PyG Data gives pairs
    columns = getattr(batch, "columns", None)  # RecBole's Interaction
    return None if columns is None else [str(name) for name in columns]


def required(function: Callable) -> tuple[str, ...]:
    """The names of a function's parameters without a default."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind in kinds and p.default is p.empty)


def fill(wanted: Iterable[str], batch: Batch, asker: str) -> dict[str, Any]:
    """Look the wanted names up in a batch; KeyError that lists what the batch has where one is missing."""
    missing = [name for name in wanted if name not in batch]
    if missing:
        raise KeyError(f"{asker} needs {missing} from the batch, which has {names(batch)}")
    return {name: batch[name] for name in wanted}


class Viewer:
    """Turns a model and a batch into a view: calls the model, names its output, adds the tapped layers.

    ``forward``'s parameters without a default are filled from the batch by name; ``call(model, batch)`` overrides
    that. A tensor becomes ``{"logits": tensor}``, a mapping is the view itself, anything else asks for ``call``.
    """

    def __init__(self, model: nn.Module, *, taps: Mapping[str, str] | None = None, call: Call | None = None) -> None:
        self.model = model
        self.call = call
        plain = getattr(model, "_orig_mod", model)  # torch.compile's wrapper hides the signature and the paths
        self._wanted = () if call else required(plain.forward)
        self._taps = Taps(plain, taps or {})

    def __call__(self, batch: Batch) -> View:
        """Call the model on a batch and name what it shows."""
        self._taps.open()
        if self.call is None:
            output = self.model(**fill(self._wanted, batch, f"{type(self.model).__name__}.forward"))
        else:
            output = self.call(self.model, batch)
        if isinstance(output, Tensor):
            view: View = {"logits": output}
        elif isinstance(output, Mapping):
            view = output  # a mapping may compute its entries when they are asked for
        else:
            raise TypeError(
                f"{type(self.model).__name__} returned {type(output).__name__}; a view needs a tensor or a mapping of "
                "tensors: give call=lambda model, batch: ..."
            )
        tapped = self._taps.take()
        if not tapped or isinstance(view, dict):
            return {**view, **tapped} if tapped else view
        return ChainMap(tapped, view)  # type: ignore[arg-type]

    def close(self) -> None:
        """Remove the hooks."""
        self._taps.close()


@dataclass
class _Store:
    """What the hooks of one model saw since it was opened. Calls by others, and those of a copy, are not recorded."""

    active: bool = False
    values: dict[str, Any] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def __deepcopy__(self, memo: dict) -> _Store:
        return _Store()

    def __reduce__(self) -> tuple:
        return _Store, ()


class Taps:
    """Forward hooks on named sub-modules, ``{"hidden": "convs.0"}``; the model itself is not changed.

    ``"bn:in"`` taps a module's first input instead of its output; ``"act#1"`` the second call of a module that is
    used several times. Paths are resolved at once: a wrong one raises and lists the near matches.
    """

    def __init__(self, model: nn.Module, paths: Mapping[str, str]) -> None:
        self._paths = dict(paths)
        self._store = _Store()
        modules = dict(model.named_modules())
        self._handles = []
        for name, path in self._paths.items():
            module, number, of_input = _parse(path)
            if module not in modules:
                near = difflib.get_close_matches(module, modules, n=3, cutoff=0.3) or list(modules)[1:6]
                raise ValueError(f"tap {name!r}: {type(model).__name__} has no sub-module {module!r}; near: {near}")
            hook = functools.partial(_record, self._store, name, number, of_input)
            self._handles.append(modules[module].register_forward_hook(hook))

    def open(self) -> None:
        """Record from now on."""
        self._store.active, self._store.values, self._store.calls = True, {}, {}

    def take(self) -> dict[str, Tensor]:
        """Stop recording and hand out what was seen; ValueError for a tap without exactly one call."""
        values, calls = self._store.values, self._store.calls
        self._store.active, self._store.values, self._store.calls = False, {}, {}
        for name, path in self._paths.items():
            if name not in values:
                raise ValueError(
                    f"tap {name!r} ({path!r}) saw no call ({calls.get(name, 0)} in all); the module was bypassed with "
                    ".forward(), or the model was compiled before the Distiller was built, or close() was called"
                )
            if calls[name] > 1 and "#" not in path:
                raise ValueError(
                    f"tap {name!r} ({path!r}) saw {calls[name]} calls; choose one, the first as '{path}#0'"
                )
            if not isinstance(values[name], Tensor):
                raise TypeError(f"tap {name!r} ({path!r}) must see a tensor, got {type(values[name]).__name__}")
        return values

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


def _parse(path: str) -> tuple[str, int | None, bool]:
    module, _, port = path.partition(":")
    module, _, number = module.partition("#")
    if port not in ("", "in") or not (number.isdigit() or number == ""):
        raise ValueError(f"a tap is 'path', 'path:in' or 'path#number', got {path!r}")
    return module, int(number) if number else None, port == "in"


def _record(
    store: _Store,
    name: str,
    number: int | None,
    of_input: bool,
    _module: nn.Module,
    inputs: tuple,
    output: Any,
) -> None:
    if not store.active:
        return
    seen = store.calls.get(name, 0)
    store.calls[name] = seen + 1
    if number is None or seen == number:
        store.values[name] = inputs[0] if of_input else output
