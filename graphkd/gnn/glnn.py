"""GLNN: a graph neural network teaches an MLP that never sees the graph.

Zhang, Liu, Sun and Shah, "Graph-less Neural Networks: Teaching Old MLPs New Tricks via Distillation", ICLR 2022,
arXiv:2110.08727.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP

from graphkd.core.batches import count_rows, rows_of
from graphkd.core.distiller import Distiller
from graphkd.core.masks import read_split
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, View, fill, required
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL


@method(
    "glnn",
    family="gnn",
    paper="Zhang et al., ICLR 2022",
    arxiv="2110.08727",
    needs=("feature student",),
    published={"patience": 50},
    student=False,
)
def glnn_method(
    problem: Problem,
    *,
    label_weight: float = 0.0,
    batch_size: int = 512,
    layers: int | None = None,
    width: int | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Train a student that reads features alone on soft labels; choose it where fetching neighbours is too slow.

    lambda CE(labelled) + (1 - lambda) KL(teacher || student), lambda = ``label_weight``, 0 as published. As in the
    authors' code the two terms are never added: an epoch takes steps on labelled rows, scaled by lambda, then steps on
    all rows, scaled by 1 - lambda, both shuffled in batches of ``batch_size``; with lambda 0 the label steps still
    apply Adam's momentum and decay. All nodes of the data get soft labels: give the whole graph for the transductive
    setting, the observed part (``graphkd.tasks.hold_out``) for the inductive one; the student serves new nodes. Costs
    one pass of the teacher, then those of an MLP. layers, width, dropout: hidden layers of the MLP that is made if no
    student is given, by default 1, 128 and 0.1.
    """
    student = student_or_mlp(problem, (layers, width, dropout), (1, 128, 0.1))
    _check_reads_features(student, problem.call_of(student))
    rows = problem.gather(lambda batch: torch.ones(count_rows(batch), dtype=torch.bool)).nonzero()[:, 0]
    told, nodes = problem.view_of(problem.teacher), problem.labelled_nodes
    data = GLNNBatches(problem.values_of("x"), problem.targets, nodes, batch_size, rows=rows, told=told)
    trainable = glnn_distiller(student, Recorded(logits="told"), label_weight, call=problem.call_of(student))
    return problem.train(trainable, "student", data)


def student_or_mlp(
    problem: Problem, given: tuple[int | None, int | None, float | None], published: tuple[int, int, float]
) -> nn.Module:
    """Take the given student; if there is none, make an MLP of (hidden layers, width, dropout).

    given: the user's shape of the MLP, None for a ``published`` value. Raises ValueError for a shape beside a student.
    """
    if problem.student is not None:
        if any(value is not None for value in given):
            raise ValueError(
                "'layers', 'width' and 'dropout' shape the MLP that is made where no student is given, got "
                f"{given} and a student, {type(problem.student).__name__}: give student=None, or leave them out"
            )
        return problem.student
    layers, width, dropout = (p if g is None else g for g, p in zip(given, published, strict=True))
    widths = [problem.features, *[int(width)] * int(layers), problem.classes]
    return problem.made(lambda: MLP(widths, norm=None, dropout=dropout))


class Recorded(Frozen):
    """Read a teacher's outputs from the batch: entry of the view -> name in the batch, e.g. ``logits="told"``."""

    def __init__(self, **entries: str) -> None:
        super().__init__(nn.Identity())
        self.entries = entries

    def attach(self, taps: Mapping[str, str]) -> None:
        """Do nothing: hidden layers come from the batch, too."""

    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:  # noqa: ARG002 - all is recorded
        """Return the recorded entries of the batch."""
        found = fill(self.entries.values(), batch, "a recorded teacher")
        return {entry: found[name] for entry, name in self.entries.items()}


def glnn_distiller(
    student: nn.Module, teacher: Frozen, label_weight: float = 0.0, *, call: Call | None = None
) -> Distiller:
    """Make the distiller of GLNN: terms ``label`` and ``teacher``, each on the rows that ``GLNNBatches`` marks.

    Example::

        >>> told = teacher(data.x, data.edge_index).detach()
        >>> batches = GLNNBatches(data.x, data.y, data.train_mask, told=told)
        >>> distiller = glnn_distiller(MLP([8, 3], norm=None), Recorded(logits="told"))
        >>> [list(distiller(batch).terms) for batch in batches]
        [['label'], ['teacher']]
    """
    check_label_weight(label_weight)
    losses = {"label": label_weight * CE(where="labelled"), "teacher": (1 - label_weight) * KL(where="taught")}
    return Distiller(student, teacher, losses, call=call)


def check_label_weight(value: float) -> None:
    """Raise ValueError unless the weight of the labels is in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"'label_weight' must be in [0, 1], got {value}")


class GLNNBatches:
    """Iterate as the authors do: shuffled batches of labelled rows, then of all rows, without a last partial batch.

    x: (N, F), y: (N,), labelled: row ids or a mask; batches have x, y, ``n_id`` and the masks ``labelled`` and
    ``taught``. rows: ids of the rows of the second part, by default all. entries: further values per node, (N, ...),
    that batches have. Fewer rows than ``batch_size`` make one batch. Raises ValueError for ``batch_size`` below 1.

    Example::

        >>> batches = GLNNBatches(data.x, data.y, data.train_mask, batch_size=20)
        >>> [(len(batch["y"]), bool(batch["labelled"].all())) for batch in batches]  # 24 labelled rows, then all 48
        [(20, True), (20, False), (20, False)]
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        labelled: Tensor,
        batch_size: int = 512,
        *,
        rows: Tensor | None = None,
        **entries: Tensor,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"'batch_size' must be at least 1, got {batch_size}")
        self.entries = {"x": x, "y": y, **entries}
        self.labelled, self.batch_size = read_split(labelled, x.size(0), "labelled"), batch_size
        self.rows = torch.arange(x.size(0), device=x.device) if rows is None else read_split(rows, x.size(0), "rows")

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        yield from self._shuffled(self.labelled, is_labelled=True)
        yield from self._shuffled(self.rows, is_labelled=False)

    def order(self, count: int) -> Tensor:
        """Draw the permutation of the next pass, from torch's global generator."""
        return torch.randperm(count)

    def _shuffled(self, rows: Tensor, *, is_labelled: bool) -> Iterator[dict[str, Tensor]]:
        order = self.order(rows.size(0)).to(rows.device)
        whole = rows[order[: max(rows.size(0) // self.batch_size, 1) * self.batch_size]]
        for n_id in whole.split(self.batch_size):
            mask = torch.full(n_id.shape, is_labelled, device=n_id.device)
            entries = {name: rows_of(values, n_id) for name, values in self.entries.items()}
            yield {**entries, "n_id": n_id, "labelled": mask, "taught": ~mask}


def _check_reads_features(student: nn.Module, call: Call | None) -> None:
    """Raise ValueError for a student that cannot be called with features alone."""
    plain = getattr(student, "_orig_mod", student)  # torch.compile's wrapper hides the signature
    others = [name for name in required(plain.forward) if name != "x"] if call is None else []
    if others:
        raise ValueError(
            f"'glnn' teaches a student that reads features alone, {type(plain).__name__}.forward also needs {others}: "
            "give an MLP, or student=None for the published one"
        )
