"""Distances of hidden features of one width, those of Hu et al.'s survey (eq. 15 to 19)."""

from typing import Literal, Unpack

import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape, choose
from graphkd.losses.features.hidden_cosine import hidden_cosine

Metric = Literal["l1", "l2", "cosine", "huber"]


def feature_distance(student: Tensor, teacher: Tensor, metric: Metric = "l2") -> Tensor:
    """Average the distance of features over rows: (N, d), (N, d) -> scalar; see ``FeatureDistance``."""
    choose("metric", metric, Metric)
    if metric == "cosine":
        return hidden_cosine(student, teacher)
    check_same_shape(student, teacher)
    s, t = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    if metric == "huber":
        values = F.smooth_l1_loss(s, t, reduction="none")
    else:
        values = (s - t).abs() if metric == "l1" else (s - t).square()
    return values.sum() / max(s[..., 0].numel(), 1)


class FeatureDistance(Loss):
    """Shorten the distance of hidden features of one width, eq. 15 to 19 of Hu et al., arXiv:2304.14800.

    mean_i D(s_i, t_i), summed over the width; student, teacher: (N, d). ``metric``: "l1" |s - t|_1 (eq. 15, where the
    index of the norm is missing), "l2" |s - t|^2 (16), "cosine" 1 - cos (17, 18; ``HiddenCosine``), "huber" with delta
    1 (19). Unlike ``FitNet`` it is not divided by d. Eq. 20 is ``TripletOrder``, eq. 21 ``VML``.

    Example::

        >>> s, t = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
        >>> [float(FeatureDistance(metric)(s, t)) for metric in ("l1", "l2", "huber")]
        [7.0, 25.0, 6.0]
        >>> loss = FeatureDistance("l1")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(self, metric: Metric = "l2", **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.metric = choose("metric", metric, Metric)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return feature_distance(student, teacher, self.metric)


@method("feature_huber", preset={"kind": "huber"})
@method("feature_l1", preset={"kind": "l1"})
@method("feature_l2", family="features", paper="Hu et al., 2023", arxiv="2304.14800", tasks=("rows",))
def feature_distance_method(problem: Problem, *, weight: float = 1.0, kind: Metric = "l2", on: str = "logits") -> Loss:
    """Shorten the distance between rows of student and teacher, beside the labels.

    Choose "l1" or "huber" where some rows of the teacher are far off. ``on="hidden"`` compares hidden layers, whose
    widths must be equal; those of logits always are.
    """
    return problem.supervised() + weight * FeatureDistance(kind, on=on)
