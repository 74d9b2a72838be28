"""Graph distillation, the logits graph: several teachers' predictions, with earth mover's distances as edges."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Literal, Unpack

import torch
from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import transport
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_rows, check_same_shape, choose

Ground = Literal["discrete", "ordered"]

Mode = Literal["pairwise", "joint"]


def earth_movers_distance(student: Tensor, teacher: Tensor, ground: Ground | Tensor = "discrete") -> Tensor:
    """Compute the earth mover's distance of two distributions in every row: (..., N, C), (..., N, C) -> (..., N).

    ``ground``: the cost of moving from one class to another. "discrete": 1 between any two; the distance is half the
    sum of absolute differences. "ordered": |i - j|; the distance is the sum of absolute differences of the cumulated
    distributions. A matrix (C, C): one linear program per row (``graphkd.kernels.transport``).

    Example::

        >>> first, last = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])
        >>> [float(earth_movers_distance(first, last, ground)) for ground in ("discrete", "ordered")]
        [1.0, 2.0]
    """
    if student.shape[-2:] != teacher.shape[-2:]:
        raise ValueError(
            f"'teacher' must have the rows and classes of 'student' (..., N, C), {tuple(student.shape)}, got "
            f"{tuple(teacher.shape)}"
        )
    student, teacher = (x.to(accumulation_dtype(x)) for x in (student, teacher))
    if isinstance(ground, Tensor):
        student, teacher = torch.broadcast_tensors(student, teacher)
        both = torch.stack([x.reshape(-1, x.size(-1)) for x in (student, teacher)])
        return transport(both, ground).view(student.shape[:-1])
    choose("ground", ground, Ground)
    error = student - teacher
    return error.abs().sum(dim=-1) / 2 if ground == "discrete" else error.cumsum(dim=-1)[..., :-1].abs().sum(dim=-1)


def ground_matrix(ground: Ground | Tensor, like: Tensor) -> Tensor:
    """Make the matrix (C, C) of the costs of moving between classes, C the width of ``like``."""
    if isinstance(ground, Tensor):
        return ground
    places = torch.arange(like.size(-1), dtype=torch.float64, device=like.device)
    moves = (places[:, None] - places).abs()
    return moves if choose("ground", ground, Ground) == "ordered" else moves.clamp_max(1)


def joint_transport(distributions: Tensor, ground: Ground | Tensor = "discrete") -> Tensor:
    """Compute the least cost of a joint draw from all distributions, summed over pairs of draws: (K, N, C) -> (N,).

    One linear program of C^K unknowns per row: for few classes and teachers only.
    """
    kinds, _, classes = distributions.shape
    matrix = ground_matrix(ground, distributions)
    cost = matrix.new_zeros((classes,) * kinds)
    for pair in combinations(range(kinds), 2):
        cost = cost + matrix.reshape([classes if k in pair else 1 for k in range(kinds)])
    return transport(distributions, cost)


def logits_graph(
    student: Tensor,
    teachers: Tensor,
    weights: Tensor | None = None,
    *,
    temperature: float = 2.0,
    ground: Ground | Tensor = "discrete",
    mode: Mode = "pairwise",
) -> Tensor:
    """Average earth mover's distances to K teachers: (N, C), (K, N, C), (K,) -> scalar; see ``LogitsGraph``.

    Example::

        >>> sure = torch.tensor([[99.0, 0.0]])  # the distances to the two teachers are 0 and 1
        >>> teachers, weights = torch.stack([sure, sure.flip(1)]), torch.tensor([0.75, 0.25])
        >>> float(logits_graph(sure, teachers)), float(logits_graph(sure, teachers, weights))
        (0.5, 0.25)
    """
    choose("mode", mode, Mode)
    s, t = _distributions(student, teachers, temperature)
    if mode == "joint":
        if weights is not None:
            raise ValueError("mode='joint' counts every pair of distributions once, got 'weights'")
        values = joint_transport(torch.cat([t, s[None]]), ground)
    else:
        distances = earth_movers_distance(s, t, ground)
        values = distances.mean(dim=0) if weights is None else (weights.to(distances)[:, None] * distances).sum(dim=0)
    return values.sum() / max(values.numel(), 1)


def logits_adjacency(
    student: Tensor, teachers: Tensor, *, temperature: float = 2.0, ground: Ground | Tensor = "discrete"
) -> Tensor:
    """Compare adjacency rows of student and teachers by squares: (N, C), (K, N, C) -> scalar; see ``LogitsGraph``.

    Example::

        >>> sure, unsure = torch.tensor([[99.0, 0.0]]), torch.zeros(1, 2)
        >>> teachers = torch.stack([sure, sure.flip(1)])  # a mean distance of 1/2 to both
        >>> float(logits_adjacency(sure, teachers)), float(logits_adjacency(unsure, teachers))
        (0.5, 0.0)
    """
    s, t = _distributions(student, teachers, temperature)
    ours = earth_movers_distance(s, t, ground)
    theirs = torch.stack([earth_movers_distance(one, t, ground) for one in t]).mean(dim=0)
    return (ours - theirs).square().sum() / max(s.size(0), 1)


def _distributions(student: Tensor, teachers: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    if teachers.dim() != 3 or teachers.size(0) == 0:
        raise ValueError(f"'teachers' must have shape (K, N, C), K above 0, got {tuple(teachers.shape)}")
    check_same_shape(student, teachers[0])
    s, t = (x.to(accumulation_dtype(x)) for x in (student, teachers))
    return (s / temperature).softmax(dim=-1), (t / temperature).softmax(dim=-1)


class LogitsGraph(Loss):
    """Match several teachers' logits by earth mover's distance: the logits graph. Zhang and Peng, IJCAI 2018.

    mean_n sum_k w_k EMD(p_nk, q_n), p_k = softmax(z_k / T) of teacher k, q the student's, plus ``adjacency`` times
    mean_n sum_l (mean_k EMD(p_nk, p_nl) - EMD(q_n, p_nl))^2, how the student lies among the teachers; arXiv:1804.10069.
    student: (N, C), teacher: the K teachers' logits, (N, K, C) or side by side (N, K C). ``weights``: (K,), each 1 / K
    by default. ``ground``: see ``earth_movers_distance``. ``mode="joint"``, without ``weights``: the least cost of one
    coupling of all K + 1 distributions, summed over all pairs, those of teachers included; it is at least the sum of
    the pairs' EMDs. The authors published no code: the graph and the distance are theirs, the formula, T and the
    weights our reading. O(N K C) time for "discrete" and "ordered", else a linear program for every row.

    Example::

        >>> teachers = torch.tensor([[[99.0, 0.0], [0.0, 99.0]]])  # two teachers of one node: (N, K, C)
        >>> float(LogitsGraph(weights=[0.75, 0.25])(torch.tensor([[99.0, 0.0]]), teachers))  # distances 0 and 1
        0.25
        >>> from graphkd.core.ensemble import stacked
        >>> both = graphkd.Ensemble([teacher, teacher], stacked)
        >>> result = graphkd.distil("logits_graph", student, both, data, epochs=2, progress=False)
    """

    answers = "classes"
    ground_cost: Tensor | None
    weights: Tensor | None

    def __init__(
        self,
        *,
        temperature: float = 2.0,
        ground: Ground | Tensor = "discrete",
        mode: Mode = "pairwise",
        adjacency: float = 0.0,
        weights: Sequence[float] | None = None,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        self.temperature = check_positive("temperature", temperature)
        self.mode = choose("mode", mode, Mode)
        self.ground: Ground = "discrete" if isinstance(ground, Tensor) else ground
        choose("ground", self.ground, Ground)
        self.adjacency = adjacency
        self.register_buffer("ground_cost", ground if isinstance(ground, Tensor) else None)
        self.register_buffer("weights", None if weights is None else torch.tensor(weights))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        check_rows(student, teacher.flatten(1))
        classes = student.size(1)
        models, rest = divmod(math.prod(teacher.shape[1:]), classes)
        if rest:
            raise ValueError(
                f"'teacher' must hold logits of {classes} classes for each of its models, got {tuple(teacher.shape)}"
            )
        teachers = teacher.reshape(teacher.size(0), models, classes).movedim(1, 0)
        ground = self.ground if self.ground_cost is None else self.ground_cost
        options: dict = {"temperature": self.temperature, "ground": ground}
        loss = logits_graph(student, teachers, self.weights, mode=self.mode, **options)
        if self.adjacency:
            loss = loss + self.adjacency * logits_adjacency(student, teachers, **options)
        return loss


@method("logits_graph", family="graphs", paper="Zhang and Peng, IJCAI 2018", arxiv="1804.10069")
def logits_graph_method(problem: Problem, *, weight: float = 1.0) -> Loss:
    """Bring the student's classes near to the teacher's in earth mover's distance, beside the labels.

    Choose it over soft targets where probabilities should be equally right for all classes. Give several teachers as
    ``Ensemble(teachers, stacked)``; ``graph_distillation`` adds the graph of their features.
    """
    return problem.supervised() + weight * LogitsGraph()
