"""Features that are changed against a student, and a distiller of students that see such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed
from graphkd.core.distiller import Distiller, Step
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, View, Viewer
from graphkd.losses._perturbation import adversarial_change
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import KL, kl

Objective = Callable[[View, Any], Tensor | None]


class RobustDistiller(Distiller):
    """The distiller of ARD on a graph: ``fit(RobustDistiller(student, teacher, labels=CE(where=...)), data, ...)``.

    A batch's ``x`` is changed within ``epsilon`` (the largest entry) by ``steps`` of ``step_size``, by default epsilon
    / 4, so as to raise the student's CE; all rows then learn the teacher's answer to the unchanged graph, and those of
    ``labels``, a loss with ``where``, their labels, by ``ard``. The paper knows all labels; here a row outside
    ``where`` is attacked on the class that the teacher gives it, else few rows of a graph, and of an MLP only the
    labelled ones, would be attacked at all. Without ``teacher`` it is adversarial training by ``labels`` of changed
    features. Every node's features are changed at once, an attack stronger than on one node; edges stay. Features of a
    graph have no range to keep to. The attack sees the student in training mode, dropout and all, as the authors' does.
    targets: batch -> the labels of its rows. call: of the student. Cost: steps + 2 passes forward, steps + 1 backward;
    a ``Cached`` teacher adds none.
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
        """The student's answer to changed features against the teacher's to the unchanged ones."""
        if self.teacher is None:
            return super().forward(changed(batch, x=self.attacked(batch)))
        taught = self.teacher(batch)["logits"]
        worse = changed(batch, x=self.attacked(batch, taught))
        soft = kl(self._viewer(worse)["logits"], taught, self.temperature)
        terms = {"teacher": soft.detach()}
        if self.alpha == 1:
            return Step(soft, terms)
        hard = self.labels.measure(self._viewer(batch), None, batch)
        if hard is None:  # a batch without labelled rows
            return Step(self.alpha * soft, terms)
        return Step(self.alpha * soft + (1 - self.alpha) * hard, terms | {"labels": hard.detach()})

    def attacked(self, batch: Batch, taught: Tensor | None = None) -> Tensor:
        """The features of a batch, changed against the student; ``taught``, (N, C), stands in for unknown labels."""
        budget: dict[str, Any] = {"steps": self.steps, "step_size": self.step_size}
        if taught is None:
            return attacked(self._viewer, batch, self.labels, self.epsilon, **budget)
        rows = self.labels._choose(torch.arange(taught.size(0), device=taught.device), batch)
        classes = taught.argmax(dim=-1).index_copy(0, rows, self.targets(batch)[rows])
        return _changed(
            self._viewer, batch, lambda view, _: cross_entropy(view["logits"], classes), self.epsilon, **budget
        )


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

    With ``CE(where="test_mask")``, accuracy under attack is that of ``changed(data, x=attacked(model, data, loss))``,
    the model in eval mode. start: the first change, by default random; one step of ``step_size=epsilon`` from zeros is
    the fast gradient sign method (Goodfellow et al., ICLR 2015). call: of the student.
    """
    viewer = Viewer(student, call=call) if isinstance(student, nn.Module) else student
    budget: dict[str, Any] = {"steps": steps, "step_size": step_size, "start": start}
    return _changed(viewer, batch, lambda view, worse: loss.measure(view, None, worse), epsilon, **budget)


def _changed(viewer: Viewer, batch: Batch, measure: Objective, epsilon: float, **budget: Any) -> Tensor:
    def objective(x: Tensor) -> Tensor:
        worse: Any = changed(batch, x=x)
        value = measure(viewer(worse), worse)
        return value if value is not None else (x * 0).sum()

    with torch.enable_grad():
        x = batch["x"]
        return x + adversarial_change(objective, x, epsilon, **budget)


def attack_of(epsilon: float, steps: int, step_share: float) -> dict[str, Any]:
    """Options of ``RobustDistiller`` for steps of a share of the largest change."""
    return {"epsilon": epsilon, "steps": steps, "step_size": epsilon * step_share}
