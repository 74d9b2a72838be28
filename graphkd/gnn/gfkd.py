"""GFKD: a student learns from graphs that are generated from its teacher alone.

Deng and Zhang, "Graph-Free Knowledge Distillation for Graph Neural Networks", IJCAI 2021, arXiv:2105.07519.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch_geometric.loader import DataLoader

from graphkd.core.batches import batches
from graphkd.core.distiller import Distiller
from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.core.rng import seeded
from graphkd.core.teachers import Frozen
from graphkd.gnn.gfkd_inversion import FakeGraphs, Inversion


@method(
    "gfkd",
    family="gnn",
    paper="Deng and Zhang, IJCAI 2021",
    arxiv="2105.07519",
    tasks=("graph_classification",),
    cannot={"ensemble": "it makes graphs from the BatchNorm statistics of one teacher"},
    published={"weight_decay": 0.0},
)
def gfkd_method(
    problem: Problem,
    *,
    count: int = 131,
    nodes: tuple[int, int] | None = None,
    num_features: int | None = None,
    one_hot: bool = True,
    self_loops: bool = False,
    bound: float = 3.0,
    bn_weight: float = 0.01,
    entropy_weight: float = 0.01,
    feature_lr: float = 0.01,
    structure_lr: float = 1.0,
    decay_every: int = 700,
    graph_epochs: int = 1500,
    student_epochs: int = 300,
    temperature: float = 2.0,
    batch_size: int = 32,
) -> nn.Module:
    """Make graphs by gradients through the teacher and learn its answers to them; choose it where no graph is at hand.

    ``data`` may be None. If graphs are given, as a list, a loader or one batch, only their least and greatest number of
    ``nodes`` (without data and ``nodes`` 10 and 29) and their number of features, ``num_features``, are read.
    First, over ``graph_epochs`` epochs, ``count`` graphs of uniformly drawn classes are fitted to a teacher with
    BatchNorm, see ``Inversion``. Features that are not ``one_hot`` stay within ``bound``, in the data's units: raise it
    for features that are not standardised. Adam trains features at feature_lr and structure at structure_lr, divided by
    10 every ``decay_every`` epochs, whatever the student's optimiser; with 0 epochs graphs stay random. Then the
    student learns from them over ``student_epochs`` with T^2 KL(teacher || student), T = ``temperature``, no labels,
    and Adam(0.01) with a linear decay to 0. ``epochs``, if given, sets the epochs of both stages. An epoch of graphs
    runs the teacher three times. Tune bn_weight and entropy_weight for another teacher.

    The authors' code differs in this: it saves the edges of the epoch with the least loss and the features of the last
    one, and gives saved graphs self loops only where a node has neighbours; here both are of the last epoch and self
    loops stay. It reports the student's best epoch on the test set; here the task's validation graphs choose it, if
    there are any. In its feature step, as here, edges are thresholded, not drawn. Its entropy has log(0) where a
    softmax saturates. Its script weighs the entropy by 1e-6, its command line by 0.01, our default.

    Example::

        task = GraphClassification(test=loader)
        graphkd.distil("gfkd", student, teacher, None, task=task, num_features=7, nodes=(10, 29))
    """
    nodes, num_features = _sizes(problem, nodes, num_features)
    model, call = problem.teacher.model, problem.teacher.call
    options: dict[str, Any] = {"one_hot": one_hot, "self_loops": self_loops, "bound": bound}
    fake = problem.made(lambda: _drawn(Frozen(model, call=call), num_features, count, nodes, **options))
    if graph_epochs:
        inversion = Inversion(fake, model, bn_weight=bn_weight, entropy_weight=entropy_weight, call=call)
        groups = [{"params": [fake.features], "lr": feature_lr}, {"params": [fake.structure], "lr": structure_lr}]
        problem.train(
            inversion,
            "graphs",
            {"targets": fake.y},
            choose=False,
            epochs=graph_epochs,
            optimizer_of=lambda _: lambda _: torch.optim.Adam(groups),
            scheduler=partial(LambdaLR, lr_lambda=lambda epoch: 0.1 ** (epoch // decay_every)),
        )
    loader = DataLoader(fake.graphs(), batch_size=batch_size, shuffle=True)
    student = problem.student
    trainable = _Counting(student, Frozen(model, call=call), problem.soft(temperature), call=problem.call_of(student))
    falling = partial(LambdaLR, lr_lambda=lambda epoch: 1 - epoch / trainable.epochs)
    return problem.train(trainable, "student", loader, epochs=student_epochs, scheduler=falling)


class _Counting(Distiller):
    """Record the number of epochs, over which the learning rate falls to 0."""

    epochs = 1

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Pass the current epoch to losses and teacher, and record the number of epochs."""
        super().set_epoch(epoch, epochs)
        self.epochs = epochs


def _sizes(problem: Problem, nodes: tuple[int, int] | None, num_features: int | None) -> tuple[tuple[int, int], int]:
    """Return the least and greatest number of nodes of a graph and the width of features, from data if not given."""
    given = problem.data
    if num_features is None and given is None:
        raise ValueError(
            "'gfkd' must know how wide features are: give 'num_features', or graphs as 'data', got neither"
        )
    num_features = problem.features if num_features is None else num_features
    if nodes is None:
        nodes = (10, 29) if given is None else _counted(given, problem.seed)
    if not 1 <= nodes[0] <= nodes[1]:
        raise ValueError(f"'nodes' must be the least and the greatest number of nodes of a graph, got {nodes}")
    return nodes, num_features


def _counted(data: Iterable[Any], seed: int) -> tuple[int, int]:
    """Numbers of nodes of the smallest and the largest of the graphs."""
    with seeded(seed):
        found = [
            count
            for graph in batches(data)
            for count in (graph["batch"].bincount().tolist() if "batch" in graph else [graph["x"].size(0)])
        ]
    return min(found), max(found)


def _drawn(teacher: Frozen, num_features: int, count: int, nodes: tuple[int, int], **options: Any) -> FakeGraphs:
    """Draw graphs of a uniform number of nodes and a uniform class of the teacher's."""
    sizes = torch.randint(nodes[0], nodes[1] + 1, (count,))
    with seeded(0), shown(teacher) as show:
        example = FakeGraphs(torch.ones(2, dtype=torch.long), torch.zeros(2, dtype=torch.long), num_features)
        classes = int(show(example())["logits"].size(1))
    targets = torch.randint(classes, (count,))
    return FakeGraphs(sizes, targets, num_features, **options)
