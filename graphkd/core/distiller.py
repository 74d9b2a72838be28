"""The distiller: a student, its teacher and the losses between their views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen, apart, ask
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, View, Viewer


class Step(NamedTuple):
    """Result of one evaluation: the weighted sum to differentiate, and each term before its weight, detached.

    A term that selected no row of the batch (``where``) is 0 in the sum and absent from ``terms``.
    """

    loss: Tensor
    terms: dict[str, Tensor]


class Distiller(Trainable):
    """A student, its teacher and the losses between their views; ``forward(batch) -> Step(loss, terms)``.

    student: any module. teacher: a module (wrapped in ``Frozen``), a teacher, or None for supervised losses only.
    losses: a loss, a weighted sum of losses, or a mapping of names to such.
    taps: name -> path of a sub-module, one for both sides or (student path, teacher path); see ``Taps``.
    call: ``call(model, batch)`` in place of the call by name: one for both models or a pair (student's, teacher's),
    None for by name; a teacher that is not a plain module has its own, ``Frozen(model, call=...)``.
    ``parameters()`` and ``state_dict()`` are those of the student, the losses, and a teacher that changes in a run
    (``EMA``); ``.to()`` moves the teacher too. Raises ValueError where a loss needs a teacher and none is given.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | Frozen | None = None,
        losses: Loss | Mapping[str, Loss] | None = None,
        *,
        taps: Mapping[str, str | tuple[str, str]] | None = None,
        call: Call | tuple[Call | None, Call | None] | None = None,
    ) -> None:
        super().__init__()
        self.student = student
        own, others = _sides(call, teacher)
        made = Frozen(teacher, call=others) if isinstance(teacher, nn.Module) else teacher
        self.teacher = None if made is None else apart(made, student)
        self.moving = None if self.teacher is None else self.teacher.kept()
        self.names, self.weights, parts = _flatten(losses)
        self.losses = nn.ModuleList(parts)
        if self.teacher is None and any(loss.needs_teacher for loss in parts):
            needing = [name for name, loss in zip(self.names, parts, strict=True) if loss.needs_teacher]
            raise ValueError(f"losses {needing} compare with a teacher: give 'teacher', got None")
        pairs = {name: (path, path) if isinstance(path, str) else path for name, path in (taps or {}).items()}
        self._viewer = self.hold(Viewer(student, taps={name: path[0] for name, path in pairs.items()}, call=own))
        self._paths = {name: path[1] for name, path in pairs.items()}
        if self.teacher is not None:
            self.hold(self.teacher).attach(self._paths)

    def forward(self, batch: Batch) -> Step:
        """Compare both views of one batch by every loss."""
        view = self._viewer(batch)
        taught = None if self.teacher is None else ask(self.teacher, batch, self._paths)
        terms: dict[str, Tensor] = {}
        total: Any = None
        for name, weight, loss in zip(self.names, self.weights, self.losses, strict=True):
            assert isinstance(loss, Loss)
            digest = None
            if loss.needs_teacher and self.teacher is not None and taught is not None:
                _check_rows(name, loss, view, taught)
                digest = self.teacher.digest(loss, taught, batch)
            value = loss.measure(view, digest, batch)
            part = _zero(loss, view) if value is None else value if weight == 1 else weight * value
            if value is not None:
                terms[name] = value.detach()
                self.note({name: part})
            total = part if total is None else total + part
        return Step(total, terms)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Pass the epoch on to the losses and the teacher."""
        for loss in self.losses:
            assert isinstance(loss, Loss)
            loss.set_epoch(epoch, epochs)
        if self.teacher is not None:
            self.teacher.set_epoch(epoch, epochs)


def _sides(call: Any, teacher: Any) -> tuple[Call | None, Call | None]:
    """Return the calls of student and teacher; ValueError for a second one of a teacher that has its own."""
    if not isinstance(call, (tuple, list)):
        pair = (call, call if isinstance(teacher, nn.Module) else None)
    elif len(call) == 2:
        pair = (call[0], call[1])
    else:
        raise ValueError(f"'call' must be one for student and teacher, or a pair of them, got {len(call)}")
    wrong = [each for each in pair if each is not None and not callable(each)]
    if wrong:
        raise TypeError(f"'call' must be call(model, batch), or a pair of such, got {type(wrong[0]).__name__}")
    if pair[1] is not None and not isinstance(teacher, nn.Module):
        kind = "there is no teacher" if teacher is None else f"the teacher, {type(teacher).__name__}, brings its own"
        raise ValueError(
            f"'call' says how a teacher is called, but {kind}: give call=(student_call, None), and "
            "Frozen(teacher, call=...) as teacher where that should be called in another way"
        )
    return pair


def _zero(loss: Loss, view: View) -> Any:
    """Return a differentiable 0 for a loss with every row masked: DDP waits for a gradient of all that a loss reads."""
    read = [view[name] for name in ((loss.on,) if isinstance(loss.on, str) else loss.on)]
    return sum(tensor.sum() for tensor in (*read, *loss.parameters())) * 0


def _check_rows(name: str, loss: Loss, student: View, teacher: View) -> None:
    """Raise ValueError where student and teacher differ in rows, which a loss cannot see in the teacher's digest."""
    for entry in (loss.on,) if isinstance(loss.on, str) else loss.on:
        if entry in student and entry in teacher:
            rows = [view[entry].size(0) if view[entry].dim() else 1 for view in (student, teacher)]
            if rows[0] != rows[1]:
                raise ValueError(
                    f"{name!r}: the teacher's {entry!r} must have the student's {rows[0]} rows, got {rows[1]}"
                )


def _flatten(losses: Loss | Mapping[str, Loss] | None) -> tuple[list[str], list[float], list[Loss]]:
    """List names, weights and losses of all terms; parts of a sum are named after their classes."""
    if losses is None or (isinstance(losses, Mapping) and not losses):
        raise ValueError("'losses' must hold at least one loss, got none")
    named = losses if isinstance(losses, Mapping) else {"": losses}
    terms: dict[str, tuple[float, Loss]] = {}
    for key, loss in named.items():
        if not isinstance(loss, Loss):
            raise TypeError(f"'losses' must hold Loss objects, got {type(loss).__name__} for {key!r}")
        parts = list(loss.parts())
        for weight, part in parts:
            kind = type(part).__name__.lower()
            name = key if key and len(parts) == 1 else f"{key}.{kind}" if key else kind
            repeats = sum(other.partition("#")[0] == name for other in terms)
            terms[f"{name}#{repeats + 1}" if repeats else name] = (weight, part)
    return list(terms), [weight for weight, _ in terms.values()], [loss for _, loss in terms.values()]
