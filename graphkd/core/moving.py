"""Teachers that follow a student: the moving average of its weights, and snapshots of earlier epochs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphkd.core.hyperparameters import finite_number
from graphkd.core.lazy import lacks_shapes
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, View


class _Copy(nn.Module):
    """Copy of a model whose weights are buffers, in its state but not trainable, with the number of its updates."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if lacks_shapes(model):
            raise ValueError(
                "'student' must know its widths before it is followed, it has lazy layers: call the model once"
            )
        self.model = copy.deepcopy(model)
        self.averaged = [name for name, _ in model.named_parameters(remove_duplicate=False)]
        for module in self.model.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None:
                    del module._parameters[name]
                    module.register_buffer(name, parameter.detach())
        self.renewals = 0
        self.eval()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002 - an average is never trained
        """Stay in eval mode, whatever mode the module around it enters."""
        return super().train(False)

    def get_extra_state(self) -> int:
        return self.renewals

    def set_extra_state(self, state: int) -> None:
        self.renewals = state

    @torch.no_grad()
    def mix(self, student: nn.Module, keep: float) -> None:
        """Set the weights to keep w + (1 - keep) w_student, and other tensors of the state to the student's."""
        fresh = student.state_dict()
        for name, kept in self.model.state_dict().items():
            if not isinstance(kept, Tensor):
                continue
            new = fresh[name].to(kept)
            kept.copy_(torch.lerp(new, kept, keep) if keep > 0 and name in self.averaged else new)


class Follower(Frozen):
    """A frozen copy of a student, updated from it; part of the Distiller's state, so that a run resumes exactly."""

    def __init__(self, student: nn.Module, *, call: Call | None = None) -> None:
        if not isinstance(student, nn.Module):
            raise TypeError(f"'student' must be an nn.Module, got {type(student).__name__}")
        self.student, self._copy = student, _Copy(student)
        super().__init__(self._copy.model, call=call)

    def still(self) -> Frozen:
        """Make a frozen teacher of the current state, with its own parameters, which no longer follows the student."""
        model = copy.deepcopy(self.student)
        model.load_state_dict(self.model.state_dict())
        return Frozen(model.eval(), call=self.call)

    def kept(self) -> nn.Module:
        """Return the copy: the weights, as buffers, and the number of updates."""
        return self._copy

    def apply_to_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Move or cast the copy."""
        self._copy._apply(function)  # type: ignore[no-untyped-call]


class EMA(Follower):
    """The moving average of a student's weights, w' <- a w' + (1 - a) w, a = min(1 - 1 / (t + 1), ``decay``).

    Mean Teacher of Tarvainen and Valpola, NeurIPS 2017, arXiv:1703.01780. Choose it where there is no trained teacher
    and most rows have no label: ``Distiller(student, EMA(student), CE(where="train_mask") + 10 * Consistency())``.
    The average is updated each time its view is computed while the student trains, that is before every step, from the
    weights after the previous step; t counts the updates, and at t = 0 the average is the student. Call ``update()``
    only after the last step, if the average itself (``.model``) is wanted. ``decay=1`` is the plain mean of all weights
    so far. Views are computed in eval mode; the authors run their average with dropout and its own batch statistics.
    Buffers, batch norm's among them, are the student's latest. Raises ValueError for a student with lazy layers.
    Costs a copy of the student and, per step, a forward pass and O(weights).
    """

    def __init__(self, student: nn.Module, decay: float = 0.999, *, call: Call | None = None) -> None:
        if not 0 <= finite_number("decay", decay) <= 1:
            raise ValueError(f"'decay' must be in [0, 1], got {decay}")
        super().__init__(student, call=call)
        self.decay = decay

    def update(self) -> None:
        """Update the average with the student's current weights."""
        self._copy.mix(self.student, min(1 - 1 / (self._copy.renewals + 1), self.decay))
        self._copy.renewals += 1

    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Return the average's view, after an update if the student is in train mode."""
        if self.student.training:
            self.update()
        return super().__call__(batch, taps)


class Snapshot(Follower):
    """Student as it was at the end of the last cycle of ``every`` epochs: it teaches itself within one training.

    Yang, Xie, Su and Yuille, "Snapshot Distillation", CVPR 2019, arXiv:1812.00123. Choose it in place of born-again
    generations where there is time for one training only; with a cyclic learning rate ``every`` is the cycle's length.
    ``fit`` calls ``set_epoch``. In the first ``every`` epochs there is no snapshot yet: the teacher is the student of
    the same step in eval mode, and the KL is 0 up to dropout. Raises ValueError for a student with lazy layers. Costs a
    copy of the student and a forward pass a step.
    """

    def __init__(self, student: nn.Module, every: int = 20, *, call: Call | None = None) -> None:
        if finite_number("every", every) < 1 or int(every) != every:
            raise ValueError(f"'every' must be at least 1 and whole, got {every}")
        super().__init__(student, call=call)
        self.every = every

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the cycle does not depend on the end
        """Take the next snapshot where a cycle has ended; called before epoch ``epoch``, from 0."""
        if epoch > 0 and epoch % self.every == 0:
            self._copy.mix(self.student, 0.0)
            self._copy.renewals += 1

    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Return the snapshot's view, before the first one the student's own."""
        if self._copy.renewals == 0 and self.student.training:
            self._copy.mix(self.student, 0.0)
        return super().__call__(batch, taps)


def kept_by(*teachers: Any) -> nn.ModuleList:
    """Collect the changing state, ``kept()``, of several teachers, to be registered in the module that uses them."""
    return nn.ModuleList(kept for teacher in teachers if (kept := teacher.kept()) is not None)
