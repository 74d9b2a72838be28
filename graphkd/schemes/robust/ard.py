"""Adversarially robust distillation (ARD): students answer to changed features as the teacher to unchanged ones.

Goldblum, Fowl, Feizi and Goldstein, "Adversarially Robust Distillation", AAAI 2020, arXiv:1905.09747.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed
from graphkd.core.distiller import Distiller, Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, View, Viewer
from graphkd.losses._perturbation import adversarial_change
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import KL, Reduction, kl

Objective = Callable[[View, Any], Tensor | None]


class RobustDistiller(Distiller):
    """Distil as ARD does, on a graph.

    Each entry of a batch's ``x`` is changed by at most ``epsilon``, in ``steps`` steps of ``step_size``, by default
    epsilon / 4, so as to raise the student's CE. All rows then learn the teacher's answer to the unchanged graph, and
    the rows of ``labels``, a loss with ``where``, their labels, as in ``ard``. The paper has labels of all rows; here a
    row outside ``where`` is attacked on the class that the teacher gives it: otherwise few rows of a graph, and with an
    MLP only the labelled ones, would be attacked at all. Without ``teacher`` it is adversarial training on ``labels``
    with changed features. All nodes' features are changed at once, which is a stronger attack than on one node; edges
    stay. Features are not clipped to a range. The attack evaluates the student in training mode, with dropout, as the
    authors' does. targets: batch -> the labels of its rows, (N,). call: replaces the by-name call of the student. Costs
    steps + 2 passes forward, steps + 1 backward. Raises ValueError for an ``alpha`` outside [0, 1].
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | Frozen | None = None,
        *,
        labels: Loss,
        targets: Callable[[Any], Tensor] = lambda batch: batch["y"],
        epsilon: float = 0.03,
        steps: int = 10,
        step_size: float | None = None,
        temperature: float = 30.0,
        alpha: float = 1.0,
        call: Call | None = None,
    ) -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(f"'alpha' must be in [0, 1], got {alpha}")
        losses: dict[str, Loss] = {"labels": labels} if teacher is None else {"teacher": KL(temperature)}
        super().__init__(student, teacher, losses, call=call)
        self.epsilon, self.steps, self.step_size = epsilon, steps, step_size
        self.temperature, self.alpha, self.labels, self.targets = temperature, alpha, labels, targets

    def forward(self, batch: Batch) -> Step:
        """Compare the student's answer to changed features with the teacher's to the unchanged ones."""
        if self.teacher is None:
            return super().forward(changed(batch, x=self.attacked(batch)))
        taught = self.teacher(batch)["logits"]
        worse = changed(batch, x=self.attacked(batch, taught))
        soft = kl(self._viewer(worse)["logits"], taught, self.temperature)
        terms = {"teacher": soft.detach()}
        hard = None if self.alpha == 1 else self.labels.measure(self._viewer(batch), None, batch)
        if hard is None:  # where labels do not count, or no row of the batch has one
            return Step(self.alpha * soft, terms)
        total = self.weighed({"teacher": (self.alpha, soft), "labels": (1 - self.alpha, hard)})
        return Step(total, terms | {"labels": hard.detach()})

    def attacked(self, batch: Batch, taught: Tensor | None = None) -> Tensor:
        """Change the features of a batch against the student; ``taught``: the teacher's logits, for unknown labels."""
        budget: dict[str, Any] = {"epsilon": self.epsilon, "steps": self.steps, "step_size": self.step_size}
        if taught is None:
            return attacked(self._viewer, batch, self.labels, **budget)
        rows = self.labels.rows_in(batch).of(torch.arange(taught.size(0), device=taught.device))
        classes = taught.argmax(dim=-1).index_copy(0, rows, self.targets(batch)[rows])
        return _changed(self._viewer, batch, lambda view, _: cross_entropy(view["logits"], classes), **budget)


def attacked(
    student: nn.Module | Viewer,
    batch: Batch,
    loss: Loss,
    epsilon: float = 0.03,
    *,
    steps: int = 10,
    step_size: float | None = None,
    start: Tensor | None = None,
    call: Call | None = None,
) -> Tensor:
    """Change the features of a batch within ``epsilon`` so as to raise ``loss`` of the student's answer (PGD).

    Returns the changed ``x``. Accuracy under attack, with ``CE(where="test_mask")`` as ``loss``, is the accuracy on
    ``changed(data, x=attacked(model, data, loss))`` with the model in eval mode. epsilon: the largest change of an
    entry. step_size: by default epsilon / 4. start: the initial change, by default random; one step of
    ``step_size=epsilon`` from zeros is the fast gradient sign method (Goodfellow et al., ICLR 2015). call: replaces the
    by-name call of the student.
    """
    viewer = Viewer(student, call=call) if isinstance(student, nn.Module) else student
    budget: dict[str, Any] = {"epsilon": epsilon, "steps": steps, "step_size": step_size, "start": start}
    return _changed(viewer, batch, lambda view, worse: loss.measure(view, None, worse), **budget)


