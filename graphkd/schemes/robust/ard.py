"""Students of changed features: ARD, which answers to them what its teacher answers to the unchanged ones.

Goldblum, Fowl, Feizi and Goldstein, "Adversarially Robust Distillation", AAAI 2020, arXiv:1905.09747. Beside it
defensive distillation, a baseline.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller, Step
from graphkd.core.fit import fit
from graphkd.core.teachers import Cached, Frozen
from graphkd.core.view import Batch, Viewer
from graphkd.losses._checks import check_positive
from graphkd.losses._perturbation import adversarial_change
from graphkd.losses.response.ce import CE, cross_entropy
from graphkd.losses.response.kd import KL, Reduction, kl
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.augment import changed


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
    """Soft targets under attack, and labels: (N, C) three times, (N,) -> scalar.

    alpha T^2 KL(teacher || adversarial) + (1 - alpha) CE(student, y). student, teacher: logits of the features as they
    are; adversarial: the student's of those changed against it. The authors' code divides the first by N C too:
    ``reduction="elementmean"``.
    """
    soft = kl(adversarial, teacher, temperature, reduction=reduction)
    return alpha * soft + (1 - alpha) * cross_entropy(student, y)


class RobustDistiller(Distiller):
    """The distiller of ARD on a graph: ``fit(RobustDistiller(student, teacher), data, ...)``.

    Choose it where somebody may change features a little; the authors' teachers are robust themselves. A batch's ``x``
    is changed within ``epsilon`` (the largest entry) by ``steps`` of ``step_size``, by default epsilon / 4, so as to
    raise the student's CE; all rows then learn the teacher's answer to the unchanged graph, and those of ``where``
    their labels, by ``ard``. The paper knows all labels; here a row outside ``where`` is attacked on the class that the
    teacher gives it, else few rows of a graph, and of an MLP only the labelled ones, would be attacked at all. Without
    ``teacher`` it is adversarial training by CE(x') on the rows of ``where``, which makes robust teachers. Every node's
    features are changed at once, an attack stronger than on one node; edges stay. Features of a graph have no range to
    keep to; the authors' 8/255 is for images. The attack sees the student in training mode, dropout and all, as theirs
    does. Cost: steps + 2 passes forward, steps + 1 backward; a ``Cached`` teacher adds none.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | Frozen | None = None,
        *,
        epsilon: float = 0.03,
        steps: int = 10,
        step_size: float | None = None,
        temperature: float = 30.0,
        alpha: float = 1.0,
        where: str | None = "train_mask",
    ) -> None:
        if not 0 <= alpha <= 1:
            raise ValueError(f"'alpha' must be in [0, 1], got {alpha}")
        labels = CE(where=where)
        super().__init__(student, teacher, {"labels": labels} if teacher is None else {"teacher": KL(temperature)})
        self.epsilon, self.steps, self.step_size = epsilon, steps, step_size
        self.temperature, self.alpha, self.labels = temperature, alpha, labels

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
        assert hard is not None
        return Step(self.alpha * soft + (1 - self.alpha) * hard, terms | {"labels": hard.detach()})

    def attacked(self, batch: Batch, taught: Tensor | None = None) -> Tensor:
        """The features of a batch, changed against the student; ``taught``, (N, C), stands in for unknown labels."""
        budget: dict[str, Any] = {"steps": self.steps, "step_size": self.step_size}
        if taught is None:
            return attacked(self._viewer, batch, self.labels, self.epsilon, **budget)
        y = taught.argmax(dim=-1)
        rows = self.labels._choose(torch.arange(y.size(0), device=y.device), batch)
        known = changed(batch, y=y.index_copy(0, rows, batch["y"][rows]))
        return attacked(self._viewer, known, CE(), self.epsilon, **budget)


def attacked(
    student: nn.Module | Viewer,
    batch: Batch,
    loss: CE | None = None,
    epsilon: float = 0.03,
    *,
    steps: int = 10,
    step_size: float | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """The features of a batch, changed within ``epsilon`` so as to raise ``loss`` of the student's answer (PGD).

    loss: by default CE on the test nodes, ``where="test_mask"``: accuracy under attack is that of
    ``changed(data, x=attacked(model, data))``, the model in eval mode. start: the first change, by default random; one
    step of ``step_size=epsilon`` from zeros is the fast gradient sign method (Goodfellow et al., ICLR 2015).
    """
    viewer = Viewer(student) if isinstance(student, nn.Module) else student
    loss = CE(where="test_mask") if loss is None else loss

    def objective(x: Tensor) -> Tensor:
        worse: Any = changed(batch, x=x)
        value = loss.measure(viewer(worse), None, worse)
        return value if value is not None else (x * 0).sum()

    with torch.enable_grad():
        x = batch["x"]
        return x + adversarial_change(objective, x, epsilon, steps=steps, step_size=step_size, start=start)


def defensive(
    student: nn.Module, teacher: nn.Module, data: Batch, *, temperature: float = 20.0, **options: Any
) -> nn.Module:
    """Defensive distillation: labels at a high temperature, then a student of these answers alone, at the same one.

    Papernot, McDaniel, Wu, Jha and Swami, IEEE S&P 2016, arXiv:1511.04508. The teacher, of the student's kind in the
    paper, learns CE of softmax(t / T) on ``train_mask``, the student ``SoftCE(T)`` on all rows; both answer at T = 1,
    where their gradients are small. Choose it as a baseline, not as protection: an attack on the logits before softmax
    is not deceived (Carlini and Wagner, IEEE S&P 2017, arXiv:1608.04644). T is 20 on MNIST and 100 on CIFAR there.
    ``teacher`` is trained here; options go to ``fit``, twice.
    """
    check_positive("temperature", temperature)
    soft = partial(_divided, temperature=temperature)
    fit(Distiller(teacher, losses=CE(where="train_mask"), call=soft), data, **options)
    return fit(Distiller(student, Cached(teacher, data), SoftCE(temperature)), data, **options)


def _divided(model: nn.Module, batch: Batch, temperature: float) -> Tensor:
    return Viewer(model)(batch)["logits"] / temperature
