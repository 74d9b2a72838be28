"""What several teachers say together: rules that turn their answers into one target, or say how far to trust each.

Teachers are stacked: logits (K, N, C), features (K, N, d). A target is given as logits whose softmax at the
temperature is the target, so that ``kl(student, target, T)`` and ``soft_cross_entropy(student, target, T)`` take it.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_labels, check_positive, check_same_shape, choose
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.conditional_ts import is_right
from graphkd.losses.response.kd import kl

Average = Literal["probabilities", "logits"]


def check_stack(teachers: Tensor) -> None:
    """Teachers must be stacked on the first dimension, one at least."""
    if teachers.dim() != 3 or teachers.size(0) == 0:
        raise ValueError(f"'teachers' must have shape (K, N, C), K above 0, got {tuple(teachers.shape)}")


def _shares(weights: Tensor | None, teachers: Tensor) -> Tensor:
    """Weights over their sum, (K, N, 1) or (K, 1, 1); 0 where all are 0."""
    count = teachers.size(0)
    if weights is None:
        return teachers.new_full((count, 1, 1), 1 / count)
    if weights.shape not in ((count,), teachers.shape[:2]):
        raise ValueError(
            f"'weights' must have shape {(count,)} or {tuple(teachers.shape[:2])}, got {tuple(weights.shape)}"
        )
    weights = weights.to(teachers.dtype).reshape(count, -1, 1)
    total = weights.sum(dim=0)
    return weights / torch.where(total > 0, total, 1)


def soft_target(
    teachers: Tensor, temperature: float = 1.0, *, weights: Tensor | None = None, average: Average = "probabilities"
) -> Tensor:
    """The weighted average of teachers, as logits: (K, N, C) -> (N, C). Hinton et al., 2015, arXiv:1503.02531.

    ``average``: of the "probabilities" softmax(t_k / T), the target is sum_k w_k softmax(t_k / T); of the "logits", it
    is softmax(sum_k w_k t_k / T), a geometric mean. ``weights``: (K,) or a weight of each teacher for each row, (K, N),
    0 at least and not all 0, divided by their sum (equal ones by default). FedDF averages logits, Lin et al., NeurIPS
    2020, arXiv:2006.07242; so does FedAUX, by each client's ``certainty`` about each row.
    """
    check_stack(teachers)
    choose("average", average, get_args(Average))
    check_positive("temperature", temperature)
    teachers = teachers.to(accumulation_dtype(teachers))
    shares = _shares(weights, teachers)
    if average == "logits":
        return (shares * teachers).sum(dim=0)
    logs = (teachers / temperature).log_softmax(dim=-1)
    return temperature * (logs + shares.log()).logsumexp(dim=0)


def entropy_reduction(teachers: Tensor, temperature: float = 0.1) -> Tensor:
    """The mean probabilities, sharpened: (K, N, C) -> (N, C) logits. Itahara et al., TMC 2021, arXiv:2008.06180 (ERA).

    The target is softmax(mean_k softmax(t_k) / T): a softmax of probabilities, so even at T = 0.1 no class has more
    than e^10 times another's. Clients and server take its cross-entropy at temperature 1.
    """
    check_stack(teachers)
    check_positive("temperature", temperature)
    return teachers.to(accumulation_dtype(teachers)).softmax(dim=-1).mean(dim=0) / temperature


def trimmed_mean(teachers: Tensor, trim: int = 1) -> Tensor:
    """The mean of each entry without its ``trim`` smallest and largest: (K, ...) -> (...).

    A robust mean of clients' predictions after Cronus (Chang et al., 2019, arXiv:1912.11279), whose own estimator is
    another one. Rows of probabilities no longer sum to 1. The other common choice is the entrywise median,
    ``teachers.quantile(0.5, dim=0)``.
    """
    if not 0 <= 2 * trim < teachers.size(0):
        raise ValueError(f"'trim' must leave one of {teachers.size(0)} teachers, got {trim}")
    return teachers.sort(dim=0).values[trim : teachers.size(0) - trim].mean(dim=0)


def domain_similarity(sources: Tensor, target: Tensor) -> Tensor:
    """Weights of source domains for a target domain: distributions (K, V), (V,) -> (K,), their sum is 1.

    1 - JSD(source || target), JSD in bits, over its sum; after Ruder et al., 2017, arXiv:1702.02052, who compare term
    distributions; here those of items or features. How they map divergence to similarity is our choice. They train on
    ``soft_cross_entropy`` at T = 5 with the ``soft_target`` of these weights.
    """
    if sources.dim() != 2 or sources.shape[1:] != target.shape:
        raise ValueError(
            f"'sources' must have shape (K, V) and 'target' (V,), got {tuple(sources.shape)} and {tuple(target.shape)}"
        )
    middle = (sources + target) / 2
    one, other = (torch.xlogy(p, p) - torch.xlogy(p, middle) for p in (sources, target.expand_as(sources)))
    similarity = 1 - (one + other).sum(dim=1) / (2 * math.log(2))
    return similarity / similarity.sum()


def oracle_weights(teachers: Tensor, y: Tensor) -> Tensor:
    """1 where a teacher is right, else 0: (K, N, C), (N,) -> (K, N)."""
    check_stack(teachers)
    check_labels(y, teachers.size(1), teachers.size(2))
    return is_right(teachers, y).to(teachers.dtype)


def oracle_kd(student: Tensor, teachers: Tensor, y: Tensor, temperature: float = 3.0, *, weight: float = 1.0) -> Tensor:
    """CE + weight T^2 KL from the teachers that are right. Kang et al., AAAI 2020, arXiv:1911.13019 (oracle KD).

    The target of a row is the mean of softmax(t_k / T) over the teachers k whose first class is y; (N, C), (K, N, C),
    (N,) -> scalar, means over rows. Rows that no teacher gets right have their label alone (our reading).
    """
    weights = oracle_weights(teachers, y)
    seen = weights.any(dim=0)
    target = soft_target(teachers[:, seen], temperature, weights=weights[:, seen])
    soft = kl(student[seen], target, temperature)
    return cross_entropy(student, y) + weight * soft * seen.sum() / max(seen.numel(), 1)


def vote_triplets(teachers: Tensor, triplets: Tensor) -> tuple[Tensor, Tensor]:
    """Which of two rows is nearer to a third, by majority: (K, N, d), (M, 3) -> (M, 3), (M,). You et al., KDD 2017.

    Each teacher votes +1 where it has ``triplets[:, 1]`` nearer to ``triplets[:, 0]`` than ``triplets[:, 2]``, -1 where
    the other one is, 0 where neither. Returns the triplets as (anchor, near, far) and the sums of the votes; a tie
    keeps the order given. The student learns them by ``triplet_hinge``.
    """
    check_stack(teachers)
    if triplets.dim() != 2 or triplets.size(1) != 3 or triplets.is_floating_point():
        raise ValueError(f"'triplets' must hold integers of shape (M, 3), got {triplets.dtype} {tuple(triplets.shape)}")
    anchor, one, other = (teachers[:, rows] for rows in triplets.unbind(dim=1))
    nearer = torch.linalg.vector_norm(anchor - other, dim=-1) - torch.linalg.vector_norm(anchor - one, dim=-1)
    votes = nearer.sign().sum(dim=0).long()
    return torch.where(votes[:, None] < 0, triplets[:, [0, 2, 1]], triplets), votes


def selective_fusion(server: Tensor, teachers: Tensor, y: Tensor) -> Tensor:
    """Who answers for each labelled row, as logits: (N, C), (K, N, C), (N,) -> (N, C). Cheng et al., 2021 (FedGEMS).

    The server's own stored logits where they are right; else the right clients', averaged; the label where all are
    wrong, a target of minus infinity elsewhere that ``soft_cross_entropy`` takes. A restatement, arXiv:2110.11027: the
    paper weights clients by their entropy H, in a form unknown to us; here by exp(-H).
    """
    check_same_shape(server, teachers[0])
    right = oracle_weights(teachers, y)
    logs = teachers.to(accumulation_dtype(teachers)).log_softmax(dim=-1)
    clients = soft_target(teachers, weights=right * (logs.exp() * logs).sum(dim=-1).exp())
    label = F.one_hot(y, server.size(-1)).to(clients.dtype).log()
    fused = torch.where(right.any(dim=0)[:, None], clients, label)
    return torch.where(is_right(server, y)[:, None], server.to(clients.dtype), fused)


def class_credibility(
    teacher: Tensor, y: Tensor | None, confusion: Tensor, *, highest: float = 1.0, threshold: float = 0.1
) -> Tensor:
    """How far to trust a global model's logit of each class on each row: (N, C), (N,), (C, C) -> (N, C), see below.

    highest max(0, a_c softmax(t_i)_y - threshold), a_c = A_cc (1 - max_{j != c} A_jc); A_jc is the share of class j
    that the model takes for c, on held-out rows. A restatement of FedSSD (He et al., IEEE Trans. Big Data 2022).
    ``y=None`` trusts all rows alike, the second factor is 1: our reading of FedCAD, whose weights are unknown to us.
    """
    if confusion.shape != (teacher.size(-1),) * 2:
        raise ValueError(f"'confusion' must be {(teacher.size(-1),) * 2}, got {tuple(confusion.shape)}")
    hits = confusion.diagonal()
    mistaken = (confusion - hits.diag()).amax(dim=0)
    sure = teacher.new_ones(teacher.size(0), 1)
    if y is not None:
        check_labels(y, teacher.size(0), teacher.size(-1))
        sure = teacher.softmax(dim=-1).gather(1, y[:, None])
    return highest * (hits * (1 - mistaken) * sure - threshold).clamp_min(0)


def selective_distillation(student: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
    """mean_i |w_i (s_i - t_i)|^2 with the weights of ``class_credibility``: (N, C) each -> scalar. FedSSD adds CE."""
    check_same_shape(student, teacher)
    check_same_shape(student, weights)
    return (weights * (student - teacher)).square().sum() / max(student.size(0), 1)
