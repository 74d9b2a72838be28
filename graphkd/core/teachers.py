"""Teachers: anything that turns a batch into a view without being trained by the student's optimiser."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.view import Batch, Call, View, Viewer, names


class Frozen:
    """A trained model as teacher: always ``eval()`` and ``no_grad``, in nobody's ``parameters()`` or ``state_dict()``.

    ``call(model, batch)`` replaces the by-name call of the model. A view with NaN or infinite entries raises
    ValueError when the first batch is seen.
    """

    def __init__(self, model: nn.Module, *, call: Call | None = None) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"'model' must be an nn.Module, got {type(model).__name__}")
        self.model = model.eval()
        self.call = call
        self._viewer = Viewer(model, call=call)
        self._checked = False

    def attach(self, taps: Mapping[str, str]) -> None:
        """Tap hidden layers by name; the Distiller calls this."""
        self._viewer.close()
        self._viewer = Viewer(self.model, taps=taps, call=self.call)

    def close(self) -> None:
        """Remove the taps."""
        self._viewer.close()

    def apply_to_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Move or cast the teacher, as ``nn.Module.to`` does with sub-modules."""
        self.model._apply(function)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> View:
        """Show this teacher's view of a batch."""
        if self.model.training:
            self.model.eval()
        view = self._viewer(batch)
        if not self._checked:
            _check_finite(view)
            self._checked = True
        # A model may show its own parameters, which require gradients even here.
        return {name: tensor.detach() for name, tensor in view.items()} if isinstance(view, dict) else view

    @torch.no_grad()
    def digest(self, loss: Loss, view: View, batch: Batch) -> Any:
        """What ``loss`` needs of this teacher's view."""
        return loss.digest_view(view, batch)


class Cached(Frozen):
    """A frozen teacher whose view of one graph is computed once, with all that a loss derives from it alone.

    ``data`` is the whole graph; without it the first batch is taken for it. Batches with ``n_id`` (PyG's
    neighbour samplers) get those rows of the view, by node id and never by position; another batch without
    ``n_id`` raises ValueError. Wrong under random feature transforms, which a stored view cannot see: use
    ``Frozen`` there.
    """

    def __init__(self, model: nn.Module, data: Batch | None = None, *, call: Call | None = None) -> None:
        super().__init__(model, call=call)
        self.data = data
        self._view: dict[str, Tensor] | None = None
        self._known: set[tuple] = set()
        self._digests: weakref.WeakKeyDictionary[Loss, Any] = weakref.WeakKeyDictionary()

    def attach(self, taps: Mapping[str, str]) -> None:
        """Tap hidden layers by name; what was stored is computed anew."""
        super().attach(taps)
        self._forget()

    def apply_to_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Move or cast the teacher; what was stored is computed anew."""
        super().apply_to_tensors(function)
        self._forget()

    def _forget(self) -> None:
        self._view = None
        self._digests.clear()

    def __call__(self, batch: Batch) -> View:
        """Show the stored view, or its rows ``n_id``."""
        if "n_id" in batch:
            rows = batch["n_id"]
            return {name: tensor[rows.to(tensor.device)] for name, tensor in self._whole(None).items()}
        view = self._whole(batch)
        if not self._is_whole(batch):
            raise ValueError(
                f"the Cached teacher was computed on another batch than this one, which has {names(batch)}; give the "
                "batch its node ids as 'n_id', or use Frozen"
            )
        return view

    def digest(self, loss: Loss, view: View, batch: Batch) -> Any:
        """What ``loss`` needs of this teacher; on the whole graph it is computed once."""
        if "n_id" in batch:
            return super().digest(loss, view, batch)
        if loss not in self._digests:
            self._digests[loss] = super().digest(loss, view, batch)
        return self._digests[loss]

    def _whole(self, batch: Batch | None) -> dict[str, Tensor]:
        if self._view is None:
            self.data = batch if self.data is None else self.data
            if self.data is None:
                raise ValueError("a batch with 'n_id' is a part of a graph: give the whole, Cached(model, data)")
            device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
            whole = {name: _moved(self.data[name], device) for name in names(self.data) or ()}
            self._view = dict(super().__call__(whole if self.call is None else self.data))
        return self._view

    def _is_whole(self, batch: Batch) -> bool:
        """Whether a batch holds the same inputs as the graph that was stored; compared once per set of tensors."""
        if batch is self.data:
            return True
        assert self.data is not None
        pairs = [(batch[n], self.data[n]) for n in names(self.data) or () if isinstance(self.data[n], Tensor)]
        key = tuple((tensor.data_ptr(), tuple(tensor.shape)) for tensor, _ in pairs)
        if key not in self._known:
            if not all(_equal(one, other) for one, other in pairs):
                return False
            self._known.add(key)
        return True


def _equal(one: Tensor, other: Tensor) -> bool:
    same = one.data_ptr() == other.data_ptr() and one.shape == other.shape
    return same or torch.equal(one.cpu(), other.cpu())


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _check_finite(view: View) -> None:
    for name, tensor in view.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise ValueError(
                f"the teacher's {name!r} must be finite, got {bad} NaN or infinite of {tensor.numel()} entries"
            )
