"""RCE-KD: match a student's and a teacher's top lists, and an intermediate list where they do not overlap."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive, check_same_shape
from recsys.data.lists import Lists, among
from recsys.losses._scores import Reduction, check_scores, reduce, wide

Scores = tuple[Tensor, Tensor]  # for the two lists of a row


def list_cross_entropy(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, kept: Tensor | None = None
) -> Tensor:
    """Compute the cross-entropy of two softened distributions over a list: (R, M), (R, M) -> (R,).

    ``kept`` (R, M) marks the entries that count; a row without any gives 0, with gradient 0.
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


def rcekd_meeting(own: Tensor, mixed: Tensor) -> tuple[Tensor, Tensor]:
    """Find what counts in mixed lists, and their overlap: ids (R, K), (R, L + K) -> (R, L + K) bool, (R,) float64.

    ``mixed`` are L drawn items, which all count, then the teacher's K, which count where they are neither in the
    student's ``own`` list nor drawn. The overlap is |teacher's among drawn| / K. O(R (K + L)).
    """
    k = own.size(1)
    sampled, top = mixed[:, : mixed.size(1) - k], mixed[:, mixed.size(1) - k :]
    among_own, among_sampled = among(top, own, sampled)
    added = ~(among_own | among_sampled)
    met = among_sampled.sum(dim=1).double() / max(k, 1)
    return torch.cat([torch.ones_like(sampled, dtype=torch.bool), added], dim=1), met


def rcekd(
    student: Scores,
    teacher: Scores,
    kept: Tensor,
    weight: Tensor,
    *,
    temperature: float = 1.0,
    reduction: Reduction = "sum",
    rows: Tensor | None = None,
) -> Tensor:
    """(1 - w) CE on the student's own list + w CE on the mixed one: scores (R, K) and (R, M) of both sides -> scalar.

    kept: (R, M) bool, entries of the mixed list that count; weight: (R,). rows: (B,), the list of the R that each row
    of a batch uses, where several rows share one. Formula at ``RCEKD``.
    """
    first = list_cross_entropy(student[0], teacher[0], temperature)
    second = list_cross_entropy(student[1], teacher[1], temperature, kept)
    weight = weight.to(first.dtype)
    values = (1 - weight) * first + weight * second
    return reduce(values if rows is None else values.index_select(0, rows), reduction)


class RCEKD(Loss):
    """Match the teacher over top lists by rejuvenated cross-entropy. Zhu and Zhang, 2025, arXiv:2509.20989.

    sum over rows of (1 - w) H(A) + w H(Q + (B - A - Q)), w = exp(-beta |B in Q| / K), H(X) = -sum_{i in X} p_i log q_i
    with p, q the softmax over X of the teacher's and the student's scores, both over T. A: the student's top K; B: the
    teacher's; Q: L items from the student's ranking, drawn near the teacher's items (``RCEKDLists``). student, teacher:
    scores of ``own`` (R, K) and ``mixed`` (R, L + K); own, mixed: these ``Lists``, A, and Q followed by B.
    ``RCEKDLists`` gives one list for each distinct user, and own_rows (B,), the list that each row of the batch uses;
    mixed_kept (R, L + K), the entries of the mixed list that count, and mixed_met (R,), |B in Q| / K, are computed here
    where they are not given. The sum counts a user once for each row, as the authors' code does. Their settings on
    CiteULike: T 1, K 50, L 50, beta 3. O(R (K + L)).

    Example::

        >>> own, mixed = (Lists(torch.tensor([0]), torch.tensor([items])) for items in ([0, 1], [0, 0, 1]))
        >>> scores = torch.zeros(1, 2), torch.zeros(1, 3)  # of a student and a teacher that prefer nothing
        >>> loss = RCEKD(sharpness=0.0)(scores, scores, own=own, mixed=mixed)
        >>> round(float(loss), 3)  # without sharpness the mixed list counts alone, of which one item is left
        0.0
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

    def forward(
        self,
        student: Scores,
        teacher: Scores,
        *,
        own: Lists,
        mixed: Lists,
        own_rows: Tensor | None = None,
        mixed_kept: Tensor | None = None,
        mixed_met: Tensor | None = None,
    ) -> Tensor:
        """See the class."""
        if not torch.equal(own.users, mixed.users):
            raise ValueError("'mixed' must be about the users of 'own', row by row, got other users")
        if mixed_kept is None or mixed_met is None:
            mixed_kept, mixed_met = rcekd_meeting(own.items, mixed.items)
        return rcekd(
            student,
            teacher,
            mixed_kept,
            torch.exp(-self.sharpness * mixed_met),
            temperature=self.temperature,
            reduction=self.reduction,
            rows=own_rows,
        )
