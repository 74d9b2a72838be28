"""GraphD: a teacher's tables, each row mixed at random with its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.norms import cosines
from recsys.data.entity_graphs import Around, EntityGraph
from recsys.losses._averaged import AveragedExperts
from recsys.losses._filtered import FilteredLoss, Kept, Weight
from recsys.losses._tables import Tables, Triplets


class GraphD(FilteredLoss):
    """Compare randomly mixed neighbourhoods of embeddings. Zhu, code of woriazzc/KDs, 2024; there is no paper.

    S'_e = a_S S_e + (1 - a_S) sum_n A'_en S_n, T'_e likewise with a_T: a_S, a_T uniform in [0, 2 alpha), drawn for
    users, for positive and for negative items; A the graph of the nearest rows of the teacher's table, each edge kept
    with probability ``keep`` and then divided by it, the same edges on both sides. l(e) = 1 - cos(f(S'_e), T'_e), f the
    mean of ``experts`` networks d_s -> d_t // 2 -> d_t with ``dropout``; sums as in ``FreqD``, which projects before it
    mixes. student, teacher, users, positives, negatives, kept: as for ``FreqD``; user_graph, item_graph: ``nearest``
    rows of the teacher's tables. self_weights: (3, 2), a_S and a_T of the three, in place of draws. With alpha > 1/2 a
    weight may exceed 1; neighbours are then subtracted, as in the authors' code. With ``self_weights`` of 1 nothing is
    mixed. A projection of zeros has cosine 0. O(n k d) and the experts' cost.

    Example::

        >>> from recsys.data.entity_graphs import nearest
        >>> from recsys.models import MF
        >>> teacher = MF(170, 180, width=8)
        >>> loss = GraphD(4, 8, *(nearest(table.detach()) for table in teacher.tables()))
        >>> result = recsys.distil(loss, MF(170, 180, width=4), teacher, split, epochs=2, progress=False)
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        user_graph: EntityGraph,
        item_graph: EntityGraph,
        *,
        alpha: float = 0.7,
        keep: float = 0.7,
        experts: int = 5,
        dropout: float = 0.2,
        on: tuple[str, str] | None = None,
    ) -> None:
        hidden = max(teacher_dim // 2, 1)
        users, items = (AveragedExperts(student_dim, teacher_dim, hidden, experts, dropout=dropout) for _ in range(2))
        super().__init__(users, items, (user_graph, item_graph), keep, on)
        if not 0 <= alpha <= 1:
            raise ValueError(f"'alpha' must be in [0, 1], got {alpha}")
        self.alpha = alpha

    def forward(
        self,
        student: Tables,
        teacher: Tables,
        *,
        users: Tensor,
        positives: Tensor,
        negatives: Tensor,
        kept: Kept | None = None,
        self_weights: Tensor | None = None,
    ) -> Tensor:
        """See the class."""
        if self_weights is None:
            drawn = torch.rand(3, 2, dtype=torch.float64, device=student[0].device)  # the same draws in all precisions
            self_weights = (2 * self.alpha * drawn).to(student[0].dtype)
        if self_weights.shape != (3, 2):
            raise ValueError(f"'self_weights' must have shape (3, 2), got {tuple(self_weights.shape)}")
        own = [(pair[0], pair[1]) for pair in self_weights]
        return self.total(student, teacher, Triplets(users, positives, negatives), kept, own)

    def errors(
        self, student: Tensor, teacher: Tensor, around: Around, experts: AveragedExperts, own: tuple[Weight, Weight]
    ) -> Tensor:
        """Compute l of every entity: mix, then project."""
        sides = zip((student, teacher), own, strict=True)
        ours, theirs = (around.mixed(rows, weight, 1 - weight) for rows, weight in sides)
        return 1 - cosines(experts(ours), theirs)
