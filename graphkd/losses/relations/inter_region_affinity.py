"""Inter-region affinity: similarities of regions of a graph, by the moments of their nodes' features."""

from dataclasses import dataclass
from typing import Literal, Self, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import rescaled, unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows, choose, class_ids

Regions = Literal["labels", "teacher", "soft", "given"]

_MEMBERS = 3  # of two members the third central moment is 0, and its cosine rounding noise; one member has no moments

_SPREAD = 1e-6  # least second moment as a divisor

_ROUNDING = 8  # a sum of up to so many units in the last place of its summands counts as 0


def louvain_regions(edge_index: Tensor, num_nodes: int, *, resolution: float = 1.0, seed: int = 0) -> Tensor:
    """Find communities by Louvain's modularity, the largest first: (2, E) -> (N,) integers. Edges count as undirected.

    Blondel et al., 2008, arXiv:0803.0476, by networkx: seconds for 10,000 nodes, on the CPU. Compute it once and give
    it to ``InterRegionAffinity(regions="given")`` as ``regions`` of the batch.

    Example::

        >>> louvain_regions(torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]]), 6)  # two triangles
        tensor([0, 0, 0, 1, 1, 1])
    """
    import networkx  # type: ignore[import-untyped]  # torch depends on it; slow to import

    graph = networkx.Graph()
    graph.add_nodes_from(range(num_nodes))
    graph.add_edges_from(edge_index.t().tolist())
    found = networkx.community.louvain_communities(graph, resolution=resolution, seed=seed)
    region = torch.empty(num_nodes, dtype=torch.int64)
    for number, members in enumerate(sorted(found, key=lambda nodes: (-len(nodes), min(nodes)))):
        region[list(members)] = number
    return region.to(edge_index.device)


@dataclass(frozen=True)
class Membership:
    """Memberships of nodes in regions, with weights, (E,) each; regions of several graphs are numbered in turn.

    sizes: (G,) the number of nodes of each graph; regions: R, the number of regions per graph.
    """

    node: Tensor
    region: Tensor
    weight: Tensor
    sizes: Tensor
    regions: int

    @classmethod
    def of(cls, regions: Tensor, count: int | None = None, batch: Tensor | None = None) -> Self:
        """Read a region per node, (N,) integers, below 0 for none; or weights (N, R), 0 for nodes outside.

        count: R, by default the largest region plus 1; batch: (N,) the graph of every node, without it a single graph.
        """
        rows = regions.size(0)
        if regions.dim() == 1:
            count = int(regions.max()) + 1 if count is None and rows else count or 0
            entries = torch.arange(rows, device=regions.device), regions.clamp_min(0), (regions >= 0).float()
        else:
            count = regions.size(1)
            node = torch.arange(rows, device=regions.device).repeat_interleave(count)
            entries = node, torch.arange(count, device=regions.device).repeat(rows), regions.flatten()
            if not torch.compiler.is_compiling():  # compiled, entries of weight 0 stay: they only cost time
                member = entries[2].nonzero()[:, 0]
                entries = entries[0][member], entries[1][member], entries[2][member]
        node, region, weight = entries
        if batch is None:
            return cls(node, region, weight, torch.tensor([rows], device=regions.device), count)
        return cls(node, region + batch[node] * count, weight, torch.bincount(batch), count)

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the members of each region: (E, ...) -> (G R, ...)."""
        return values.new_zeros(self.sizes.numel() * self.regions, *values.shape[1:]).index_add(0, self.region, values)

    def rest(self, values: Tensor, slack: Tensor | float = 0.0) -> Tensor:
        """Sum over members; 0 where the sum is only rounding error, whose direction would mean nothing.

        slack: magnitude of rounding in the values, added to the sum of their own sizes.
        """
        found, size = self.sum(values), self.sum(values.detach().abs()) + slack
        return torch.where(found.abs() > _ROUNDING * torch.finfo(values.dtype).eps * size, found, 0)

    def counts(self) -> Tensor:
        """Count the members of each region: (G R,) integers."""
        return self.sum((self.weight != 0).long())

    def valid(self, *, literal: bool = False) -> Tensor:
        """Mark regions with enough members for three moments, 3, or 1 if ``literal`` counts nodes outside: (G R,)."""
        return self.counts() >= (1 if literal else _MEMBERS)


def region_moments(x: Tensor, membership: Membership, *, literal: bool = False) -> Tensor:
    """Compute the mean, second and third moment of each region: (N, d) -> (3, G R, d); see ``InterRegionAffinity``.

    Zeros for a region that is not ``valid``. O(E d) time and memory, in two passes: raw moments would lose digits.
    """
    values = x.to(accumulation_dtype(x))
    weight = membership.weight.to(values.dtype)[:, None]
    counts = membership.counts()[:, None]
    size = counts.clamp_min(1)
    member = values[membership.node] * weight
    present = (weight != 0).to(values.dtype)
    mean = membership.rest(member) / size
    apart = (member - mean[membership.region]) * present
    nodes = membership.sizes.repeat_interleave(membership.regions)[:, None]
    others = nodes - counts if literal else torch.zeros_like(counts)  # they have features 0, as printed
    within = membership.sum(apart.square())
    # Deviations of a constant component are rounding errors too.
    varies = within > size * (_ROUNDING * torch.finfo(values.dtype).eps * mean.detach()).square()
    apart = torch.where(varies[membership.region], apart, 0)
    second = (torch.where(varies, within, 0) + others * mean.square()) / size
    spread = second.clamp_min(_SPREAD)
    scaled = apart / spread[membership.region]
    # The mean's rounding error e changes a deviation by e, and its cube by 3 e times its square.
    slack = 3 * membership.sum(scaled.detach().square()) * (mean / spread).detach().abs()
    scaled = membership.rest(scaled**3, slack)
    outside = torch.where(others > 0, mean, 0) / spread
    third = (scaled - others * outside**3) / size
    return torch.stack([mean, second, third]) * membership.valid(literal=literal)[:, None]


def region_affinity(moments: Tensor) -> Tensor:
    """Compute the cosines of the regions in each moment: (..., R, d) -> (..., R, R)."""
    unit = unit_vectors(rescaled(moments, (-2, -1)))
    with torch.autocast(moments.device.type, enabled=False):
        return unit @ unit.mT


def check_regions(regions: Tensor, rows: int) -> None:
    """Check a region for each of the rows, (N,), or weights (N, R)."""
    if regions.dim() not in (1, 2) or regions.size(0) != rows:
        raise ValueError(f"'regions' must have shape ({rows},) or ({rows}, R), got {tuple(regions.shape)}")


@dataclass(frozen=True)
class RegionGraph:
    """A teacher's affinities (3, G, R, R), and the regions that they compare."""

    affinity: Tensor
    membership: Membership
    nodes: int

    @classmethod
    def of(cls, x: Tensor, membership: Membership, *, literal: bool = False) -> Self:
        """Compute the affinities of features (N, d)."""
        moments = region_moments(x, membership, literal=literal)
        moments = moments.unflatten(1, (membership.sizes.numel(), membership.regions))
        return cls(region_affinity(moments), membership, x.size(0))


