"""Taps: outputs of named layers of a model during one call, by hooks that are removed at its end."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_SUFFIX = r"#\d+|:in|\[[^\[\]]+\]"
_PATH = re.compile(rf"(?P<module>.*?)(?P<suffixes>(?:{_SUFFIX})*)")


def module_path(path: str) -> str:
    """Return the path of the sub-module in a tap path."""
    return str(_PATH.fullmatch(path)["module"])  # type: ignore[index]


@dataclass(frozen=True)
class _Tap:
    """One tapped layer; ``changes``: training mode or not -> whether its tensor is overwritten later in a call."""

    name: str
    path: str
    module: nn.Module
    number: int | None
    of_input: bool
    keys: tuple[str, ...]
    changes: dict[bool, bool] = field(default_factory=dict)

    def part(self, value: Any) -> Any:
        """Return the part of an output that the path names; an error, to be raised later, where there is none."""
        for key in self.keys:
            found = [part for known, part in _parts(value) if known == key]
            if not found:
                return TypeError(f"tap {self.name!r} ({self.path!r}): {_described(value)} has no part {key!r}")
            value = found[0]
        return value

    def refused(self, value: Any) -> Exception:
        """Make the error for an output that is no tensor."""
        if isinstance(value, Exception):
            return value
        parts = [f"{self.path}[{key}]" for key, part in _parts(value)]
        advice = f": name a part, {' or '.join(map(repr, parts))}" if parts else ""
        return TypeError(f"tap {self.name!r} ({self.path!r}) must see a tensor, got {_described(value)}{advice}")


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a layer's output, with the keys that name them in a path."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield ",".join(key) if isinstance(key, tuple) else str(key), part
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, part in enumerate(value):
            yield str(place), part


def _described(value: Any) -> str:
    kind = type(value).__name__
    return f"{kind} of {sum(1 for _ in _parts(value))}" if isinstance(value, (Mapping, Sequence)) else kind


class Taps:
    """Named layers of a model, ``{"hidden": "convs.0"}``; the model itself is not changed.

    ``"bn:in"`` taps a module's first input instead of its output, as it was before the module ran; ``"act#1"`` the
    second call of a module that is called several times; ``"a[0]"`` or ``"a[paper]"`` one part of an output that is not
    a tensor. A tapped tensor is what the layer returned, even if a later layer overwrites it in place. Raises
    ValueError for a wrong path at once, with the nearest ones.
    """

    def __init__(self, model: nn.Module, paths: Mapping[str, str]) -> None:
        self.model, self.paths = model, dict(paths)
        modules = dict(model.named_modules()) if paths else {}
        self._taps = [_resolved(name, path, modules, model) for name, path in paths.items()]

    def __bool__(self) -> bool:
        return bool(self.paths)

    def watch(self) -> Watch:
        """Watch one call: ``with taps.watch() as seen: model(x)``, then ``seen.take()``."""
        return Watch(self._taps, self.model.training)


class Watch:
    """Outputs of a model's tapped layers while the context is open; its hooks are removed however it ends."""

    def __init__(self, taps: Sequence[_Tap], training: bool) -> None:
        self._taps, self._training = taps, training
        self._handles: list[RemovableHandle] = []
        self._calls: dict[str, int] = {}
        self._values: dict[str, tuple[Any, Tensor | None, int | None]] = {}

    def __enter__(self) -> Self:
        try:
            for tap in self._taps:
                if tap.of_input:
                    hook = tap.module.register_forward_pre_hook(partial(self._before, tap), with_kwargs=True)
                else:
                    hook = tap.module.register_forward_hook(partial(self._after, tap))
                self._handles.append(hook)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def take(self) -> dict[str, Tensor]:
        """Return the tapped tensors; ValueError for a tap without exactly one call, TypeError for another output."""
        return {tap.name: self._taken(tap) for tap in self._taps}

    def _before(self, tap: _Tap, _: nn.Module, inputs: tuple, named: dict[str, Any]) -> None:
        self._note(tap, lambda: inputs[0] if inputs else next(iter(named.values()), None))

    def _after(self, tap: _Tap, _: nn.Module, _inputs: tuple, output: Any) -> None:
        self._note(tap, lambda: output)

    def _note(self, tap: _Tap, shown: Callable[[], Any]) -> None:
        seen = self._calls.get(tap.name, 0)
        self._calls[tap.name] = seen + 1
        if tap.number not in (None, seen):
            return
        value, copy, version = tap.part(shown()), None, None
        if isinstance(value, Tensor):
            if tap.changes.get(self._training, True) or torch.compiler.is_compiling():
                copy = value.clone()
            version = _version(value)
        self._values[tap.name] = value, copy, version

    def _taken(self, tap: _Tap) -> Tensor:
        self._check_calls(tap)
        value, copy, version = self._values[tap.name]
        if not isinstance(value, Tensor):
            raise tap.refused(value)
        if torch.compiler.is_compiling() and copy is not None:
            return copy
        moved = version is None or version != _version(value)
        tap.changes[self._training] = moved or tap.changes.get(self._training, False)
        if not moved:
            return value
        if copy is None:
            raise ValueError(
                f"tap {tap.name!r} ({tap.path!r}) saw a tensor that was written to in this call, and in none before: "
                "ask for this batch again, of which a copy is kept from now on, or tap another layer"
            )
        return copy

    def _check_calls(self, tap: _Tap) -> None:
        calls = self._calls.get(tap.name, 0)
        if tap.name not in self._values:
            raise ValueError(
                f"tap {tap.name!r} ({tap.path!r}) saw no call ({calls} in all): the module was bypassed with "
                ".forward(), or this batch took another way; tap a layer that is always called"
            )
        if calls > 1 and tap.number is None:
            raise ValueError(
                f"tap {tap.name!r} ({tap.path!r}) saw {calls} calls; choose one, the first as '{tap.path}#0'"
            )


def _version(value: Tensor) -> int | None:
    """Return how often a tensor was written to; None where torch does not count."""
    return None if torch.compiler.is_compiling() or value.is_inference() else value._version


def _resolved(name: str, path: str, modules: Mapping[str, nn.Module], model: nn.Module) -> _Tap:
    found = _PATH.fullmatch(path)
    assert found is not None
    module, suffixes = (path, "") if path in modules else (found["module"], found["suffixes"])
    each = re.findall(_SUFFIX, suffixes)
    numbers = [int(suffix[1:]) for suffix in each if suffix[0] == "#"]
    inputs, keys = each.count(":in"), tuple(suffix[1:-1].strip() for suffix in each if suffix[0] == "[")
    if module not in modules:
        if re.search(r"[#:\[\]]", module):
            raise ValueError(
                f"a tap is 'path', 'path:in' or 'path#number', and of a part 'path[0]' or 'path[name]', got {path!r}"
            )
        near = difflib.get_close_matches(module, modules, n=3, cutoff=0.3) or list(modules)[1:6]
        raise ValueError(f"tap {name!r}: {type(model).__name__} has no sub-module {module!r}; near: {near}")
    if len(numbers) > 1 or inputs > 1:
        raise ValueError(f"a tap has one '#number' and one ':in' at most, got {path!r}")
    return _Tap(name, path, modules[module], numbers[0] if numbers else None, bool(inputs), keys)
