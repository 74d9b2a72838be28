"""Relational distillation (RKD): how far nodes are from each other, and at which angles."""

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
    """Features (N, d), what their distances are divided by, and these distances where they are kept."""

    features: Tensor
    scale: Tensor
    distances: Tiles = ()

    @classmethod
    def by_mean(cls, x: Tensor, **knobs: Any) -> Self:
        """Distances over their mean, kept up to 64 MB; knobs are those of ``mean_distance``."""
        scale = mean_distance(x, **knobs)
        return cls(x, scale, scaled_distances(x, scale, **knobs))


def rkd_distance(
    student: Tensor,
    teacher: Tensor | Scaled,
    *,
    squared: bool = False,
    floor: float = FLOOR,
    delta: float = 1.0,
    diagonal: bool = True,
) -> Tensor:
    """Huber loss of distances over their mean: (N, d_s), (N, d_t) -> scalar; see ``RKDDistance``.

    ``squared`` compares squared distances; squared ones below ``floor`` count as ``floor``; ``delta`` is Huber's.
    Without ``diagonal`` it is the mean over pairs of different nodes, as in the code of GKD, not over all N^2.
    """
    check_rows(student, teacher if isinstance(teacher, Tensor) else teacher.features)
    if isinstance(teacher, Tensor):
        teacher = Scaled(teacher, mean_distance(teacher, squared=squared, floor=floor))
    student = student.to(accumulation_dtype(student))  # once, since two gradients of it may be added
    sides = student, teacher.features, teacher.scale, teacher.distances
    found = relative_distance_divergence(*sides, squared=squared, floor=floor, delta=delta)
    count = student.size(0)
    return found if diagonal else found * (count / max(count - 1, 1))


class RKDDistance(Loss):
    """Match distances of pairs of nodes over their mean. Park et al., CVPR 2019, arXiv:1904.05068 (RKD-D).

    (1/N^2) sum_ij H(|s_i - s_j| / m_s - |t_i - t_j| / m_t), m the mean over pairs of different nodes (the student's
    has a gradient), H Huber's loss with delta 1; student: (N, d_s), teacher: (N, d_t). As in the authors' code a
    squared distance is at least 1e-12. Weight beside class labels 25, in metric learning 1. O(N^2 d) time
    in tiles, O(N d) memory; up to 64 MB of distances of a side, those of 5,500 nodes, are kept instead of made again.
    """

    on = "hidden"

    def digest(self, teacher: Tensor) -> Scaled:
        """The teacher's distances over their mean."""
        return Scaled.by_mean(teacher)

    def forward(self, student: Tensor, teacher: Tensor | Scaled) -> Tensor:
        return rkd_distance(student, teacher)


def rkd_angle(student: Tensor, teacher: Tensor, *, delta: float = 1.0, max_samples: int | None = None) -> Tensor:
    """Huber loss of the cosines of all angles: (N, d_s), (N, d_t) -> scalar; see ``RKDAngle``."""
    check_rows(student, teacher)
    student, teacher = sample_rows(student, teacher, max_samples)
    return angle_divergence(student, teacher, delta=delta)


class RKDAngle(Loss):
    """Match the angles of triples of nodes. Park et al., CVPR 2019, arXiv:1904.05068 (RKD-A).

    (1/N^3) sum_ivj H(cos(s_i s_v s_j) - cos(t_i t_v t_j)), H Huber's loss with delta 1, of the angle at v; student:
    (N, d_s), teacher: (N, d_t). Triples of fewer than three nodes count as 0. Weight beside class labels 50, in metric
    learning 2. O(N^3 + N^2 d) time and O(N^2) memory, by the law of cosines from squared distances. Hence
    ``max_samples``: that many nodes are drawn at each step where there are more (the paper's batches have 64 or 128);
    None: all of them.
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
    """``distance`` times ``rkd_distance`` and ``angle`` times ``rkd_angle``; see ``RKD``."""
    features = teacher if isinstance(teacher, Tensor) else teacher.features
    return distance * rkd_distance(student, teacher) + angle * rkd_angle(student, features, max_samples=max_samples)


class RKD(RKDDistance):
    """Relational knowledge distillation: distances and angles. Park et al., CVPR 2019, arXiv:1904.05068.

    ``distance`` RKD-D + ``angle`` RKD-A, at the authors' ratio of 1 to 2: ``25 * RKD()`` is RepDistiller's. Distances
    are those of all pairs of nodes, angles those of ``max_samples`` nodes drawn at each step; see ``RKDDistance`` and
    ``RKDAngle``, which are also losses of their own.
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

    Choose it over ``rkd`` where all pairs of nodes should count, and no sample of triples.
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

    Choose it over ``rkd`` where distances of two layers cannot agree, or on large graphs: ``max_samples`` nodes are
    drawn at each step.
    """
    return problem.supervised() + weight * RKDAngle(max_samples)
