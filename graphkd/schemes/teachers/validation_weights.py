"""Weights of several teachers by what listening to each does to the risk on held-out rows (Wu et al.)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen, cached, frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, View, Viewer
from graphkd.losses.response.ce import CE
from graphkd.schemes.augment import with_ids
from graphkd.schemes.meta import logits_with, quizzed

LABELS, RISK = CE(where="train_mask"), CE(where="quiz_mask")


class ValidationWeights(Trainable):
    """A student of several teachers, weighted by what a step on them does to the validation risk; ``fit`` it.

    Wu, Zheng, Guo and Lai, "Distilled Person Re-identification", CVPR 2019. The student minimises
    L_y + sum_k w_k L_k, L_k the ``loss`` against teacher k, w = softmax(a), equal at first. At every step a pilot
    theta' = theta - rate (dL_y + sum_k w_k dL_k) is tried and forgotten; a learns from ``risk`` at theta'. As theta' is
    linear in w, dR / dw_k = -rate <dR(theta'), dL_k> exactly, from first derivatives alone: any loss will do.

    loss: a copy of it for each teacher, ``LogEuclidean()`` of a hidden layer in the paper. taps: name -> (the student's
    path, each teacher's). labels, risk: supervised losses on different rows. The pilot runs in eval mode. How the paper
    keeps w on the simplex, its rates and its pilot's optimiser are not known to us: softmax, the student's optimiser,
    gradient descent. Costs K + 2 backward passes and two forward passes of the student.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: Sequence[nn.Module | Frozen],
        loss: Loss,
        *,
        labels: Loss = LABELS,
        risk: Loss = RISK,
        rate: float = 0.1,
        taps: Mapping[str, tuple[str, Sequence[str]]] | None = None,
    ) -> None:
        super().__init__()
        if not teachers:
            raise ValueError("'teachers' must hold one at least, got none")
        self.student, self.labels, self.risk, self.rate = student, labels, risk, rate
        self.losses = nn.ModuleList(copy.deepcopy(loss) for _ in teachers)
        self.scores = nn.Parameter(torch.zeros(len(teachers)))
        self._teachers = [self.hold(frozen(teacher)) for teacher in teachers]
        paths = taps or {}
        self._viewer = self.hold(Viewer(student, taps={name: path for name, (path, _) in paths.items()}))
        for k, teacher in enumerate(self._teachers):
            teacher.attach({name: path[k] for name, (_, path) in paths.items()})

    def weights(self) -> Tensor:
        """Of each teacher, (K,); their sum is 1."""
        return self.scores.softmax(dim=0)

    def forward(self, batch: Batch) -> Step:
        """The student's loss, and the weights' own; terms ``labels``, ``risk``, and ``taught_k``, ``weight_k``."""
        view, weights = self._viewer(batch), self.weights()
        labels = _measured(self.labels, view, None, batch)
        taught = torch.stack([self._against(k, teacher, view, batch) for k, teacher in enumerate(self._teachers)])
        risk, worth = self._try(labels, taught, weights.detach(), batch)
        total = labels + (weights.detach() * taught).sum() + (weights * worth).sum() - (weights * worth).sum().detach()
        terms = {"labels": labels, "risk": risk}
        for k in range(len(self._teachers)):
            terms |= {f"taught_{k}": taught[k], f"weight_{k}": weights[k]}
        return Step(total, {name: term.detach() for name, term in terms.items()})

    def _against(self, k: int, teacher: Frozen, view: View, batch: Batch) -> Tensor:
        loss: Any = self.losses[k]
        shown, total = teacher(batch), view["logits"].new_zeros(())
        for weight, part in loss.parts():
            total = total + weight * _measured(part, view, teacher.digest(part, shown, batch), batch)
        return total

    def _try(self, labels: Tensor, taught: Tensor, weights: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The pilot's risk, and its derivative by each weight: (K,)."""
        named = {name: p for name, p in self.student.named_parameters() if p.requires_grad}
        first, *slopes = (_gradient(value, named) for value in (labels, *taught))
        pilot = {}
        for place, (name, value) in enumerate(named.items()):
            step = first[place] + sum(w * slope[place] for w, slope in zip(weights, slopes, strict=True))
            pilot[name] = (value.detach() - self.rate * step).requires_grad_()
        training = self.student.training
        self.student.eval()
        try:
            view = {"logits": logits_with(self.student, batch, pilot)}
        finally:
            self.student.train(training)
        risk = _measured(self.risk, view, None, batch)
        uphill = torch.autograd.grad(risk, list(pilot.values()), allow_unused=True, materialize_grads=True)
        worth = [-self.rate * sum((u * s).sum() for u, s in zip(uphill, slope, strict=True)) for slope in slopes]
        return risk, torch.stack(worth)  # type: ignore[arg-type]


def _measured(loss: Loss, view: View, teacher: Any, batch: Batch) -> Tensor:
    """A loss, or a sum of supervised ones; 0 where no row was chosen."""
    found = [(weight, part.measure(view, teacher, batch)) for weight, part in loss.parts()]
    return sum((w * value for w, value in found if value is not None), start=0.0 * view["logits"].sum())


def _gradient(value: Tensor, named: dict[str, nn.Parameter]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(
        value, list(named.values()), retain_graph=True, allow_unused=True, materialize_grads=True
    )


def validated_student(
    student: nn.Module,
    teachers: Sequence[nn.Module | Frozen],
    data: Batch,
    loss: Loss,
    *,
    share: float = 0.2,
    rate: float = 0.1,
    taps: Mapping[str, tuple[str, Sequence[str]]] | None = None,
    **options: Any,
) -> nn.Module:
    """Several teachers of which some may be bad, weighted by held-out labels; see ``ValidationWeights``.

    Choose it where teachers come from other domains and you cannot tell which of them suits yours, but can spare
    ``share`` of the labelled rows: those become ``quiz_mask``, and are learnt from by the weights alone. options go to
    ``fit``.
    """
    known = [cached(teacher, data) for teacher in teachers]
    task = ValidationWeights(student, known, loss, rate=rate, taps=taps)
    return fit(task, with_ids(quizzed(data, share, options.get("seed", 0))), **options)
