"""Which unlabelled rows may teach, and what they teach."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.problem import Problem
from graphkd.losses._checks import check_rows


def unlabelled_nodes(problem: Problem) -> Tensor:
    """Ids of the nodes without a label that may be learnt, (M,)."""
    return (~problem.values_of(problem.labelled)).nonzero()[:, 0]


def select_pseudo_labels(
    teacher: Tensor, threshold: float = 0.3, per_class: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Take confident rows, as many of each class: (N, C) -> rows (M,), labels (M,), confidences (N,).

    Rows of which the largest probability is ``threshold`` at least, class by class, the most confident first. Of each
    class the first ``per_class``; a class that has fewer (but has any) repeats its rows in order until it has as many
    (the authors' code repeats with a random rounding). None: all rows once. Noisy student's quota is 130,000 (Xie et
    al., CVPR 2020).
    """
    confidence, label = teacher.softmax(dim=-1).max(dim=-1)
    order = confidence.argsort(descending=True, stable=True)
    order = order[confidence[order] >= threshold]
    chosen = [order[label[order] == c] for c in range(teacher.size(-1))]
    if per_class is not None:
        chosen = [rows[torch.arange(per_class, device=rows.device) % rows.numel()] for rows in chosen if rows.numel()]
    selected = torch.cat([*chosen, order[:0]])
    return selected, label[selected], confidence


def cluster_difference(hidden: Tensor, teacher: Tensor) -> Tensor:
    """Measure how decidedly a row belongs to one of two clusters: (N, d), (N, 2) -> (N,). Ruder et al., 2017.

    |cos(x_i, m_1) - cos(x_i, m_0)|, m_c the mean of the hidden features that the teacher puts into class c (maximum
    cluster difference, MCD); a class of no rows has cosine 0. arXiv:1702.02052.
    """
    check_rows(hidden, teacher)
    if teacher.size(-1) != 2:
        raise ValueError(f"'teacher' must have 2 classes, got {teacher.size(-1)}")
    members = F.one_hot(teacher.argmax(dim=-1), 2).to(hidden.dtype)
    return (F.normalize(hidden, dim=-1) @ F.normalize(members.t() @ hidden, dim=-1).t()).diff(dim=-1).abs()[:, 0]


def mixed_pseudo_labels(teacher: Tensor, temperature: float = 5.0, mix: float = 0.5) -> Tensor:
    """Mix (1 - mix) onehot(argmax t) + mix softmax(t / T), as logits at T: (N, C) -> (N, C). Ruder et al., 2017.

    For ``soft_cross_entropy`` at T, on the rows of largest ``cluster_difference``, in turn with all rows at mix = 1.
    """
    hard = F.one_hot(teacher.argmax(dim=-1), teacher.size(-1)).to(teacher.dtype)
    return temperature * ((1 - mix) * hard + mix * (teacher / temperature).softmax(dim=-1)).log()