def _changed(viewer: Viewer, batch: Batch, measure: Objective, **budget: Any) -> Tensor:
    def objective(x: Tensor) -> Tensor:
        worse: Any = changed(batch, x=x)
        value = measure(viewer(worse), worse)
        return value if value is not None else (x * 0).sum()

    with torch.enable_grad():
        x = batch["x"]
        return x + adversarial_change(objective, x, **budget)


def attack_of(epsilon: float, steps: int, step_share: float) -> dict[str, Any]:
    """Make options of ``RobustDistiller``, with a step size of ``step_share`` times ``epsilon``."""
    return {"epsilon": epsilon, "steps": steps, "step_size": epsilon * step_share}


def ard(
    student: Tensor,
    adversarial: Tensor,
    teacher: Tensor,
    y: Tensor,
    temperature: float = 30.0,
    *,
    alpha: float = 1.0,
    reduction: Reduction = "batchmean",
) -> Tensor:
    """Compute soft targets under attack, and labels: (N, C) three times, (N,) -> scalar.

    alpha T^2 KL(teacher || adversarial) + (1 - alpha) CE(student, y). student, teacher: logits on the unchanged
    features; adversarial: the student's logits on features changed against it. The authors' code divides the first term
    by N C: ``reduction="elementmean"``.
    """
    soft = kl(adversarial, teacher, temperature, reduction=reduction)
    return alpha * soft + (1 - alpha) * cross_entropy(student, y)


@method(
    "ard_plain",
    family="robust",
    paper="Goldblum et al., AAAI 2020",
    arxiv="1905.09747",
    cannot={
        "sparse": "it changes the features adversarially",
        "heterogeneous": "it changes the features 'x' of nodes of one type",
    },
    space={"alpha": (0.1, 1.0)},
)
def ard_plain_method(
    problem: Problem,
    *,
    epsilon: float = 0.03137254901960784,
    steps: int = 3,
    step_share: float = 0.5,
    temperature: float = 30.0,
    alpha: float = 1.0,
) -> nn.Module:
    """Learn to answer to changed features as the teacher, trained no further, answers to unchanged ones.

    Choose it where somebody may change features a little and the teacher is robust already, or to measure what ``ard``
    gains by a robust one. Attack and loss are those of ``RobustDistiller``, with steps of ``step_share`` times
    ``epsilon``. ``epsilon`` is 8/255, the authors' for images; they take 10 steps. Runs to the last epoch: accuracy on
    unchanged validation nodes says little about changed ones. Costs ``steps`` more passes forward and backward a step.
    """
    attack = attack_of(epsilon, steps, step_share)
    return _distilled(problem, problem.teacher, temperature=temperature, alpha=alpha, **attack)


@method(
    "ard",
    family="robust",
    paper="Goldblum et al., AAAI 2020",
    arxiv="1905.09747",
    survey=(162,),
    tasks=("classes",),
    cannot={
        "ensemble": "it trains a robust model of its teacher's kind",
        "heterogeneous": "it changes the features 'x' of nodes of one type",
        "sparse": "it changes the features adversarially",
    },
    space={"alpha": (0.1, 1.0)},
)
def ard_method(
    problem: Problem,
    *,
    epsilon: float = 0.03137254901960784,
    steps: int = 3,
    step_share: float = 0.5,
    temperature: float = 30.0,
    alpha: float = 1.0,
) -> nn.Module:
    """Train a robust model of the teacher's kind, then a student that answers to changed features as that to unchanged.

    Choose it where somebody may change features a little: the authors' teachers are robust themselves, ours becomes so
    by adversarial training as in ``adversarial``. See ``ard_plain`` for the second stage and the arguments. Costs two
    trainings, with ``steps`` more passes forward and backward per step.
    """
    attack = attack_of(epsilon, steps, step_share)
    model = problem.fresh(problem.teacher.model, 0)
    labels, call = problem.supervised(), problem.call_of(problem.teacher)
    model = problem.train(RobustDistiller(model, labels=labels, call=call, **attack), "teacher", choose=False)
    return _distilled(problem, problem.taught_by(model), temperature=temperature, alpha=alpha, **attack)


def _distilled(problem: Problem, teacher: Frozen, **options: Any) -> nn.Module:
    student = problem.student
    options |= {"labels": problem.supervised(), "targets": problem.task.targets, "call": problem.call_of(student)}
    return problem.train(RobustDistiller(student, teacher, **options), choose=False)
