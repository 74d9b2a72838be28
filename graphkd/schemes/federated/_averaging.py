"""Mean of a student's weights at the ends of cycles of the learning rate (SWA), for the server's distillation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from graphkd.core.distiller import Distiller
from graphkd.core.loss import Loss
from graphkd.core.moving import EMA
from graphkd.core.view import Call


class Averaged(Distiller):
    """Distiller that averages its student's weights at the ends of cycles of epochs and after the last epoch.

    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, arXiv:1803.05407.
    cycle: its length in epochs. start: the share of training before averaging begins. After training ``settle`` loads
    the mean into the student; batch norm's statistics stay those of the last epoch.
    """

    def __init__(
        self, student: nn.Module, teacher: Any, losses: Loss, *, call: Call | None, cycle: int, start: float
    ) -> None:
        super().__init__(student, teacher, losses, call=call)
        self.cycle, self.start = cycle, start
        self._mean = EMA(student, decay=1.0)
        self.mean = self._mean.kept()

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Add the weights to the mean where a cycle has ended."""
        super().set_epoch(epoch, epochs)
        if epoch and epoch % self.cycle == 0 and epoch >= self.start * epochs:
            self._mean.update()

    def settle(self) -> None:
        """Add the last weights to the mean, and load the mean into the student."""
        self._mean.update()
        self.student.load_state_dict(self._mean.model.state_dict())


def cyclic(
    cycle: int, high: float, low: float
) -> Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]:
    """Make a schedule that falls from ``high``, the optimiser's rate, to ``low`` in every cycle of epochs."""
    return partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=partial(_share, cycle=cycle, least=low / high))


def _share(epoch: int, cycle: int, least: float) -> float:
    return 1 - (1 - least) * (epoch % cycle) / max(cycle - 1, 1)
