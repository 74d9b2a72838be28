"""What a method of the GNN benchmark is given in tests: two epochs on a small graph."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.graph.lessons import Lesson
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
