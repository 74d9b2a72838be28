"""Teachers: objects that turn a batch into a view and are not trained by the student's optimiser."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from graphkd.core.by_name import Batch
from graphkd.core.loss import Loss
from graphkd.core.modes import evaluating
from graphkd.core.taps import Taps
from graphkd.core.view import Call, View, Viewer
from graphkd.core.wrappers import unwrapped

_log = logging.getLogger(__name__)
_Teacher = TypeVar("_Teacher", bound="nn.Module | Frozen")


class Frozen:
    """Trained model as teacher: always ``eval()`` and ``no_grad``, never in ``parameters()`` or ``state_dict()``.

    Its modules are in eval mode during a call and get their modes back afterwards, so that a model that is trained
    elsewhere stays in train mode. ``call(model, batch)`` replaces the call by name. NaN or infinite entries in the view
    of the first batch raise ValueError.
    """

    def __init__(self, model: nn.Module, *, call: Call | None = None) -> None:
        if isinstance(model, Frozen):
            raise TypeError(
                f"'model' must be an nn.Module, got a teacher, {type(model).__name__}: give it as it is, or its 'model'"
            )
        if not isinstance(model, nn.Module):
            raise TypeError(f"'model' must be an nn.Module, got {type(model).__name__}")
        self.model = model
        self.call = call
        self._viewer = Viewer(model, call=call)
        self._finite: set[str] = set()  # tapped paths that were found finite, "" for what the model itself shows

    def attach(self, taps: Mapping[str, str]) -> None:
        """Register hidden layers that will be requested; the Distiller calls this. ValueError for an unknown path."""
        Taps(unwrapped(self.model), taps)

    def apply_to_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Move or cast the teacher, as ``nn.Module.to`` does with sub-modules."""
        self.model._apply(function)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before epoch ``epoch`` of ``epochs``, from 0; a teacher that changes overrides it."""

    def kept(self) -> nn.Module | None:
        """Return the part of this teacher that a run changes and that belongs to its state; None for a frozen one."""
        return None

    @torch.no_grad()
    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Return this teacher's view of a batch, with the hidden layers ``taps``, name -> path, beside the model's own.

        A subclass without hidden layers may omit the parameter ``taps``, which is passed only where there are any.
        """
        with evaluating(self.model):
            view = self._viewer(batch, taps)
        self._check_finite(view, taps or {})
        # A model may show its own parameters, which require gradients even here.
        return {name: tensor.detach() for name, tensor in view.items()} if isinstance(view, dict) else view

    @torch.no_grad()
    def digest(self, loss: Loss, view: View, batch: Batch) -> Any:
        """Return what ``loss`` precomputes of this teacher's view."""
        return loss.digest_view(view, batch)

    def part_from(self, student: nn.Module) -> None:
        """Copy the model where training the student would change it, see ``apart``; subclasses do nothing."""
        if type(self) is Frozen:
            self._copy_shared(student)

    def _copy_shared(self, student: nn.Module) -> None:
        model = apart(self.model, student)
        if model is not self.model:
            self.model, self._viewer = model, Viewer(model, call=self.call)

    def _check_finite(self, view: View, taps: Mapping[str, str]) -> None:
        own = [name for name in view if name not in taps] if "" not in self._finite else []
        new = [name for name, path in taps.items() if path not in self._finite]
        for name in (*own, *new):
            _refuse_infinite(name, view[name])
        if own or new:
            self._finite |= {"", *taps.values()}


def frozen(teacher: nn.Module | Frozen, call: Call | None = None) -> Frozen:
    """Return a teacher unchanged, and a model as a teacher that is called on every batch."""
    return teacher if isinstance(teacher, Frozen) else Frozen(teacher, call=call)


def ask(teacher: Frozen, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
    """Return a teacher's view of a batch; ``taps`` are passed only if there are any, as a subclass may take none."""
    return teacher(batch, taps) if taps else teacher(batch)


def apart(teacher: _Teacher, student: nn.Module) -> _Teacher:
    """Copy a constant teacher's model where training the student would change it; return the teacher or the module.

    That is where the model shares parameters that the student trains, or a module with buffers, such as running
    statistics, which change as the student runs. The copy is of the current state, and a warning is logged. A teacher
    object is returned itself, with the copy as its model; for a module the copy is returned. Teachers that change
    (``EMA``, ``Snapshot``, a user's subclasses) are not copied.
    """
    if isinstance(teacher, Frozen):
        teacher.part_from(student)
        return teacher
    shared = _shared(teacher, student)
    if not shared:
        return teacher
    _log.warning(
        "the teacher shares %s with the student, which training would change: from now on it is a copy of its model as "
        "it is now. For a teacher that follows the student, give EMA(student, decay)",
        f"{shared[:3]} and {len(shared) - 3} more" if len(shared) > 3 else shared,
    )
    return copy.deepcopy(teacher)


def _shared(model: nn.Module, student: nn.Module) -> list[str]:
    """Name the tensors that a model shares with a student and that training would change."""
    trained = {_storage(parameter) for parameter in student.parameters() if parameter.requires_grad}
    same = set(student.modules())
    buffers = [
        f"{path}.{name}" if path else name
        for path, module in model.named_modules()
        if module in same
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    return [name for name, parameter in model.named_parameters() if _storage(parameter) in trained] + buffers


def _storage(tensor: Tensor) -> int:
    """Return a number that tensors of the same storage share while they live."""
    if is_lazy(tensor) or tensor.layout != torch.strided:
        return id(tensor)
    return tensor.untyped_storage().data_ptr() or id(tensor)


def _refuse_infinite(name: str, tensor: Tensor) -> None:
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        bad = int((~torch.isfinite(tensor)).sum())
        raise ValueError(
            f"the teacher's {name!r} must be finite, got {bad} NaN or infinite of {tensor.numel()} entries"
        )
