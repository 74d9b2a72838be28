"""What a method of the GNN benchmark is given in tests: two epochs on a small graph."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.graph.lessons import Lesson, Train
from graphkd.gnn import accuracy
from tests.core.models import gcn, graph


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


def run(method: Train) -> tuple[Lesson, nn.Module, dict[str, Tensor]]:
    """What a method was given, what it gave back, and the student's state before; the teacher must be as it was."""
    given = lesson()
    taught, before = copy.deepcopy((given.teacher.state_dict(), given.student.state_dict()))
    found = method(given)
    assert not found.training
    assert all(torch.equal(value, taught[key]) for key, value in given.teacher.state_dict().items())
    return given, found, before
