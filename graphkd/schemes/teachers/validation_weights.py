"""Weights of several teachers, by how a step on each changes the risk on held-out rows (Wu et al.)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.losses.relations.log_euclidean import LogEuclidean
from graphkd.schemes._functional import logits_with
from graphkd.schemes.teachers._several import compared

Taps = Mapping[str, tuple[str, Sequence[str]]]


class ValidationWeights(Trainable):
    """Student of several teachers, weighted by how a step on each changes the validation risk; ``fit`` it.

    Wu, Zheng, Guo and Lai, "Distilled Person Re-identification", CVPR 2019. The student minimises L_y + sum_k w_k L_k,
    L_k the ``loss`` against teacher k, w = softmax(a), equal at first. At every step a pilot theta' = theta - rate
    (dL_y + sum_k w_k dL_k) is evaluated and discarded; a is trained on ``risk`` R at theta'. As theta' is linear in w,
    dR / dw_k = -rate <dR(theta'), dL_k> exactly, from first derivatives alone: no loss needs second derivatives.

    loss: copied for each teacher, ``LogEuclidean()`` of a hidden layer in the paper. labels, risk: supervised losses on
    different rows. taps: name -> (the student's tap path, the teachers' paths). call: as in ``Distiller``. The pilot
    runs in eval mode. How the paper keeps w on the simplex, its rates and its pilot's optimiser are not known to us: we
    take softmax, the student's optimiser and gradient descent. Costs K + 2 backward passes and two forward passes of
    the student.
    """

    def __init__(
        self,
        student: nn.Module,
        teachers: Sequence[nn.Module | Frozen],
        loss: Loss,
        labels: Loss,
        risk: Loss,
        *,
        rate: float = 0.1,
        taps: Taps | None = None,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        if not teachers:
            raise ValueError("'teachers' must hold one at least, got none")
        self.student, self.labels, self.risk, self.rate, self.call = student, labels, risk, rate, call
        self.losses = nn.ModuleList(copy.deepcopy(loss) for _ in teachers)
        self.scores = nn.Parameter(torch.zeros(len(teachers)))
        self._teachers = [self.hold(frozen(teacher)) for teacher in teachers]
        paths = taps or {}
        self._viewer = self.hold(Viewer(student, taps={name: path for name, (path, _) in paths.items()}, call=call))
        self._layers = [{name: path[k] for name, (_, path) in paths.items()} for k in range(len(teachers))]
        for teacher, layers in zip(self._teachers, self._layers, strict=True):
            teacher.attach(layers)

    def weights(self) -> Tensor:
        """Return the weight of each teacher, (K,); their sum is 1."""
        return self.scores.softmax(dim=0)

    def forward(self, batch: Batch) -> Step:
        """Sum the student's loss and the weights' own; terms ``labels``, ``risk``, and ``taught_k``, ``weight_k``."""
        view, weights = self._viewer(batch), self.weights()
        labels = compared(self.labels, view, batch)
        sides: Any = zip(self.losses, self._teachers, self._layers, strict=True)
        taught = torch.stack([compared(loss, view, batch, *side) for loss, *side in sides])
        risk, worth = self._try(labels, taught, weights.detach(), batch)
        total = labels + (weights.detach() * taught).sum() + (weights * worth).sum() - (weights * worth).sum().detach()
        self.note({"labels": labels, "taught": (weights.detach() * taught).sum()})
        terms = {"labels": labels, "risk": risk}
        for k in range(len(self._teachers)):
            terms |= {f"taught_{k}": taught[k], f"weight_{k}": weights[k]}
        return Step(total, {name: term.detach() for name, term in terms.items()})

    def _try(self, labels: Tensor, taught: Tensor, weights: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Compute the pilot's risk, and its derivative by each weight: (K,)."""
        named = {name: p for name, p in self.student.named_parameters() if p.requires_grad}
        gradient = partial(torch.autograd.grad, allow_unused=True, materialize_grads=True)
        first, *slopes = (gradient(value, list(named.values()), retain_graph=True) for value in (labels, *taught))
        pilot = {}
        for place, (name, value) in enumerate(named.items()):
            step = first[place] + sum(w * slope[place] for w, slope in zip(weights, slopes, strict=True))
            pilot[name] = (value.detach() - self.rate * step).requires_grad_()
        with evaluating(self.student):
            view = {"logits": logits_with(self.student, batch, pilot, call=self.call)}
        risk = compared(self.risk, view, batch)
        uphill = gradient(risk, list(pilot.values()))
        worth = [-self.rate * sum((u * s).sum() for u, s in zip(uphill, slope, strict=True)) for slope in slopes]
        return risk, torch.stack(worth)  # type: ignore[arg-type]


@method(
    "validation_weights",
    family="teachers",
    paper="Wu et al., CVPR 2019",
    survey=(93,),
    needs=("teachers",),
    space={"share": (0.05, 0.5)},
)
def validation_weights(
    problem: Problem, *, share: float = 0.2, rate: float = 0.1, temperature: float = 4.0, weight: float = 1.0
) -> nn.Module:
    """Weigh teachers by held-out labels while the student learns from them; choose it where some may be bad.

    Teachers may come from other domains, and you need not know which suits yours, but must spare ``share`` of the
    labelled rows: only the teachers' weights learn from those. Besides the labels the student learns ``weight`` times
    the weighted sum of KL to each teacher at ``temperature``. At every step a pilot of the student takes a gradient
    step of ``rate`` and is discarded; its effect on the risk on the held-out rows updates the weights. A step costs K +
    2 backward passes and two forward passes of the student for K teachers; see ``ValidationWeights``.
    """
    return _validated(problem, weight * problem.soft(temperature), share, rate)


@method(
    "validation_weights_log",
    family="teachers",
    paper="Wu et al., CVPR 2019",
    needs=("teachers", "hidden"),
    space={"share": (0.05, 0.5)},
)
def validation_weights_log(
    problem: Problem, *, share: float = 0.2, rate: float = 0.1, weight: float = 10.0
) -> nn.Module:
    """Weigh teachers by held-out labels, and match similarities of hidden rows; choose it where some may be bad.

    As ``validation_weights``, with the paper's loss: the log-Euclidean distance of the student's matrix of cosines from
    each teacher's, relative to the teacher's own, so that ``weight``, that of ``log_euclidean``, means the same for any
    number of nodes. Layers may differ in width.
    """
    paths = [problem.path_of(teacher) or "" for teacher in problem.teachers]
    taps = {"hidden": (problem.path_of(problem.student) or "", paths)}
    return _validated(problem, weight * LogEuclidean(reduction="relative"), share, rate, taps)


def _validated(problem: Problem, loss: Loss, share: float, rate: float, taps: Taps | None = None) -> nn.Module:
    learnt, held = problem.split(share)
    labels, risk = problem.supervised("learnt"), problem.supervised("held_out")
    call = problem.call_of(problem.student)
    several = ValidationWeights(problem.student, problem.teachers, loss, labels, risk, rate=rate, taps=taps, call=call)
    return problem.train(several, data=problem.with_values(learnt=learnt, held_out=held))
