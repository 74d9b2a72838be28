"""NOSMOG: GLNN with positions, similarity of hidden layers and adversarial features.

Tian, Zhang, Guo, Zhang and Chawla, "Learning MLPs on Graphs: A Unified View of Effectiveness, Robustness, and
Efficiency", ICLR 2023; first as "NOSMOG: Learning Noise-robust and Structure-aware MLPs on Graphs", arXiv:2208.10010.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkd.core.distiller import Distiller, Step
from graphkd.core.fit import fit
from graphkd.core.teachers import Frozen, cached
from graphkd.core.view import Batch, Viewer
from graphkd.gnn.glnn import GLNNBatches
from graphkd.gnn.options import complete
from graphkd.losses import CE, KL, RSD, cross_entropy, kl
from graphkd.losses._perturbation import Objective, adversarial_change


def nosmog(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    data: Data,
    *,
    hidden: tuple[str, str],
    position: Tensor | None = None,
    label_weight: float = 0.0,
    similarity_weight: float = 0.1,
    adversarial_weight: float = 0.1,
    epsilon: float = 0.04,
    dropout: float = 0.0,
    batch_size: int = 512,
    **options: Any,
) -> nn.Module:
    """Train an MLP on soft labels, on how alike the teacher finds nodes, and on features moved against it.

    student: ``forward(x)``, on features (N, F + d) with ``position`` (N, d) beside them where it is given: that of
    ``deepwalk``, extended to unseen nodes by ``extend_positions``. teacher: any node classifier, or a teacher; data: x
    (N, F), y, train_mask, and val_mask if the best epoch is to be kept. hidden: tap paths of the last hidden layers of
    student and teacher, before their ReLU. Other arguments: ``NOSMOGDistiller``; dropout is that of its encoder.
    label_weight is GLNN's lambda, one minus that of the authors. An epoch goes as in ``glnn``: labelled rows, then all
    rows. options go to ``fit``; defaults: 200 epochs, patience 50, Adam(0.01, weight decay 5e-4), which the authors'
    code takes whatever its configuration says. In the inductive setting their teacher's hidden rows are those of other
    nodes; here rows are found by node id.
    """
    x = data["x"] if position is None else torch.cat([data["x"], position], dim=1)
    batches = GLNNBatches(x, data["y"], data["train_mask"].nonzero().squeeze(1), batch_size)
    weights = {"label_weight": label_weight, "similarity_weight": similarity_weight}
    weights |= {"adversarial_weight": adversarial_weight, "epsilon": epsilon, "dropout": dropout}
    task = NOSMOGDistiller(student, cached(teacher, data), hidden, _width(student, x, hidden[0]), **weights)
    seen = {**data.to_dict(), "x": x}
    return fit(task, batches, **complete(options, seen, epochs=200))


class NOSMOGDistiller(Distiller):
    """The distiller of ``nosmog``, on batches of ``GLNNBatches``.

    w (answer + ``adversarial_weight`` answer(x + delta) + ``similarity_weight`` RSD): on labelled rows answer is the
    cross-entropy and w = ``label_weight``, on taught rows KL(teacher || student) and w = 1 - ``label_weight``. delta
    is ``adversarial_change`` within ``epsilon`` for the answer's loss. width: of the student's hidden layer. A step of
    weight 0, as the published label step, is one of zero gradients: its adversarial term is not computed.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen,
        hidden: tuple[str, str],
        width: int,
        *,
        label_weight: float = 0.0,
        similarity_weight: float = 0.1,
        adversarial_weight: float = 0.1,
        epsilon: float = 0.04,
        dropout: float = 0.0,
    ) -> None:
        if not 0 <= label_weight <= 1:
            raise ValueError(f"'label_weight' must be in [0, 1], got {label_weight}")
        similarity = similarity_weight * RSD(width, dropout=dropout)
        losses = {"label": CE(where="labelled"), "teacher": KL(where="taught"), "similarity": similarity}
        super().__init__(student, teacher, losses, taps={"hidden": hidden})
        self.label_weight, self.adversarial_weight, self.epsilon = label_weight, adversarial_weight, epsilon

    def forward(self, batch: Batch) -> Step:
        """Both views of one batch, and the student's answer to changed features."""
        loss, terms = super().forward(batch)
        labelled = bool(batch["labelled"].all())
        weight = self.label_weight if labelled else 1 - self.label_weight
        if weight == 0 or self.adversarial_weight == 0:
            return Step(weight * loss, terms)
        objective = self._answer(batch, labelled)
        adversarial = objective(batch["x"] + self.change(objective, batch["x"]))
        terms = {**terms, "adversarial": adversarial.detach()}
        return Step(weight * (loss + self.adversarial_weight * adversarial), terms)

    def change(self, objective: Objective, x: Tensor) -> Tensor:
        """What is added to the features."""
        return adversarial_change(objective, x, self.epsilon)

    def _answer(self, batch: Batch, labelled: bool) -> Objective:
        """Features -> loss of what the student answers to them."""
        if labelled:
            return lambda x: cross_entropy(self.student(x), batch["y"])
        assert self.teacher is not None
        soft = self.teacher(batch)["logits"]
        return lambda x: kl(self.student(x), soft)


@torch.no_grad()
def _width(student: nn.Module, x: Tensor, path: str) -> int:
    viewer = Viewer(student, taps={"hidden": path})
    width = viewer({"x": x[:2]})["hidden"].size(1)
    viewer.close()
    return width
