"""LightGNN: a small propagation that is pruned, run by run, while a deeper one teaches it through one in between."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.rng import seeded
from graphkd.core.teachers import Frozen
from recsys.losses.lightgnn import LightGNN as Taught
from recsys.losses.lightgnn import edge_sizes, largest
from recsys.methods._ranking import RankingProblem
from recsys.models.lightgcn import LightGCN
from recsys.models.lightgnn import LightGNN

Deep = tuple[Tensor, Tensor]


@method(
    "lightgnn",
    family="pruning",
    paper="Chen et al., WSDM 2025",
    arxiv="2501.03228",
    tasks=("ranking",),
    needs=("student_tables", "teacher_tables", "propagation"),
    cannot={"ensemble": "it reads the layers of one teacher, which several do not have in common"},
    space={"edge_share": (0.01, 0.3), "entry_share": (0.02, 0.5)},
)
def pruned_propagation(
    problem: RankingProblem,
    *,
    runs: int = 13,
    edge_share: float = 0.05,
    entry_share: float = 0.2,
    middle_layers: int = 6,
    hops: int = 50,
    soft_weight: float = 1.0,
    soft_temperature: float = 0.03,
    triples: int = 100_000,
    contrast_weight: float = 0.01,
    spread_weight: float = 1.0,
    subspace_weight: float = 1e-4,
    guide_near: float = 0.05,
    guide_weight: float = 1.0,
) -> nn.Module:
    """Prune edges and entries of a LightGCN while it is taught; choose it where graph and tables must be small.

    An intermediate ``LightGNN`` of ``middle_layers`` layers learns from the teacher, a LightGCN of at least two layers,
    and then teaches the student. Its graph also joins each row to the ``hops`` rows with most common neighbours. Both
    learn random preferences (``soft_weight``, ``triples`` a step, at ``soft_temperature``) and draw their rows to the
    teacher's sums of deep layers (``contrast_weight``), while rows keep apart (``spread_weight``); from the second run
    on, rows that kept the same entries are drawn together (``subspace_weight``). After each of the ``runs`` but the
    last, the smallest edges and entries, a share of each (``edge_share``, ``entry_share``), are removed for good. An
    edge is ranked by its weight, by how near its ends are in the intermediate model (``guide_near``) and by its weight
    there (``guide_weight``). Parts of the loss are means times the batch size.

    student: a LightGCN or LightGNN as wide as the teacher, or of any width with contrast_weight=0; the result is a
    LightGNN. Defaults are those of the authors' code, which chooses run and epoch on test pairs, joins nine tenths of
    all pairs two hops apart, and has an L2 term. Here the last run serves, at its best validation epoch, and the L2 is
    the optimiser's weight decay. Costs runs + 1 trainings.
    """
    if runs < 1:
        raise ValueError(f"'runs' must be at least 1, got {runs}")
    parts = {"soft_weight": soft_weight, "soft_temperature": soft_temperature, "triples": triples}
    parts |= {"contrast_weight": contrast_weight, "spread_weight": spread_weight, "subspace_weight": subspace_weight}
    student, deep = _student(problem), _deep(problem, contrast_weight)
    width = problem.width_of(problem.teacher)
    if contrast_weight and width != student.table.embedding_dim:
        raise ValueError(
            f"'lightgnn' draws the student's rows to the teacher's: the student must have the teacher's width {width}, "
            f"got {student.table.embedding_dim}; or say contrast_weight=0"
        )
    with seeded(problem.seed):
        between: Any = LightGNN(problem.pairs, width, middle_layers, hops=hops).to(problem.device)
    between = _taught(problem, between, problem.teacher, deep, "between", parts)
    teacher, deep = problem.taught_by(between), _sums(between)
    guide = {"aug1": guide_near, "aug2": guide_weight}
    for run in range(1, runs + 1):
        student = _taught(problem, student, teacher, deep, f"run-{run}", parts, first=run == 1)
        if run < runs:
            student = _pruned(problem, student, between, (edge_share, entry_share), guide)
    return student


def _student(problem: RankingProblem) -> Any:
    """Return the student as a LightGNN, with the given model's entries; TypeError for other models."""
    given: Any = problem.student
    if isinstance(given, LightGNN):
        return given
    if not isinstance(given, LightGCN):
        raise TypeError(
            "'lightgnn' prunes a propagation: give 'student' as recsys.models.LightGCN(split.train, width, layers=2), "
            f"got {type(given).__name__}"
        )
    made = LightGNN(problem.pairs, given.table.embedding_dim, given.layers)
    made.table.load_state_dict(given.table.state_dict())
    return made.to(problem.device)


def _deep(problem: RankingProblem, weight: float) -> Deep | None:
    """Sum the teacher's deeper layers, None where ``weight`` is 0; ValueError for a model without such layers."""
    if not weight:
        return None
    model: Any = problem.teacher_to_train().eval()
    if getattr(model, "layers", 0) < 2 or not hasattr(model, "layer_tables"):
        raise ValueError(
            "'lightgnn' reads the deeper layers of its teacher: give 'teacher' as recsys.models.LightGCN(split.train, "
            f"width, layers=8), with two layers at least, or say contrast_weight=0, got {type(model).__name__}"
        )
    return _sums(model)


@torch.no_grad()
def _sums(model: Any) -> Deep:
    """Sum a model's layers from the second on, of users and of items."""
    user, item = torch.stack(model.layer_tables()[2:]).sum(dim=0).split([model.num_users, model.num_items])
    return user, item


def _taught(
    problem: RankingProblem,
    model: Any,
    teacher: Frozen,
    deep: Deep | None,
    stage: str,
    parts: dict[str, Any],
    *,
    first: bool = True,
) -> Any:
    """Train a LightGNN beside BPR; in later runs, rows that kept the same entries are drawn together."""
    deep = deep if parts["contrast_weight"] else None
    masks = None if first else model.entry_mask.split([model.num_users, model.num_items])
    loss = problem.batch_size * Taught(deep, masks, **parts)
    return problem.train(problem.distiller(model, teacher, problem.supervised() + loss), stage)


def _pruned(
    problem: RankingProblem, model: Any, between: Any, shares: tuple[float, float], guide: dict[str, float]
) -> Any:
    """Copy a model without its smallest edges and entries."""
    made: Any = problem.twin(model)
    with torch.no_grad():
        tables = torch.cat(between.tables())
        weights, mask = made.edge_weight, made.edge_mask.to(tables.dtype)
        sizes = edge_sizes(weights, mask, made.edges, tables, between.edges, between.edge_weight, **guide)
        made.prune(largest(sizes, shares[0]), largest(made.table.weight * made.entry_mask, shares[1]))
    return made
