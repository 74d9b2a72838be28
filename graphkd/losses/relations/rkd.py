"""Relational knowledge distillation (RKD): distances of pairs and angles of triples of nodes."""

from dataclasses import dataclass
from typing import Any, Self, Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import angle_divergence, mean_distance
from graphkd.kernels.operators import accumulation_dtype
from graphkd.kernels.pairs.distances import FLOOR
from graphkd.kernels.pairs.relative_distances import Tiles, relative_distance_divergence, scaled_distances
from graphkd.losses._checks import check_rows
from graphkd.losses._rows import sample_rows


@dataclass(frozen=True)
class Scaled:
    """Features (N, d), the divisor of their distances, and the divided distances if they are cached."""

    features: Tensor
    scale: Tensor
    distances: Tiles = ()

    @classmethod
    def by_mean(cls, x: Tensor, **options: Any) -> Self:
        """Divide distances by their mean, cached up to 64 MB; further arguments are those of ``mean_distance``."""
        scale = mean_distance(x, **options)
        return cls(x, scale, scaled_distances(x, scale, **options))


def rkd_distance(
    student: Tensor,
    teacher: Tensor | Scaled,
    *,
    squared: bool = False,
    floor: float = FLOOR,
    delta: float = 1.0,
    diagonal: bool = True,
) -> Tensor:
    """Compare distances over their mean by Huber's loss: (N, d_s), (N, d_t) -> scalar; see ``RKDDistance``.

    ``squared`` compares squared distances; ``floor`` is the least squared distance, ``delta`` that of Huber's loss.
    Without ``diagonal`` it is the mean over pairs of different nodes, as in the code of GKD, not over all N^2.

    Example::

        >>> line = torch.tensor([[0.0], [1.0], [3.0]])  # distances over their mean: 0.5, 1, 1.5; the teacher's: 1
        >>> round(float(rkd_distance(line, torch.eye(3), diagonal=False)), 3)  # 4 pairs of 0.5^2 / 2, over 6 pairs
        0.083
    """
    check_rows(student, teacher if isinstance(teacher, Tensor) else teacher.features)
    if isinstance(teacher, Tensor):
        teacher = Scaled(teacher, mean_distance(teacher, squared=squared, floor=floor))
    student = student.to(accumulation_dtype(student))  # cast once: two gradients may be added
    sides = student, teacher.features, teacher.scale, teacher.distances
    found = relative_distance_divergence(*sides, squared=squared, floor=floor, delta=delta)
    count = student.size(0)
    return found if diagonal else found * (count / max(count - 1, 1))


class RKDDistance(Loss):
    """Match the distances of pairs of nodes, over their mean. Park et al., CVPR 2019, arXiv:1904.05068 (RKD-D).

    (1/N^2) sum_ij H(|s_i - s_j| / m_s - |t_i - t_j| / m_t), m the mean over pairs of different nodes (the student's
    has a gradient), H Huber's loss with delta 1; student: (N, d_s), teacher: (N, d_t). As in the authors' code a
    squared distance is at least 1e-12. Its usual weight is 25 beside class labels, 1 in metric learning. O(N^2 d) time
    in tiles, O(N d) memory; distances up to 64 MB per side (5,500 nodes) are cached instead of recomputed.

    Example::

        >>> x = torch.randn(6, 4)
        >>> abs(round(float(RKDDistance()(5 * x + 1, x)), 3))  # invariant to scale and shift
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 25 * RKDDistance()
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def digest(self, teacher: Tensor) -> Scaled:
        """Compute the teacher's distances over their mean once."""
        return Scaled.by_mean(teacher)

    def forward(self, student: Tensor, teacher: Tensor | Scaled) -> Tensor:
        return rkd_distance(student, teacher)


def rkd_angle(student: Tensor, teacher: Tensor, *, delta: float = 1.0, max_samples: int | None = None) -> Tensor:
    """Compare the cosines of all angles by Huber's loss: (N, d_s), (N, d_t) -> scalar; see ``RKDAngle``.

    Example::

        >>> line = torch.tensor([[0.0], [1.0], [3.0]])  # cosines 1, -1 and 1; the teacher's are 1/2
        >>> round(float(rkd_angle(line, torch.eye(3))), 3)  # 2 (1 / 8 + 1 + 1 / 8) / 27
        0.093
    """
    check_rows(student, teacher)
    student, teacher = sample_rows(student, teacher, max_samples)
    return angle_divergence(student, teacher, delta=delta)


