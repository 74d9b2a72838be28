"""Common parts of methods of two click tasks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from recsys.methods._clicks import ClickProblem
from recsys.models.clicks import ClickNet, MultiTaskNet


def learn_two(problem: ClickProblem, second: Tensor | str, loss: Loss) -> nn.Module:
    """Train the student and a head of a second task on its layers; return the student alone."""
    if not isinstance(problem.student, ClickNet):
        raise TypeError(
            "two tasks share the student's layers: give 'student' as recsys.models.clicks.ClickNet, got "
            f"{type(problem.student).__name__}"
        )
    columns = problem.data.columns
    if isinstance(second, str):
        if second not in columns:
            raise ValueError(f"'second' must be a column of the rows, {sorted(columns)}, got {second!r}")
        second = columns[second]
    first = columns["y"]
    if second.shape != first.shape:
        raise ValueError(f"'second' must hold a label a row, {tuple(first.shape)}, got {tuple(second.shape)}")
    net = MultiTaskNet(problem.student).to(problem.device)
    data = problem.batches(y=torch.stack([first, second.to(first)], dim=1))
    served: nn.Module = problem.train(problem.distiller(net, None, loss), data=data, serve=lambda both: both.served)
    return served
