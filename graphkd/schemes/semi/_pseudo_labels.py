"""Choice of unlabelled rows that teach, and of their pseudo-labels."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.problem import Problem


def unlabelled_nodes(problem: Problem) -> Tensor:
    """Return the ids of the nodes without a label that may be learnt, (M,)."""
    return (~problem.values_of(problem.labelled)).nonzero()[:, 0]


def select_pseudo_labels(
    teacher: Tensor, threshold: float = 0.3, per_class: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Select confident rows, if asked as many of each class: (N, C) -> rows (M,), labels (M,), confidences (N,).

    Selects rows whose largest probability is at least ``threshold``, class by class, the most confident first.
    per_class: the first so many of each class; a class with fewer rows (but any) repeats them in order until it has as
    many (the authors' code repeats with a random rounding). None: all rows once. Noisy student's quota is 130,000 (Xie
    et al., CVPR 2020).
    """
    confidence, label = teacher.softmax(dim=-1).max(dim=-1)
    order = confidence.argsort(descending=True, stable=True)
    order = order[confidence[order] >= threshold]
    chosen = [order[label[order] == c] for c in range(teacher.size(-1))]
    if per_class is not None:
        chosen = [rows[torch.arange(per_class, device=rows.device) % rows.numel()] for rows in chosen if rows.numel()]
    selected = torch.cat([*chosen, order[:0]])
    return selected, label[selected], confidence
