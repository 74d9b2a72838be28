"""FreqD: a teacher's tables below a low-pass filter of who takes the same."""

from __future__ import annotations

from torch import Tensor

from graphkd.kernels.norms import cosines
from graphkd.kernels.operators import accumulation_dtype
from recsys.data.entity_graphs import Around, EntityGraph
from recsys.losses._averaged import AveragedExperts
from recsys.losses._filtered import FilteredLoss, Kept, Weight
from recsys.losses._tables import Tables, Triplets


class FreqD(FilteredLoss):
    """Compare embeddings after a low-pass filter on both sides. Zhu and Zhang, KDD 2025, arXiv:2411.10676.

    H = alpha A' + (1 - alpha) I, A' the normalised graph of entities, each edge kept with probability ``keep`` and then
    divided by it; S^ = H f(S), T^ = H T, f the mean of ``experts`` networks d_s -> d_t -> d_t with ``dropout``. l(e) =
    1 - cos(S^_e, T^_e), or |S^_e - T^_e|^2 where not ``normalise``; the loss is the sum of l over the distinct users +
    1/2 (that over the distinct positive items + that over the distinct negative items). Without dropout of units and
    edges, and over all entities, the squared form is sum_k (1 - alpha nu_k)^2 |v_k' (f(S) - T)|^2 with the eigenpairs
    of I - A: high frequencies count less. With alpha = 0 the embeddings are not filtered. student: tables (U, d_s), (I,
    d_s), teacher: (U, d_t), (I, d_t); users, positives, negatives: (B,) ids; kept: (E,) bool for every edge of the
    graphs, under the three names, in place of draws. user_graph, item_graph: ``co_occurrence`` of the training pairs,
    and of their transpose. Only entities of the batch and their neighbours are projected, at O(n degree d_t) and the
    experts' cost; the authors' code filters all entities, with the same values. Their weight is 0.5, beside summed BPR.
    The authors compare a LightGCN student's tables before propagation; here its propagated tables are compared. Raises
    ValueError for tables with another number of rows than the graphs.

    Example::

        >>> from recsys.data.entity_graphs import co_occurrence
        >>> graphs = co_occurrence(split.train), co_occurrence(split.train.transpose())
        >>> loss = FreqD(4, 8, *graphs, alpha=0.5)
        >>> from recsys.models import MF
        >>> result = recsys.distil(loss, MF(170, 180, width=4), MF(170, 180, width=8), split, epochs=2, progress=False)
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        user_graph: EntityGraph,
        item_graph: EntityGraph,
        *,
        alpha: float = 0.5,
        keep: float = 0.5,
        experts: int = 5,
        dropout: float = 0.2,
        normalise: bool = True,
        on: tuple[str, str] | None = None,
    ) -> None:
        users, items = (
            AveragedExperts(student_dim, teacher_dim, teacher_dim, experts, dropout=dropout) for _ in range(2)
        )
        super().__init__(users, items, (user_graph, item_graph), keep, on)
        if not 0 <= alpha <= 1:
            raise ValueError(f"'alpha' must be in [0, 1], got {alpha}")
        self.alpha, self.normalise = alpha, normalise

    def forward(
        self,
        student: Tables,
        teacher: Tables,
        *,
        users: Tensor,
        positives: Tensor,
        negatives: Tensor,
        kept: Kept | None = None,
    ) -> Tensor:
        """See the class."""
        own = (1 - self.alpha, 1 - self.alpha)
        return self.total(student, teacher, Triplets(users, positives, negatives), kept, [own] * 3)

    def errors(
        self, student: Tensor, teacher: Tensor, around: Around, experts: AveragedExperts, own: tuple[Weight, Weight]
    ) -> Tensor:
        """Compute l of every entity: project, then mix."""
        sides = zip((experts(student), teacher), own, strict=True)
        ours, theirs = (around.mixed(rows, weight, 1 - weight) for rows, weight in sides)
        if self.normalise:
            return 1 - cosines(ours, theirs)
        missed = ours - theirs
        return missed.to(accumulation_dtype(missed)).square().sum(dim=1)
