"""Views: the named tensors that one model computes for one batch, hidden layers included."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from graphkd.core.by_name import Batch, Inputs, entry, featureless, fill, names, required
from graphkd.core.sparse_features import sparse_features, whole
from graphkd.core.taps import Taps
from graphkd.core.wrappers import unwrapped

__all__ = ["Batch", "Call", "Taps", "View", "Viewer", "fill", "names", "required"]

View = Mapping[str, Tensor]
Call = Callable[[nn.Module, Any], Any]


class Viewer:
    """Turn a model and a batch into a view: call the model, name its outputs, add the tapped layers.

    ``forward``'s parameters are filled from the batch by name, those with a default too where the batch has them, see
    ``Inputs``; ``call(model, batch)`` replaces that. A returned tensor becomes ``{"logits": tensor}``, a mapping is the
    view itself, anything else raises TypeError. Hooks are on the model only during a call; a compiled model whose
    layers are tapped runs eagerly.
    """

    def __init__(self, model: nn.Module, *, taps: Mapping[str, str] | None = None, call: Call | None = None) -> None:
        self.model = model
        self.call = call
        plain = unwrapped(model)
        self._asker = f"{type(model).__name__}.forward"
        self._inputs = None if call else Inputs(plain.forward)
        self._taps = Taps(plain, taps or {})
        self._further: dict[tuple[tuple[str, str], ...], Taps] = {}

    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Call the model on a batch and name its outputs, further ``taps`` included."""
        watched = self._resolved(taps) if taps else self._taps
        if not watched:
            return self._named(self._ask(batch))
        eager = _is_compiled(self.model) and not torch.compiler.is_compiling()
        with torch.compiler.set_stance("force_eager") if eager else nullcontext(), watched.watch() as seen:
            view = self._named(self._ask(batch))
        tapped = {name: whole(value) for name, value in seen.take().items()}
        return {**view, **tapped} if isinstance(view, dict) else ChainMap(tapped, view)  # type: ignore[arg-type]

    def taken(self, batch: Batch) -> tuple[str, ...]:
        """Return the names of a batch's entries that the model is called with; with ``call`` all that the batch has."""
        held = names(batch) or []
        if self._inputs is None:
            return tuple(held)
        given, _ = self._inputs.of(batch, self._asker)
        used = {"adj_t" if name == "edge_index" and name not in held else name for name in given}
        return tuple(name for name in held if name in used)

    def _resolved(self, taps: Mapping[str, str]) -> Taps:
        """Resolve the model's own taps and further ones, and keep the result for the next step."""
        key = tuple(taps.items())
        if key not in self._further:
            self._further[key] = Taps(self._taps.model, {**self._taps.paths, **taps})
        return self._further[key]

    def _ask(self, batch: Batch) -> Any:
        besides: list[str] = []
        try:
            if self._inputs is None:
                return self.call(self.model, batch)  # type: ignore[misc]
            given, besides = self._inputs.of(batch, self._asker)
            if "x" in given:
                given["x"] = self._features(given["x"])
            return self.model(**given)
        except Exception as error:
            self._explain(error, batch, besides)
            raise

    def _explain(self, error: Exception, batch: Batch, besides: list[str]) -> None:
        """Note on a model's error what it was called with that may be the reason."""
        if self.call is not None:
            error.add_note(f"raised in call= of {type(self.model).__name__}; of a pair the teacher's is the second")
        elif besides:
            error.add_note(
                f"{self._asker} was given {besides}, which it takes and the batch has: "
                "give call=lambda model, batch: ... where it should be called without"
            )
        if (kind := _other_kind(self.model, batch)) is not None:
            error.add_note(
                f"'x' is {kind[0]} and the model's weights are {kind[1]}: bring them together, x.to({kind[1]})"
            )
        if types := featureless(batch):
            note = (
                f"nodes of the types {types} have edges and no 'x': give them features, for example one-hot ones, "
                f"data[{types[0]!r}].x = torch.eye(data[{types[0]!r}].num_nodes), or call= with embeddings of them"
            )
            if note not in getattr(error, "__notes__", ()):  # a task's call passes here twice
                error.add_note(note)

    def _features(self, x: Any) -> Any:
        """Return features in the form that the first layer multiplies fastest; unchanged for a compiled model."""
        found = sparse_features(x)
        return x if found is not x and _is_compiled(self.model) else found

    def _named(self, output: Any) -> View:
        if isinstance(output, Tensor):
            return {"logits": whole(output)}
        if type(output) is dict:
            return _without_buffers({name: whole(value) for name, value in output.items()}, self.model)
        if isinstance(output, Mapping):
            return output  # it may compute its entries on access
        raise TypeError(
            f"{type(self.model).__name__} returned {type(output).__name__}; a view needs a tensor or a mapping of "
            "tensors: give call=lambda model, batch: ..."
        )


def _other_kind(model: nn.Module, batch: Batch) -> tuple[torch.dtype, torch.dtype] | None:
    """Return the types of a batch's features and of a model's first weights, where they are not the same."""
    x, weight = entry(batch, "x"), next((p for p in model.parameters() if not is_lazy(p)), None)
    if not isinstance(x, Tensor) or weight is None or not x.is_floating_point() or x.dtype == weight.dtype:
        return None
    return x.dtype, weight.dtype


def _is_compiled(model: nn.Module) -> bool:
    return any("_orig_mod" in each._modules or each._compiled_call_impl is not None for each in model.modules())


def _without_buffers(view: dict[str, Tensor], model: nn.Module) -> View:
    """Copy those tensors of a view that are the model's own buffers, which the next call changes: batch norm's, say."""
    if torch.compiler.is_compiling():
        return view
    own = {buffer.data_ptr() for buffer in model.buffers() if buffer.layout == torch.strided and not is_lazy(buffer)}
    return {name: value.clone() if _is_any(value, own) else value for name, value in view.items()}


def _is_any(value: Any, addresses: set[int]) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and value.data_ptr() in addresses