def inter_region_affinity(
    student: Tensor,
    teacher: Tensor | RegionGraph,
    regions: Tensor | None = None,
    *,
    literal: bool = False,
    valid_only: bool = True,
) -> Tensor:
    """Compare affinities of regions: (N, d_s), (N, d_t), (N,) or (N, R) -> scalar; see ``InterRegionAffinity``."""
    if isinstance(teacher, Tensor):
        check_rows(student, teacher)
        if regions is None:
            raise ValueError("'regions' must say to which region each node belongs, got None")
        check_regions(regions, teacher.size(0))
        teacher = RegionGraph.of(teacher, Membership.of(regions), literal=literal)
    if student.size(0) != teacher.nodes:
        raise ValueError(f"'teacher' must be about {student.size(0)} nodes, got a graph of {teacher.nodes}")
    ours = RegionGraph.of(student, teacher.membership, literal=literal)
    counted = teacher.membership.valid(literal=literal)
    if not valid_only:
        counted = torch.ones_like(counted)
    count = counted.view(ours.affinity.shape[1:3]).sum(dim=1).clamp_min(1)
    values = (ours.affinity - teacher.affinity).square().sum(dim=(0, 2, 3)) / (3 * count**2)
    return values.sum() / max(values.numel(), 1)


class InterRegionAffinity(Loss):
    """Match the similarities of regions of the graph: inter-region affinity. Hou et al., CVPR 2020 (IntRA-KD).

    (1 / 3 R^2) sum_r sum_ij (C^s_r - C^t_r)^2, C_r the cosines of the r-th moments of the regions i and j: mu_1 = mean
    of M f over the members, mu_2 = mean of (M f - mu_1)^2, mu_3 = mean of ((M f - mu_1) / mu_2)^3, by component, M the
    weight of a node's membership. The paper's regions are lane markings; here ``regions`` are the "labels" ``y`` (with
    ``where="train_mask"``), the "teacher"'s classes, its "soft" class probabilities as M, or "given": the batch input
    ``regions``, (N,) or (N, R), such as ``louvain_regions``. student: (N, d_s), teacher: (N, d_t); the teacher's
    classes are read from a second entry, "logits".

    mu_3 divides by the second moment (at least 1e-6), not its root, as printed. Regions of fewer than 3 members add 0
    and do not count in R (``valid_only=False``: they count). ``literal`` sums over all nodes, where nodes outside have
    features 0, as the paper prints and the authors' example does; then one member is enough. With ``batch``: (N,), the
    graph of each node, the loss is the mean over graphs. The authors released no losses and no weight is known for
    graphs; begin with 10. num_regions: R, else read from the device. O(E d + R^2 d) time for E memberships.

    Example::

        >>> x, y = torch.rand(6, 4), torch.tensor([0, 0, 0, 1, 1, 1])
        >>> abs(round(float(InterRegionAffinity()(3 * x, x, y=y)), 3))  # invariant to scale
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 10 * InterRegionAffinity("teacher")
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on: str | tuple[str, ...] = "hidden"
    rows = ("y", "regions", "batch")
    answers_at = (1,)

    def __init__(
        self,
        regions: Regions = "labels",
        *,
        num_regions: int | None = None,
        literal: bool = False,
        valid_only: bool = True,
        **reads: Unpack[Reads],
    ) -> None:
        if regions in ("teacher", "soft"):
            reads["on"] = reads.get("on") or ("hidden", "logits")
        super().__init__(**reads)
        self.regions = choose("regions", regions, Regions)
        self.answers = "classes" if regions == "soft" else None
        self.learns_labels = regions == "labels"
        self.num_regions, self.literal, self.valid_only = num_regions, literal, valid_only

    def digest(
        self,
        teacher: Tensor | tuple[Tensor, Tensor],
        *,
        y: Tensor | None = None,
        regions: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> RegionGraph:
        """Compute the teacher's regions and their affinities once."""
        features, logits = teacher if isinstance(teacher, tuple) else (teacher, None)
        chosen = self._regions(logits, y, regions, features.size(0))
        count = None if chosen.dim() == 2 else self.num_regions
        if logits is not None and self.regions == "teacher":
            count = logits.size(1)
        return RegionGraph.of(features, Membership.of(chosen, count, batch), literal=self.literal)

    def forward(
        self,
        student: Tensor | tuple[Tensor, Tensor],
        teacher: Tensor | tuple[Tensor, Tensor] | RegionGraph,
        *,
        y: Tensor | None = None,
        regions: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        features = student[0] if isinstance(student, tuple) else student
        if not isinstance(teacher, RegionGraph):
            check_rows(features, teacher[0] if isinstance(teacher, tuple) else teacher)
            teacher = self.digest(teacher, y=y, regions=regions, batch=batch)
        return inter_region_affinity(features, teacher, literal=self.literal, valid_only=self.valid_only)

    def _regions(self, logits: Tensor | None, y: Tensor | None, given: Tensor | None, rows: int) -> Tensor:
        if self.regions == "labels":
            if y is None:
                raise ValueError("regions='labels' needs 'y' from the batch, got None")
            return class_ids(y, rows, self.num_regions)
        if self.regions == "given":
            if given is None:
                raise ValueError("regions='given' needs 'regions' from the batch, got None")
            check_regions(given, rows)
            return given
        if logits is None:
            raise ValueError(f"regions={self.regions!r} reads the pair of entries (hidden, logits), got one entry")
        if self.regions == "teacher":
            return logits.argmax(dim=1)
        return logits.detach().to(accumulation_dtype(logits)).softmax(dim=1)


@method(
    "inter_region_affinity",
    family="relations",
    paper="Hou et al., CVPR 2020",
    arxiv="2004.05304",
    tasks=("classes",),
    needs=("hidden",),
)
def inter_region_affinity_method(problem: Problem, *, weight: float = 10.0, regions: Regions = "teacher") -> Loss:
    """Match how alike regions of nodes are in the moments of their hidden rows, beside the labels.

    Choose it on large graphs where groups of nodes have a meaning: the teacher's classes, the labels, or with "given"
    the entry ``regions`` of the data. No weight is published for graphs: we chose it on validation rows of Cora, from
    0.1 to 10.
    """
    where = problem.labelled if regions == "labels" else None
    return problem.supervised() + weight * InterRegionAffinity(regions, where=where)
