"""EWC where its paper has it: tasks that would have weights for themselves, and a student that has room for all."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd

METHODS = ("ewc",)
ROWS, CLASSES, WIDTH = 200, 6, 16


def tasks(seed: int) -> tuple[Data, Tensor]:
    """Two tasks of the same classes, whose rows lie elsewhere, and the task of each row."""
    generator = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, generator=generator)
    y = torch.randint(CLASSES, (2, ROWS), generator=generator)
    x = torch.cat([draw(CLASSES, WIDTH)[own] + 0.5 * draw(ROWS, WIDTH) for own in y])
    even = torch.arange(2 * ROWS) % 2 == 0
    return Data(x=x, y=y.flatten(), train_mask=even, test_mask=~even), torch.arange(2 * ROWS) // ROWS


def student(seed: int) -> MLP:
    torch.manual_seed(seed)
    return MLP([WIDTH, 64, CLASSES], norm=None)


def known(model: MLP, data: Data, task: Tensor) -> list[float]:
    """Accuracy on test rows of each task."""
    right = model(data.x).argmax(dim=1) == data.y
    return [float(right[data.test_mask & (task == number)].float().mean()) for number in range(2)]


def test_a_student_knows_the_first_task_after_the_second(seed_offset):
    data, task = tasks(seed_offset)
    options = {"epochs": 60, "seed": seed_offset, "progress": False}
    alone = student(seed_offset)
    for number in range(2):
        own = data.clone()
        own.train_mask = data.train_mask & (task == number)
        alone = graphkd.distil("none", alone, None, own, **options).model

    before = known(alone, data, task)

    def holds(weight: float) -> bool:
        """Whether a student keeps half of what the other forgets of the first task, and learns the second too."""
        made = graphkd.distil("ewc", student(seed_offset), None, data, sequence=task, weight=weight, **options)
        first, second = known(made.model, data, task)
        return first - before[0] > 0.5 * (1 - before[0]) and before[1] - second < 0.15

    assert holds(3000.0)
    assert not holds(0.0)  # without the penalty it forgets as the other does
