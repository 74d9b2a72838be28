"""Knowledge points where the paper has them: a student of a teacher knows more of what matters than one of labels."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd.schemes import KnowledgePoints, quantify_knowledge

ROWS, CLASSES, SIGNAL, NOISE, LABELLED, MEASURED = 400, 4, 8, 16, 30, 30


def rows(seed: int) -> Data:
    """Rows of which the first features tell the class, the others nothing."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(seed))
    y = torch.arange(ROWS) % CLASSES
    signal = draw(CLASSES, SIGNAL)[y] + 0.7 * draw(ROWS, SIGNAL)
    return Data(x=torch.cat([signal, draw(ROWS, NOISE)], dim=1), y=y, train_mask=torch.arange(ROWS) < LABELLED)


def model(seed: int, width: int) -> nn.Module:
    torch.manual_seed(seed)
    return MLP([SIGNAL + NOISE, width, CLASSES], norm=None)


def test_a_student_of_a_teacher_knows_more_of_the_foreground(seed_offset):
    data = rows(seed_offset)
    every = data.clone()
    every.train_mask = torch.ones(ROWS, dtype=torch.bool)
    options = {"epochs": 100, "seed": seed_offset, "progress": False}
    teacher = graphkd.distil("none", model(seed_offset, 64), None, every, **options).model
    background = torch.arange(SIGNAL + NOISE) >= SIGNAL

    def known(method: str, taught_by: nn.Module | None, steps: int = 150) -> KnowledgePoints:
        student = graphkd.distil(method, model(seed_offset + 1, 16), taught_by, data, **options).model
        batch = {"x": data.x[-MEASURED:]}
        return quantify_knowledge(student, teacher, batch, "lins.0", background=background, steps=steps).student

    taught, alone = known("kd", teacher), known("none", None)
    assert taught.foreground_count > 1.1 * alone.foreground_count
    untaught = known("kd", model(seed_offset, 64))  # by a teacher that knows nothing
    assert untaught.foreground_count < taught.foreground_count
    assert known("kd", teacher, steps=1).foreground_count == 0  # without a search nothing tells features apart
