"""FedSSD and FedCAD: clients keep to the global model as far as it is right.

He et al., "Learning Critically: Selective Self-Distillation in Federated Learning on Non-IID Data", IEEE Transactions
on Big Data 2022; He et al., "Class-Wise Adaptive Self Distillation for Heterogeneous Federated Learning", 2022.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.view import Batch
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_same_shape, class_ids, class_ids_of
from graphkd.schemes.federated._messages import answer
from graphkd.schemes.federated._rounds import federated, labelled_rows
from graphkd.schemes.federated.client import Client
from graphkd.schemes.federated.rule import Rule


def rule(weight: float = 1.0, *, by_row: bool = True) -> Rule:
    """Make FedSSD's rule, see ``fedssd``; every row of the public ones must be labelled."""

    def local(client: Client, known: nn.Module, public: Batch | None) -> Loss:
        if public is None:
            raise ValueError("this rule needs labelled public rows: give 'public', got None")
        confusion = confusion_shares(answer(known, public, client.call), client.task.targets(public))
        return client.task.supervised() + weight * SelectiveKD(confusion, by_row=by_row, where=client.task.labelled)

    return Rule(local=local)


@method("fedcad", preset={"by_row": False})
@method(
    "fedssd",
    family="federated",
    paper="He et al., IEEE Trans. Big Data 2022",
    survey=(113, 114),
    needs=("clients", "public"),
)
def fedssd(
    problem: Problem, *, public: Any, rounds: int = 5, local_epochs: int = 40, weight: float = 1.0, by_row: bool = True
) -> nn.Module:
    """Train clients by CE + weight SelectiveKD from the global model, and average their weights.

    Choose it over FedNTD where labelled public rows can show which classes the global model knows: its confusions on
    them weight each of its logits, see ``SelectiveKD``. ``public`` is one batch that all see, of which all rows count
    as labelled. ``by_row=False`` trusts all rows of a class alike (FedCAD). Costs one forward pass per local step more
    than FedAvg, the global model's. Returns the global model.
    """
    return federated(problem, rule(weight, by_row=by_row), rounds, local_epochs, public=labelled_rows(problem, public))


class SelectiveKD(Loss):
    """Match the global model's logits as far as it is to be trusted. He et al., IEEE Trans. Big Data 2022 (FedSSD).

    ``selective_distillation`` by ``class_credibility``; student, teacher: (N, C), y: (N,). ``confusion``: (C, C), of
    ``confusion_shares`` on held-out rows. ``by_row=False`` trusts all rows of a class alike (FedCAD). Add CE of the
    labels.
    """

    answers = "classes"
    rows: ClassVar[tuple[str, ...]] = ("y",)
    confusion: Tensor

    def __init__(
        self,
        confusion: Tensor,
        *,
        by_row: bool = True,
        highest: float = 1.0,
        threshold: float = 0.1,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.register_buffer("confusion", confusion)
        self.by_row, self.highest, self.threshold = by_row, highest, threshold

    def forward(self, student: Tensor, teacher: Tensor, *, y: Tensor) -> Tensor:
        """See the class."""
        check_same_shape(student, teacher)
        y = class_ids_of(student, y)
        known, confusion = y if self.by_row else None, self.confusion.to(teacher.dtype)
        weights = class_credibility(teacher, known, confusion, highest=self.highest, threshold=self.threshold)
        return selective_distillation(student, teacher, weights)


def confusion_shares(logits: Tensor, y: Tensor) -> Tensor:
    """Compute the share of class j that a model takes for class c: (N, C), (N,) -> (C, C), 0 for j without rows."""
    y = class_ids(y, logits.size(0), logits.size(-1))
    one_hot, taken = (F.one_hot(labels, logits.size(-1)).to(logits.dtype) for labels in (y, logits.argmax(dim=-1)))
    return one_hot.t() @ taken / one_hot.sum(dim=0).clamp_min(1)[:, None]


def class_credibility(
    teacher: Tensor, y: Tensor | None, confusion: Tensor, *, highest: float = 1.0, threshold: float = 0.1
) -> Tensor:
    """Weigh a global model's logit of each class on each row: (N, C), (N,), (C, C) -> (N, C), see below.

    highest max(0, a_c softmax(t_i)_y - threshold), a_c = A_cc (1 - max_{j != c} A_jc); A_jc is the share of class j
    that the model takes for c, on held-out rows. A restatement of FedSSD (He et al., IEEE Trans. Big Data 2022).
    ``y=None`` puts 1 in place of softmax(t_i)_y, which trusts all rows alike: our reading of FedCAD, whose weights are
    unknown to us. Raises ValueError for a ``confusion`` of another shape.
    """
    if confusion.shape != (teacher.size(-1),) * 2:
        raise ValueError(f"'confusion' must be {(teacher.size(-1),) * 2}, got {tuple(confusion.shape)}")
    hits = confusion.diagonal()
    mistaken = (confusion - hits.diag()).amax(dim=0)
    sure = teacher.new_ones(teacher.size(0), 1)
    if y is not None:
        y = class_ids(y, teacher.size(0), teacher.size(-1))
        sure = teacher.softmax(dim=-1).gather(1, y[:, None])
    return highest * (hits * (1 - mistaken) * sure - threshold).clamp_min(0)


def selective_distillation(student: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """Compute mean_i |w_i (s_i - t_i)|^2, w of ``class_credibility``: (N, C) each -> scalar. FedSSD adds CE."""
    check_same_shape(student, teacher)
    check_same_shape(student, weights)
    w, s, t = (x.to(accumulation_dtype(x)) for x in (weights, student, teacher))
    return (w * (s - t)).square().sum() / max(s.size(0), 1)
