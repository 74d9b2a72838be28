"""Anomaly scores without labels: a student repeatedly learns the two ends of its own ranking.

Pang, Yan, Shen, van den Hengel and Bai, "Self-trained Deep Ordinal Regression for End-to-End Video Anomaly Detection",
CVPR 2020, arXiv:2003.06780.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.features.feature_distance import FeatureDistance
from graphkd.schemes.augment import told


class Ends(NamedTuple):
    """Rows at both ends of a ranking: the highest, (H,), and the lowest, (L,)."""

    top: Tensor
    bottom: Tensor


def ends(scores: Tensor, high: float = 0.05, low: float = 0.5) -> Ends:
    """Take the share ``high`` of rows with the largest scores, one at least, and ``low`` with the smallest: (N,)."""
    if not (high > 0 and low > 0 and high + low <= 1) or scores.dim() != 1 or scores.size(0) < 2:
        shape = tuple(scores.shape)
        raise ValueError(
            f"'high' and 'low' must be above 0 and sum to 1 at most, of scores (N,), got {high}, {low} and {shape}"
        )
    order = scores.argsort(descending=True, stable=True)
    top = max(round(high * order.numel()), 1)
    bottom = min(max(round(low * order.numel()), 1), order.numel() - top)
    return Ends(order[:top], order[order.numel() - bottom :])


def neighbour_distance(x: Tensor, edge_index: Tensor) -> Tensor:
    """Measure how far a node's features are from the mean of its neighbours': (N, d), (2, E) -> (N,), 0 without any."""
    source, target = edge_index
    count = target.bincount(minlength=x.size(0))
    mean = torch.zeros_like(x).index_add_(0, target, x[source]) / count.clamp_min(1)[:, None]
    return torch.linalg.vector_norm(x - mean, dim=1).masked_fill(count == 0, 0.0)


@method(
    "ordinal",
    family="semi",
    paper="Pang et al., CVPR 2020",
    arxiv="2003.06780",
    survey=(145,),
    tasks=("anomaly_detection",),
    teacher=False,
    space={"high": (0.005, 0.3), "low": (0.1, 0.7)},
    cannot={"sparse": "it measures distances between the features"},
)
def ordinal(
    problem: Problem, *, scores: Tensor | None = None, rounds: int = 5, high: float = 0.05, low: float = 0.5
) -> nn.Module:
    """Learn the two ends of an anomaly ranking, rank anew, and repeat; choose it where no label is known at all.

    scores: (N,) by node id, the initial ranking of a rough detector, larger for more anomalous nodes; by default how
    far a node's features are from the mean of its neighbours', without edges from the mean of all. In each of
    ``rounds`` rounds the student, with one output, regresses by L1 the target 1 on the share ``high`` at the top of the
    ranking and 0 on the share ``low`` at its bottom; its own scores are the next ranking. Both ends count the same,
    however many rows they have: otherwise the best constant for L1 would be the target of the larger end. The student
    keeps its weights between rounds; rows in between are learnt in a later round or never. The paper starts from an
    isolation forest and a reconstruction error combined, and its shares are not known to us. Costs ``rounds``
    trainings. Raises ValueError for fewer than one round, for ``scores`` of another shape and for a student with
    several outputs.
    """
    if rounds < 1:
        raise ValueError(f"'rounds' must be at least 1, got {rounds}")
    if scores is not None and scores.shape != (problem.nodes,):
        shape = tuple(scores.shape)
        raise ValueError(f"'scores' must hold one for each of {problem.nodes} nodes, got shape {shape}")
    student = problem.student
    found = problem.once("ranking-0", partial(_distances, problem)) if scores is None else scores
    top, bottom = (FeatureDistance("l1", on="logits", where=where) for where in Ends._fields)
    for number in range(1, rounds + 1):
        rows = ends(found, high, low)
        target = found.new_zeros(found.size(0), 1).index_fill(0, rows.top, 1)
        data = problem.with_rows(problem.with_values(target=target), **rows._asdict())
        learning = problem.distiller(student, told("target"), 0.5 * top + 0.5 * bottom)
        student = problem.train(learning, f"round-{number}", data, choose=False)
        if number < rounds:
            found = problem.once(f"ranking-{number}", partial(_answers, problem, student))
    return student


def _answers(problem: Problem, student: nn.Module) -> Tensor:
    """Compute a student's own scores, (N,)."""
    scores = problem.view_of(student)
    if scores.dim() != 2 or scores.size(1) != 1:
        raise ValueError(f"'student' must answer one score a node, (N, 1), got {tuple(scores.shape)}")
    return scores[:, 0]


def _distances(problem: Problem) -> Tensor:
    """Compute the initial ranking, (N,)."""
    if "edge_index" in problem.first:
        return problem.gather(lambda batch: neighbour_distance(batch["x"], batch["edge_index"]))
    x = problem.values_of("x")
    return torch.linalg.vector_norm(x - x.mean(dim=0), dim=1)
