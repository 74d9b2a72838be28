"""What the tests of losses with drawn negatives share: a draw by counts, and the same one by ids."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.losses import _negatives
from graphkd.losses._negatives import Counts, Drawn


def ids_of(drawn: Drawn) -> Tensor:
    """Every row's negatives, (N, K), each as often as it counts."""
    rows = []
    for part in drawn._parts:
        assert isinstance(part, Counts)
        places = torch.arange(part.often.size(1))
        rows += [places.repeat_interleave(row.long()) for row in part.often]
    return torch.stack(rows)


def check_counts_are_ids(
    loss: Any, ids: Tensor, run: Callable[[Any, Tensor | None], Tensor], monkeypatch: Any, kept: int
) -> None:
    """A step by counts, ``kept`` at a time, equals the step by the same negatives given as ids, to 1e-9 in float64.

    ``run`` makes the step of a loss, on negatives or drawn ones; compared are the value, gradients and buffers.
    """
    monkeypatch.setattr(_negatives, "_KEPT", kept)
    drawn = loss.draws(ids)
    other = copy.deepcopy(loss)
    monkeypatch.setattr(loss.draws, "forward", lambda ids, given: drawn)
    results = [_step(one, run, negatives) for one, negatives in ((loss, None), (other, ids_of(drawn)))]
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


def _step(loss: nn.Module, run: Callable[[Any, Tensor | None], Tensor], negatives: Tensor | None) -> list[Tensor]:
    value = run(loss, negatives)
    value.backward()
    return [value.detach(), *(p.grad for p in loss.parameters() if p.grad is not None), *loss.buffers()]
