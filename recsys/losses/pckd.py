"""PCKD: DE whose experts keep the student's own order of a few items."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkd.losses._checks import check_positive, choose
from recsys.losses._experts import Annealing, Noise
from recsys.losses._scores import check_scores, wide
from recsys.losses._tables import Tables, Triplets, constant_tables
from recsys.losses.de import DE

Form = Literal["list", "pair", "batch"]
WITHOUT_LAG = Annealing(lag=False)


class PCKDTerms(NamedTuple):
    """The parts of ``PCKD``: those of ``DE``, and the order of the chosen items."""

    users: Tensor
    positives: Tensor
    negatives: Tensor
    order: Tensor


def list_order(before: Tensor, after: Tensor, tau: float = 0.1) -> Tensor:
    """- sum over rows of softmax(before / tau) . log softmax(after / tau): (B, Q), (B, Q) -> scalar."""
    check_scores(before=before, after=after)
    before, after = wide(before, after)
    return F.cross_entropy(after / tau, (before / tau).softmax(dim=1), reduction="sum")


def pair_order(before: Tensor, after: Tensor) -> Tensor:
    """- sum over rows of the mean over k > 0 of log sigma((after_0 - after_k) (before_0 - before_k)): (B, Q) each."""
    check_scores(before=before, after=after)
    before, after = wide(before, after)
    gaps = [scores[:, :1] - scores[:, 1:] for scores in (before, after)]
    return -F.logsigmoid(gaps[0] * gaps[1]).mean(dim=1).sum()


class PCKD(DE):
    """Reconstruct embeddings by experts that keep the student's order. Zhu and Zhang, TKDE 2025, arXiv:2311.04549.

    DE + alpha R. With u^ = E_user(sg p_u), i^ = E_item(sg q_i), before(u, i) = sg <p_u, q_i>, after(u, i) = <u^, i^> of
    the rows u of the batch, R is by ``form`` "list": cross-entropy of softmax(after / tau) from softmax(before / tau)
    over the items ``preferred``; "pair": - log sigma((after_1 - after_2) (before_1 - before_2)) of the first two of
    these; "batch": the same of the row's positive and each of its negatives, the mean over these. All are sums over
    rows. Tables are constants in R, which trains experts and gates only. student, teacher, users, positives, negatives:
    as for ``DE``; preferred: (B, Q) items of every row, from ``PCKDLists``, not used by "batch"; copies: how often the
    batch repeats its rows, once for each negative. Every slot has its own noise, as in the authors' code;
    ``per_slot=False`` draws one noise vector for every distinct entity, which costs less and has another distribution.
    ``gumbel``: as for ``DE``, and for R under "reg_users" (B, M) and "reg_items" (B Q, M). The temperature falls
    without the lag of DE's code. Defaults are the authors' for BPR on CiteULike; their weight there is 0.05. alpha = 0
    is ``DE``, with the same draws. O(B Q M h (d_s + d_t)) while the routing is soft, a factor of M less once it is
    one-hot, see ``routed``; a single expert runs once for every distinct entity. Raises ValueError for "list" and
    "pair" without ``preferred``.

    Example::

        >>> from recsys.models import MF
        >>> result = recsys.distil(
        ...     PCKD(4, 8, experts=2, form="batch"), MF(170, 180, 4), MF(170, 180, 8), split, epochs=2, progress=False
        ... )
        >>> tuple(result.model.tables()[0].shape)  # experts are dropped
        (170, 4)
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        experts: int = 30,
        *,
        alpha: float = 0.1,
        form: Form = "list",
        tau: float = 0.1,
        per_slot: bool = True,
        temperature: float | Annealing = WITHOUT_LAG,
        gate_eps: float = 0.0,
        on: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(student_dim, teacher_dim, experts, temperature=temperature, gate_eps=gate_eps, on=on)
        if alpha < 0:
            raise ValueError(f"'alpha' must not be negative, got {alpha}")
        self.alpha, self.tau, self.per_slot = alpha, check_positive("tau", tau), per_slot
        self.form: Form = choose("form", form, get_args(Form))

    def forward(
        self,
        student: Tables,
        teacher: Tables,
        *,
        users: Tensor,
        positives: Tensor,
        negatives: Tensor,
        preferred: Tensor | None = None,
        copies: int = 1,
        gumbel: Noise | None = None,
    ) -> Tensor:
        """See the class."""
        teacher, noise = constant_tables(teacher, student), gumbel or {}
        parts = self.terms(student, teacher, Triplets(users, positives, negatives), noise)
        if not self.alpha:
            return self.total(parts)
        rows = users.size(0) // copies  # a batch repeats its rows once for each negative, block after block
        if self.form == "batch":
            others = negatives.view(copies, rows).t() if negatives.dim() == 1 else negatives
            items = torch.cat([positives[:rows, None], others], dim=1)
        else:
            items = self._preferred(preferred, rows)
        order = self.order(student, teacher, users[:rows], items, noise)
        return self.total(PCKDTerms(*parts, order))

    def order(self, student: Tables, teacher: Tables, users: Tensor, items: Tensor, noise: Noise) -> Tensor:
        """Compute R of users (B,) and items (B, Q); pairs are of the first item with every other."""
        ours = student[0].detach(), student[1].detach()
        before = _products(ours[0][users], ours[1][items])
        user = self._projected(ours, teacher, 0, users, noise.get("reg_users"))
        item = self._projected(ours, teacher, 1, items.flatten(), noise.get("reg_items"))
        after = _products(user, item.unflatten(0, items.shape))
        return list_order(before, after, self.tau) if self.form == "list" else pair_order(before, after)

    def total(self, terms: tuple[Tensor, ...]) -> Tensor:
        """Add DE's total and alpha times the order, where the order is one of the terms."""
        found = super().total(terms[:3])
        return found + self.alpha * terms[3] if len(terms) > 3 else found

    def _projected(self, ours: Tables, theirs: Tables, side: int, ids: Tensor, noise: Tensor | None) -> Tensor:
        """Project a side's rows by its experts: (n,) -> (n, d_t)."""
        experts, back = (self.users, self.items)[side], None
        if len(experts.gate_b) == 1 or not self.per_slot:
            ids, back = ids.unique(return_inverse=True)
        made: Tensor = experts(ours[side][ids], theirs[side][ids], self.temperature, noise)
        return made if back is None else made[back]

    def _preferred(self, preferred: Tensor | None, rows: int) -> Tensor:
        """Look up the items whose order is compared, (rows, Q)."""
        least = 2 if self.form == "pair" else 1
        if preferred is None or preferred.dim() != 2 or preferred.size(0) < rows or preferred.size(1) < least:
            got = "none" if preferred is None else f"shape {tuple(preferred.shape)}"
            raise ValueError(
                f"'preferred' must hold at least {least} items for each of {rows} rows, got {got}: give the batches "
                "recsys.sources.PCKDLists, or say form='batch'"
            )
        return preferred[:rows, :2].long() if self.form == "pair" else preferred[:rows].long()


def _products(users: Tensor, items: Tensor) -> Tensor:
    """Inner products of each user with its items: (B, d), (B, Q, d) -> (B, Q)."""
    return torch.bmm(items, users[:, :, None]).squeeze(2)
