"""What a method of the GNN benchmark is given in tests: two epochs on a small graph."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from benchmarks.graph.lessons import Lesson, Train
from benchmarks.graph.models import HIDDEN, build
from benchmarks.graph.recipes import student_recipe
from graphkd.tasks import accuracy
from tests.core.models import CLASSES, FEATURES, gcn, graph


def lesson() -> Lesson:
    """A student and a teacher with weights of their own."""
    data = graph()
    options = {
        "epochs": 2,
        "patience": 50,
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "seed": 0,
        "metric": partial(accuracy, data=data, mask="val_mask"),
    }
    return Lesson(gcn(2, width=4), gcn(1, width=6), data, ("convs.0", "convs.0"), options)


def mlp_lesson(data: Data, epochs: int = 2) -> Lesson:
    """An MLP and a GCN where the graph is, with the benchmark's recipe."""
    torch.manual_seed(0)
    models = (build(name, FEATURES, CLASSES, hidden=8, dropout=0.5).to(data.x.device) for name in ("mlp", "gcn"))
    options = student_recipe("mlp", "none").options(seed=3) | {"epochs": epochs}
    metric = partial(accuracy, data=data, mask="val_mask")
    return Lesson(*models, data, (HIDDEN["mlp"], HIDDEN["gcn"]), {**options, "metric": metric})


def run(method: Train) -> tuple[Lesson, nn.Module, dict[str, Tensor]]:
    """What a method was given, what it gave back, and the student's state before; the teacher must be as it was."""
    given = lesson()
    taught, before = copy.deepcopy((given.teacher.state_dict(), given.student.state_dict()))
    found = method(given)
    assert not found.training
    assert all(torch.equal(value, taught[key]) for key, value in given.teacher.state_dict().items())
    return given, found, before
