"""Shares of an objective's terms in the gradient of the student."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from graphkd.core.trainable import Trainable

SHARE = "share of "  # before a term's name in a report


class Shares:
    """Shares of a run's terms on the first batch of every ``every``-th epoch; None: never.

    Only a ``Trainable`` that records its weighted terms by ``note`` has shares.
    """

    def __init__(self, trainable: nn.Module, student: nn.Module, every: int | None) -> None:
        self._trainable = trainable if every is not None and isinstance(trainable, Trainable) else None
        self._student, self._every, self._waiting = student, every or 1, False

    def begin(self, epoch: int) -> None:
        """Start recording the terms of the next step, if this epoch is measured."""
        if self._trainable is not None and epoch % self._every == 0:
            self._trainable.ask_parts()
            self._waiting = True

    def take(self) -> dict[str, float]:
        """Return the shares of the recorded terms of the evaluated step; none where nothing was recorded."""
        if not self._waiting or self._trainable is None:
            return {}
        self._waiting = False
        return shares_of(self._trainable.take_parts(), self._student.parameters())


def shares_of(parts: Mapping[str, Tensor], parameters: Iterable[nn.Parameter]) -> dict[str, float]:
    """Compute each weighted term's share of the gradient: its norm over all parameters, over the sum of these norms.

    {"kl": term} -> {"share of kl": a number in [0, 1]}; they sum to 1 unless no term has a gradient. Terms that point
    against each other count in full. The autograd graph is retained. Costs one backward pass per term.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    norms = {name: _norm(part, trained) for name, part in parts.items()}
    total = sum(norms.values()) or 1.0
    return {f"{SHARE}{name}": norm / total for name, norm in norms.items()}


def _norm(part: Tensor, trained: list[nn.Parameter]) -> float:
    """Compute the norm of a term's gradient over all parameters."""
    if not part.requires_grad:
        return 0.0
    slopes = torch.autograd.grad(part, trained, retain_graph=True, allow_unused=True)
    squares = [slope.double().square().sum() for slope in slopes if slope is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
