"""A RecBole model's own loss, from its ``calculate_loss``."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.core.view import Batch, View
from graphkd.losses._checks import choose

Scale = Literal["mean", "sum"]


class RecBoleLoss(Loss):
    """Train a RecBole model as RecBole does: by its ``calculate_loss`` on the batch, its parts added.

    So NGCF, SGL and NCL learn with their regularisers and contrastive parts, SimpleX by its cosine loss, NeuMF and DMF
    by cross-entropy; MultiVAE, ENMF and DiffRec learn from the distinct users of the batch. Negatives are those of
    ``RankingBatches``, by default one uniform item a pair. student: a model of ``recsys.bridge.recommender``.
    ``reduction``: "mean" is RecBole's value; "sum" is that times the rows of the batch, to stand beside ``BPR()`` and
    losses tuned to it. Raises ValueError for a model that needs more than its loss to be trained (RaCT, RecVAE) or is
    fitted when it is built (EASE, ItemKNN), and for options that need more of a row than user and item.

    Example::

        fit(Distiller(student, None, RecBoleLoss(), call=show), RankingBatches(data.split.train), epochs=20)
    """

    on = "own_loss"

    def __init__(self, *, reduction: Scale = "mean") -> None:
        super().__init__(on="own_loss" if choose("reduction", reduction, ("mean", "sum")) == "mean" else "own_loss_sum")
        self.reduction, self.epoch = reduction, 0

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the base gives both
        """Set the epoch: NCL has another loss after its first epochs."""
        self.epoch = epoch

    def measure(self, student: View, teacher: Any, batch: Batch) -> Tensor | None:
        """Read the loss of this epoch from the student's view."""
        if hasattr(student, "epoch"):
            student.epoch = self.epoch
        return super().measure(student, teacher, batch)

    def forward(self, student: Tensor) -> Tensor:
        """See the class."""
        return student
