"""Students of numbers: a teacher that is trusted as far as it was right, or not at all, and one without its data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from graphkd.core.distiller import Distiller, Step
from graphkd.core.fit import fit
from graphkd.core.teachers import Frozen, frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, names
from graphkd.losses.regression._errors import squared_errors
from graphkd.losses.regression.attentive_imitation import AttentiveHint, AttentiveImitation
from graphkd.losses.regression.disagreement import disagreement
from graphkd.losses.regression.outlier_rejection import OutlierRejection
from graphkd.schemes.augment import changed
from graphkd.schemes.meta import constant_logits, logits_with
from graphkd.schemes.multi_task import Specialists


def error_range(teacher: Frozen, data: Batch | Iterable[Batch], where: str | None = None) -> tuple[float, float]:
    """The least and the largest squared error of a teacher over a batch, or batches; of the rows ``where``."""
    found, batches = [], cast("Iterable[Batch]", data if names(data) is None else (data,))
    for batch in batches:
        logits, y = teacher(batch)["logits"], batch["y"]
        rows = slice(None) if where is None else batch[where]
        found.append(squared_errors(logits[rows], y[rows]))
    errors = torch.cat(found)
    if not errors.numel():
        raise ValueError("'data' must hold one row to learn from at least, got none")
    return float(errors.min()), float(errors.max())


def attentive_student(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    data: Batch | Iterable[Batch],
    *,
    alpha: float = 0.5,
    taps: tuple[str, str] | None = None,
    where: str | None = None,
    call: Call | None = None,
    **options: Any,
) -> nn.Module:
    """Hints, then answers, both as far as the teacher is right. Saputra et al., ICCV 2019, arXiv:1908.00858.

    Choose it for ratings and other numbers, where the teacher errs much on some rows: those teach by their label. With
    ``taps`` (paths of layers of one width in both) a first stage on ``AttentiveHint``, to its last epoch; then
    ``AttentiveImitation(alpha)``. Both know the ``error_range`` of the teacher over all of ``data``. Models show
    ``logits`` (N, k), the batch has ``y`` (N, k). where: the labelled rows; call: of the student, as in ``Distiller``.
    options go to ``fit``, in both stages.
    """
    known = frozen(teacher, call)
    bounds = error_range(known, data, where)
    if taps is not None:
        first = {**options, "metric": None, "patience": None}
        hint = AttentiveHint(error_range=bounds, where=where)
        fit(Distiller(student, known, hint, taps={"hidden": taps}, call=call), data, **first)
    return fit(
        Distiller(student, known, AttentiveImitation(alpha, error_range=bounds, where=where), call=call),
        data,
        **options,
    )


def outlier_rejecting_student(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    data: Batch | Iterable[Batch],
    *,
    threshold: float = 1.0,
    weight: float = 0.5,
    where: str | None = None,
    call: Call | None = None,
    **options: Any,
) -> nn.Module:
    """Labels that the teacher finds credible, and a second head for the teacher. Takamoto et al., MIPR 2020 (TOR).

    Choose it where labels are noisy numbers and the teacher is steadier than they are. ``student`` shows ``logits``
    and ``imitation``, (N, k) each: ``TaskHeads(model, path, {"imitation": nn.Linear(d, k)})`` does. See
    ``OutlierRejection`` for the restated loss; the second head is not needed afterwards. options go to ``fit``.
    """
    known = frozen(teacher, call)
    both = Specialists({"logits": known, "imitation": known})
    return fit(Distiller(student, both, OutlierRejection(threshold, weight, where=where), call=call), data, **options)


class FakeTurn(NamedTuple):
    """A batch whose ``x`` is not looked at, and whether the generator learns from it or the student."""

    batch: Any
    for_generator: bool


class FakeTurns:
    """A batch ``steps`` times for the student, then once for the generator: an epoch."""

    def __init__(self, data: Batch, steps: int = 10) -> None:
        self.data, self.steps = data, steps

    def __iter__(self) -> Iterator[Any]:
        for number in range(self.steps + 1):
            yield FakeTurn(changed(self.data), number == self.steps)


class DataFreeRegression(Trainable):
    """A student of a regressing teacher whose inputs are gone; ``fit`` it on ``FakeTurns``.

    Kang and Kang, ESWA 2021. A generator of inputs, noise (N, ``noise``) -> (N, d), minimises ``disagreement`` of
    student and teacher, both constant; the student f mean (t - s)^2 on such inputs, constant, plus 1 - f times that on
    standard normal ones, f falling from 1 to 0 over the epochs. Choose it where a teacher, but nothing that it was
    trained on, may be kept; of a graph the edges are still used, where the models ask for them. Models take ``x``;
    logits of a classifier are numbers too. The teacher must be differentiable in ``x``; it is in eval mode.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        generator: nn.Module,
        *,
        noise: int = 50,
        size: float = 1e-5,
        output: float = 1e-5,
    ) -> None:
        super().__init__()
        self.student, self.generator, self.noise, self.size, self.output = student, generator, noise, size, output
        self._teacher, self.share = self.hold(Frozen(teacher)), 1.0

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before every epoch."""
        self.share = 1 - epoch / epochs

    def forward(self, turn: FakeTurn) -> Step:
        """The generator's loss, or the student's."""
        batch, x = turn.batch, turn.batch["x"]
        made = self.generator(x.new_empty(x.size(0), self.noise).normal_())
        if turn.for_generator:
            s, t = (
                constant_logits(model, changed(batch, x=made)) for model in (self.student, self._teacher.model.eval())
            )
            loss = disagreement(s, t, made, size=self.size, output=self.output)
            return Step(loss, {"generator": loss.detach()})
        errors = []
        for inputs in (made.detach(), torch.randn_like(x)):
            seen = changed(batch, x=inputs)
            errors.append((logits_with(self.student, seen) - self._teacher(seen)["logits"]).square().mean())
        loss = self.share * errors[0] + (1 - self.share) * errors[1]
        return Step(loss, {"made": errors[0].detach(), "normal": errors[1].detach()})
