"""LightGNN: a small propagation, distilled from a deeper one while its edges and entries are pruned."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from graphkd.core.loss import Loss
from graphkd.kernels.operators import row_blocks
from graphkd.kernels.pairs.contrast import product_logsumexp
from graphkd.losses._checks import check_positive
from recsys.losses._scores import wide
from recsys.losses._tables import Tables, constant_tables

_BLOCK = 1 << 22  # pairs of a block of rows and all entities at a time


def layers_of(table: Tensor, edges: Tensor, values: Tensor, layers: int) -> list[Tensor]:
    """A^l E for l = 0 ... L, (n, d) each: table E (n, d), edges (2, nnz) row and column, values (nnz,). O(L nnz d)."""
    found = [table]
    for _ in range(layers):
        sent = found[-1].index_select(0, edges[1]) * values[:, None]
        found.append(torch.zeros_like(table).index_add(0, edges[0], sent))
    return found


def soft_pairs(student: Tensor, teacher: Tensor, temperature: float = 0.03, eps: float = 1e-8) -> Tensor:
    """Match soft preferences: - mean [q log(p + eps) + (1 - q) log(1 - p + eps)], sigmoids of score gaps (R,) / T."""
    p, q = (student / temperature).sigmoid(), (teacher.detach() / temperature).sigmoid()
    return -(q * (p + eps).log() + (1 - q) * (1 - p + eps).log()).mean()


def table_contrast(student: Tensor, teacher: Tensor, ids: Tensor, temperature: float = 0.1) -> Tensor:
    """Contrast a teacher's rows with the student's by InfoNCE: (n, d), (n, d), ids (m,) -> scalar; never n x n.

    - mean over ids e of log(exp(c(h_e, s_e) / T) / (sum_x exp(c(h_e, s_x) / T) + 1e-8)), c of rows + 1e-8.
    """
    h, s = F.normalize(teacher.detach()[ids] + 1e-8), F.normalize(student + 1e-8)
    whole = _plus(product_logsumexp(h, s, 1 / temperature), 1e-8)
    return (whole - (h * s[ids]).sum(dim=1) / temperature).mean()


def spread(tables: Tables, users: Tensor, items: Tensor, temperature: float = 1.0) -> Tensor:
    """Spread rows: the mean over ids of log(sum_x exp(s_e . s_x / T) + 1e-5), summed over all four pairings."""
    rows = tables[0][users], tables[1][items]
    sums = [product_logsumexp(one, other, 1 / temperature) for one in rows for other in tables]
    return torch.stack([_plus(each, 1e-5).mean() for each in sums]).sum()


def subspaces(
    tables: Tables, masks: Tables, users: Tensor, items: Tensor, loosen: float = 1.0, temperature: float = 1.0
) -> Tensor:
    """Pull together rows that keep the same entries: masks (n, d) of 0 and 1 -> scalar, summed over the four pairings.

    - mean over ids e of sum_x target log softmax_x(s_e . s_x / T), target = whether |m_e . m_x| is at least |m_e| -
    ``loosen`` and |m_x| - ``loosen``; targets are not normalised. Rows go in blocks, which are recomputed for the
    gradient.
    """
    rows = tables[0][users], tables[1][items]
    held = masks[0][users], masks[1][items]
    parts = [
        _mask_contrast(rows[one], tables[other], held[one], masks[other], loosen, temperature)
        for one in (0, 1)
        for other in (0, 1)
    ]
    return torch.stack(parts).sum()


def _mask_contrast(s: Tensor, others: Tensor, m: Tensor, masks: Tensor, loosen: float, temperature: float) -> Tensor:
    """Compute one pairing of ``subspaces``."""
    sizes = masks.sum(dim=1)

    def block(rows: Tensor, held: Tensor, others: Tensor) -> Tensor:
        common, own = held @ masks.t(), held.sum(dim=1, keepdim=True)
        target = (common >= own - loosen) & (common >= sizes - loosen)
        return -((rows @ others.t() / temperature).log_softmax(dim=1) * target).sum()

    total = s.new_zeros(())
    for rows in row_blocks(s.size(0), others.size(0), _BLOCK, s.device):
        total = total + checkpoint(block, s[rows], m[rows], others, use_reentrant=False)
    return total / max(s.size(0), 1)


def _plus(logs: Tensor, eps: float) -> Tensor:
    """log(exp(logs) + eps)."""
    return torch.logaddexp(logs, torch.full_like(logs, math.log(eps)))


def largest(x: Tensor, fraction: float) -> Tensor:
    """Tell which entries stay: |x| above the threshold, the non-zero |x| at place int(count fraction), ascending.

    x may have any shape. The entry at the threshold is pruned too, hence one entry more than the fraction, and more
    where sizes are equal; 0 never stays.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"the share that is pruned must be in [0, 1), got {fraction}")
    size = x.detach().abs()
    there = size[size > 0].sort().values
    return size > there[int(len(there) * fraction)] if len(there) else size > 0