class RKDAngle(Loss):
    """Match the angles of triples of nodes. Park et al., CVPR 2019, arXiv:1904.05068 (RKD-A).

    (1/N^3) sum_ivj H(cos(s_i s_v s_j) - cos(t_i t_v t_j)), H Huber's loss with delta 1, of the angle at v; student:
    (N, d_s), teacher: (N, d_t). Triples of fewer than three different nodes add 0. Its usual weight is 50 beside class
    labels, 2 in metric learning. O(N^3 + N^2 d) time and O(N^2) memory, by the law of cosines from squared distances:
    hence each step draws ``max_samples`` nodes if there are more (the paper's batches have 64 or 128); None takes all.

    Example::

        >>> x, rotation = torch.randn(6, 4), torch.linalg.qr(torch.randn(4, 4)).Q
        >>> abs(round(float(RKDAngle()(5 * x @ rotation + 1, x)), 3))  # invariant to scale, rotation and shift
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 50 * RKDAngle(max_samples=64)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(self, max_samples: int | None = 128, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.max_samples = max_samples

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return rkd_angle(student, teacher, max_samples=self.max_samples)


def rkd(
    student: Tensor,
    teacher: Tensor | Scaled,
    distance: float = 1.0,
    angle: float = 2.0,
    *,
    max_samples: int | None = None,
) -> Tensor:
    """Add ``distance`` times ``rkd_distance`` and ``angle`` times ``rkd_angle``; see ``RKD``.

    Example::

        >>> line, corners = torch.tensor([[0.0], [1.0], [3.0]]), torch.eye(3)
        >>> parts = rkd_distance(line, corners), rkd_angle(line, corners)
        >>> [round(float(value), 3) for value in (*parts, rkd(line, corners, distance=1.0, angle=2.0))]
        [0.056, 0.093, 0.241]
    """
    features = teacher if isinstance(teacher, Tensor) else teacher.features
    return distance * rkd_distance(student, teacher) + angle * rkd_angle(student, features, max_samples=max_samples)


class RKD(RKDDistance):
    """Match distances and angles of nodes: relational knowledge distillation. Park et al., CVPR 2019, arXiv:1904.05068.

    ``distance`` RKD-D + ``angle`` RKD-A, at the authors' ratio of 1 to 2: ``25 * RKD()`` is RepDistiller's. Distances
    are those of all pairs of nodes, angles those of ``max_samples`` nodes drawn at each step; see ``RKDDistance`` and
    ``RKDAngle``, which can be used alone.

    Example::

        >>> x, rotation = torch.randn(6, 4), torch.linalg.qr(torch.randn(4, 4)).Q
        >>> abs(round(float(RKD()(5 * x @ rotation + 1, x)), 3))
        0.0
        >>> loss = graphkd.losses.CE(where="train_mask") + 25 * RKD(max_samples=64)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    def __init__(
        self, distance: float = 1.0, angle: float = 2.0, *, max_samples: int | None = 128, **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.distance, self.angle, self.max_samples = distance, angle, max_samples

    def forward(self, student: Tensor, teacher: Tensor | Scaled) -> Tensor:
        return rkd(student, teacher, self.distance, self.angle, max_samples=self.max_samples)


@method(
    "rkd",
    family="relations",
    paper="Park et al., CVPR 2019",
    arxiv="1904.05068",
    survey=(30,),
    tasks=("rows",),
    needs=("hidden",),
)
def rkd_method(problem: Problem, *, weight: float = 25.0) -> Loss:
    """Match distances and angles of hidden rows, beside the labels.

    Choose it where the student must place nodes as the teacher does, whatever the widths, rotation and scale of the two
    layers. The weight was published for batches of images.
    """
    return problem.supervised() + weight * RKD()


@method(
    "rkd_distance",
    family="relations",
    paper="Park et al., CVPR 2019",
    arxiv="1904.05068",
    survey=(30,),
    tasks=("rows",),
    needs=("hidden",),
)
def rkd_distance_method(problem: Problem, *, weight: float = 25.0) -> Loss:
    """Match distances of hidden rows over their mean, beside the labels.

    Choose it over ``rkd`` where all pairs of nodes should count, and no triples.
    """
    return problem.supervised() + weight * RKDDistance()


@method(
    "rkd_angle",
    family="relations",
    paper="Park et al., CVPR 2019",
    arxiv="1904.05068",
    survey=(30,),
    tasks=("rows",),
    needs=("hidden",),
)
def rkd_angle_method(problem: Problem, *, weight: float = 50.0, max_samples: int = 128) -> Loss:
    """Match the angles that triples of hidden rows form, beside the labels.

    Choose it over ``rkd`` where distances of two layers cannot agree, or on large graphs: each step draws
    ``max_samples`` nodes.
    """
    return problem.supervised() + weight * RKDAngle(max_samples)
