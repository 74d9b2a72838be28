"""What servers and clients minimise in federated distillation, where the library's other losses do not say it."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_labels, check_same_shape, choose
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes.weights import check_stack, class_credibility, selective_distillation, soft_target

Fusion = Literal["logits", "probabilities", "losses"]


def clients_kl(
    student: Tensor,
    teachers: Tensor,
    temperature: float = 1.0,
    *,
    weights: Tensor | None = None,
    average: Fusion = "logits",
) -> Tensor:
    """KL(clients || student) without T^2: (N, C), (K, N, C) -> scalar. Lin et al., NeurIPS 2020, arXiv:2006.07242.

    ``average``: of the clients' "logits" (the authors' default), "probabilities", or of K "losses", one to each client.
    ``weights``: (K,), over their sum; equal by default. Mean over rows.
    """
    choose("average", average, get_args(Fusion))
    if average != "losses":
        target = soft_target(teachers, temperature, weights=weights, average=average)
        return kl(student, target, temperature, rescale=False)
    check_stack(teachers)
    shares = teachers.new_ones(teachers.size(0)) if weights is None else weights
    each = torch.stack([kl(student, teacher, temperature, rescale=False) for teacher in teachers])
    return (shares * each).sum() / shares.sum()


def logit_mae(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of logits, over all entries: (N, C), (N, C) -> scalar; see ``LogitMAE``."""
    check_same_shape(student, teacher)
    return (student - teacher).abs().sum() / max(student.numel(), 1)


class LogitMAE(Loss):
    """Digest a consensus of logits, (1/NC) sum |s - t|. Li and Wang, 2019, arXiv:1910.03581 (FedMD).

    student, teacher: (N, C). As the authors' Keras code has it; the teacher is the plain mean of all clients' logits,
    the student's own among them.
    """

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return logit_mae(student, teacher)


class SelectiveKD(Loss):
    """The global model's logits, as far as it is to be trusted. He et al., IEEE Trans. Big Data 2022 (FedSSD).

    mean_i |w_i (s_i - t_i)|^2, w of ``class_credibility``; student, teacher: (N, C), y: (N,). ``confusion``: (C, C),
    the share of class j that the model takes for c on held-out rows. ``by_row=False`` trusts all rows of a class alike,
    our reading of FedCAD. Add CE. Both are restatements: the published weights are not known to us.
    """

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
        check_labels(y, student.size(0), student.size(-1))
        known, confusion = y if self.by_row else None, self.confusion.to(teacher.dtype)
        weights = class_credibility(teacher, known, confusion, highest=self.highest, threshold=self.threshold)
        return selective_distillation(student, teacher, weights)


class GeneratorTerms(NamedTuple):
    """The generator's loss for one client, and its terms before their weights."""

    loss: Tensor
    disagreement: Tensor
    classes: Tensor
    diversity: Tensor


def fedftg_generator(
    synthetic: Tensor,
    noise: Tensor,
    student: Tensor,
    teacher: Tensor,
    y: Tensor,
    weights: Tensor,
    *,
    clients: int,
    class_weight: float = 1.0,
    disagreement_weight: float = 1.0,
) -> GeneratorTerms:
    """What the generator of fake rows minimises for one client. Zhang et al., CVPR 2022, arXiv:2203.09249 (FedFTG).

    -disagreement_weight mean_i w_i mean_c |s_ic - t_ic| + class_weight mean_i w_i CE(t, y)
    + exp(-mean_ij |n_i - n_j|^2 / m |x_i - x_j| / d) / clients: rows that the global model answers unlike the client,
    that the client takes for class y, and that differ where their noise differs.
    synthetic x: (N, d), noise n: (N, m), student (global model) and teacher (client): (N, C) logits of x, y: (N,),
    weights: (N,), the client's share of class y. The client's logits are constant in the first term, and CE is averaged
    before it meets the weights, both as in the authors' code. O(N^2 d).
    """
    check_same_shape(student, teacher)
    disagreement = -(weights * (student - teacher.detach()).abs().mean(dim=-1)).mean()
    classes = cross_entropy(teacher, y) * weights.mean()
    apart = (noise[:, None] - noise).square().mean(dim=-1) * (synthetic[:, None] - synthetic).abs().mean(dim=-1)
    diversity = (-apart.mean()).exp()
    loss = disagreement_weight * disagreement + class_weight * classes + diversity / clients
    return GeneratorTerms(loss, disagreement, classes, diversity)


def fedftg_student(student: Tensor, teachers: Tensor, weights: Tensor) -> Tensor:
    """What the global model learns from fake rows: (N, C), (K, N, C), (K, N) -> scalar. Zhang et al., CVPR 2022.

    Cross-entropy with sum_k w_ki softmax(t_ki), w_ki client k's share of the class of row i, a mean over N C entries as
    in the authors' code. A row whose class is held by clients who are absent counts as far as the shares go.
    """
    check_stack(teachers)
    check_same_shape(student, teachers[0])
    if weights.shape != teachers.shape[:2]:
        raise ValueError(f"'weights' must have shape {tuple(teachers.shape[:2])}, got {tuple(weights.shape)}")
    s, t = (logits.to(accumulation_dtype(logits)) for logits in (student, teachers))
    target = torch.einsum("kn,knc->nc", weights.to(t.dtype), t.softmax(dim=-1))
    return -(target * s.log_softmax(dim=-1)).sum() / max(student.numel(), 1)


def class_shares(y: Tensor, counts: Tensor) -> Tensor:
    """Each client's share of the class of every row: (N,), (K, C) counts -> (K, N); 0 for a class that nobody has."""
    shares = counts / counts.sum(dim=0).clamp_min(1)
    return shares.to(torch.get_default_dtype())[:, y]


def confusion_shares(logits: Tensor, y: Tensor) -> Tensor:
    """The share of class j that a model takes for c: (N, C), (N,) -> (C, C) of rows j; 0 for a class without a row."""
    check_labels(y, logits.size(0), logits.size(-1))
    one_hot, taken = (F.one_hot(labels, logits.size(-1)).to(logits.dtype) for labels in (y, logits.argmax(dim=-1)))
    return one_hot.t() @ taken / one_hot.sum(dim=0).clamp_min(1)[:, None]
