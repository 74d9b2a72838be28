"""RCE-KD: rankings of teacher and student meet where their top lists do, and are brought together where not."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive, check_same_shape
from recsys.data.lists import Lists
from recsys.losses._scores import Reduction, check_scores, reduce, wide

Scores = tuple[Tensor, Tensor]  # of the two lists of a row


def list_cross_entropy(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, kept: Tensor | None = None
) -> Tensor:
    """Cross-entropy of two softened distributions over a list: (R, M), (R, M) -> (R,).

    ``kept`` (R, M) says which entries count; a row that keeps none gives 0, with gradient 0.
    """
    check_scores(student=student, teacher=teacher)
    check_same_shape(student, teacher)
    s, t = (scores / check_positive("temperature", temperature) for scores in wide(student, teacher))
    if kept is not None:
        if kept.shape != student.shape:
            raise ValueError(
                f"'kept' must have the shape of 'student', {tuple(student.shape)}, got {tuple(kept.shape)}"
            )
        hidden = ~kept & kept.any(dim=1, keepdim=True)
        s, t = (scores.masked_fill(hidden, -torch.inf) for scores in (s, t))
    logs = F.log_softmax(s, dim=1)
    if kept is not None:
        logs = logs.masked_fill(~kept, 0)
    return -(t.softmax(dim=1) * logs).sum(dim=1)


def rcekd_overlap(own: Tensor, sampled: Tensor, top: Tensor, sharpness: float = 3.0) -> tuple[Tensor, Tensor]:
    """Which teacher's items the second list adds, and its weight: ids (R, K), (R, L), (R, K) -> (R, K) bool, (R,).

    The teacher's ``top`` items are added where they are neither among the student's ``own`` nor ``sampled``; the weight
    is exp(-beta |top in sampled| / K), beta being ``sharpness``.
    """
    among_own, among_sampled = ((top[:, :, None] == ids[:, None, :]).any(dim=2) for ids in (own, sampled))
    met = among_sampled.sum(dim=1).double() / max(top.size(1), 1)
    return ~(among_own | among_sampled), torch.exp(-sharpness * met)


def rcekd(
    student: Scores,
    teacher: Scores,
    kept: Tensor,
    weight: Tensor,
    *,
    temperature: float = 1.0,
    reduction: Reduction = "sum",
) -> Tensor:
    """(1 - w) CE on the student's own list + w CE on the mixed one: scores (R, K) and (R, M) of both sides -> scalar.

    kept: (R, M) bool, which of the mixed list count; weight: (R,). Formula at ``RCEKD``.
    """
    first = list_cross_entropy(student[0], teacher[0], temperature)
    second = list_cross_entropy(student[1], teacher[1], temperature, kept)
    weight = weight.to(first.dtype)
    return reduce((1 - weight) * first + weight * second, reduction)


class RCEKD(Loss):
    """Rejuvenated cross-entropy on top items. Zhu and Zhang, 2025, arXiv:2509.20989.

    sum over rows of (1 - w) H(A) + w H(Q + (B - A - Q)), w = exp(-beta |B in Q| / K), H(X) = -sum_{i in X} p_i log q_i
    with p, q the softmax over X of the teacher's and the student's scores, both over T. A: the student's top K; B: the
    teacher's; Q: L items of the student's, drawn where the teacher's are near (``RCEKDLists``).
    student, teacher: scores of ``own`` (R, K) and ``mixed`` (R, L + K); own, mixed: these ``Lists``, A, and Q followed
    by B. The sum counts a user once for each row, as the authors' code does. Their settings on CiteULike: T 1, K 50,
    L 50, beta 3. O(R (K + L) K).
    """

    on = ("own", "mixed")

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        sharpness: float = 3.0,
        reduction: Reduction = "sum",
        on: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(on=on)
        self.temperature, self.sharpness = check_positive("temperature", temperature), sharpness
        self.reduction: Reduction = reduction

    def forward(self, student: Scores, teacher: Scores, *, own: Lists, mixed: Lists) -> Tensor:
        """See the class."""
        if not torch.equal(own.users, mixed.users):
            raise ValueError("'mixed' must be about the users of 'own', row by row, got other users")
        k = own.items.size(1)
        sampled, top = mixed.items[:, :-k], mixed.items[:, -k:]
        added, weight = rcekd_overlap(own.items, sampled, top, self.sharpness)
        kept = torch.cat([torch.ones_like(sampled, dtype=torch.bool), added], dim=1)
        return rcekd(student, teacher, kept, weight, temperature=self.temperature, reduction=self.reduction)