def edge_sizes(
    weights: Tensor,
    mask: Tensor,
    edges: Tensor,
    guide: Tensor,
    guide_edges: Tensor,
    guide_weights: Tensor,
    *,
    aug1: float = 0.05,
    aug2: float = 1.0,
) -> Tensor:
    """Rate edges by weight and two further terms: (w + aug1 sigma(m_row . m_column) + aug2 w_guide) mask, (nnz,).

    guide: tables m (n, d) of the intermediate model; guide_edges (2, nnz'), guide_weights (nnz',): its edges. An edge
    that it lacks has w_guide 0. O(nnz log nnz').
    """
    size = guide.size(0)
    keys, order = (guide_edges[0] * size + guide_edges[1]).sort()
    asked = edges[0] * size + edges[1]
    place = torch.searchsorted(keys, asked).clamp_(max=max(len(keys) - 1, 0))
    found = torch.where(keys[place] == asked, guide_weights[order][place], 0)
    near = (guide[edges[0]] * guide[edges[1]]).sum(dim=1).sigmoid()
    return (weights + aug1 * near + aug2 * found) * mask


class LightGNN(Loss):
    """Distil a small propagation from a deeper one, beside BPR. Chen et al., WSDM 2025, arXiv:2501.03228.

    soft_weight ``soft_pairs`` of ``triples`` random users and pairs of items, drawn in every step + contrast_weight
    ``table_contrast`` with ``deep``, the sums of the teacher's layers from the second on, of users and items, at the
    batch's users and positives + spread_weight ``spread`` + subspace_weight ``subspaces`` by ``masks``, which entries
    of each row are kept. All are means. student, teacher: tables (U, d), (I, d), the teacher's of any width; deep: (U,
    d), (I, d), or None without contrast; users, positives: (B,). The authors' L2 of tables and edge weights is the
    optimiser's weight decay here. O(triples d + (n_users + n_items) (U + I) d) time for the n distinct users and items
    of a batch, in blocks.

    Example::

        >>> loss = LightGNN(contrast_weight=0.0, spread_weight=0.0, triples=10)
        >>> same = torch.zeros(3, 2), torch.zeros(4, 2)  # tables that prefer nothing
        >>> round(float(loss(same, same, users=torch.tensor([0]), positives=torch.tensor([1])).exp()), 3)
        2.0
    """

    on = ("user", "item")

    def __init__(
        self,
        deep: Tables | None = None,
        masks: Tables | None = None,
        *,
        soft_weight: float = 1.0,
        soft_temperature: float = 0.03,
        triples: int = 100_000,
        contrast_weight: float = 0.01,
        contrast_temperature: float = 0.1,
        spread_weight: float = 1.0,
        subspace_weight: float = 1e-4,
        loosen: float = 1.0,
        on: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(on=on)
        if contrast_weight and deep is None:
            raise ValueError(
                "'deep' must be the sums of the teacher's deeper layers beside 'contrast_weight', got none"
            )
        self.soft_weight, self.contrast_weight = soft_weight, contrast_weight
        self.spread_weight, self.subspace_weight = spread_weight, subspace_weight if masks is not None else 0.0
        self.soft_temperature = check_positive("soft_temperature", soft_temperature)
        self.contrast_temperature = check_positive("contrast_temperature", contrast_temperature)
        self.triples, self.loosen = triples, loosen
        for name, tables in (("deep", deep), ("mask", masks)):
            for side, table in zip(("user", "item"), tables or (None, None), strict=True):
                self.register_buffer(f"{name}_{side}", None if table is None else table.detach(), persistent=False)

    def forward(self, student: Tables, teacher: Tables, *, users: Tensor, positives: Tensor) -> Tensor:
        """See the class."""
        user, item, *others = wide(*student, *constant_tables(teacher, student))
        student, teacher, ids = (user, item), (others[0], others[1]), (users.unique(), positives.unique())
        total = user.sum() * 0
        if not len(users):
            return total
        if self.soft_weight:
            total = total + self.soft_weight * self.preferences(student, teacher)
        if self.contrast_weight:
            parts = zip(student, self._tables("deep"), ids, strict=True)
            total = total + self.contrast_weight * sum(
                table_contrast(own, deep, some, self.contrast_temperature) for own, deep, some in parts
            )
        if self.spread_weight:
            total = total + self.spread_weight * spread(student, *ids)
        if self.subspace_weight:
            masks = self._tables("mask")
            kept = masks[0].to(student[0].dtype), masks[1].to(student[1].dtype)
            total = total + self.subspace_weight * subspaces(student, kept, *ids, self.loosen)
        return total

    def preferences(self, student: Tables, teacher: Tables) -> Tensor:
        """Compute ``soft_pairs`` of random users, each with two random items."""
        sizes, device = (len(student[0]), len(student[1])), student[0].device
        users = torch.randint(sizes[0], (self.triples,), device=device)
        pairs = torch.randint(sizes[1], (2, self.triples), device=device)
        own, known = (
            (user.index_select(0, users) * (item.index_select(0, pairs[0]) - item.index_select(0, pairs[1]))).sum(dim=1)
            for user, item in (student, teacher)
        )
        return soft_pairs(own, known, self.soft_temperature)

    def _tables(self, name: str) -> Tables:
        return getattr(self, f"{name}_user"), getattr(self, f"{name}_item")
