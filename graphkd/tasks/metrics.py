"""How good a model is on part of a graph, and how faithful to its teacher."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.batches import on_device
from graphkd.core.view import Batch, Call, Viewer


def predict(model: nn.Module, data: Batch, *, call: Call | None = None) -> Tensor:
    """Class of every node, (N,), from the model's logits in eval mode; the mode is restored."""
    return answers(model, data, call).argmax(dim=-1)


def accuracy(model: nn.Module, data: Batch, mask: str = "test_mask", *, call: Call | None = None) -> float:
    """Share of the nodes of ``mask`` whose label ``y`` the model gets right, in [0, 1]."""
    rows = data[mask]
    return float((predict(model, data, call=call)[rows] == data["y"][rows]).float().mean())


def area_under_curve(scores: Tensor, y: Tensor) -> float:
    """Measure the chance that a row of ``y`` is scored above one that is not, ties counting half: (N,), (N,) -> float.

    By mean ranks, exactly, O(N log N). ValueError where ``y`` has no such row, or no other.
    """
    chosen = y.bool()
    positives, negatives = int(chosen.sum()), int((~chosen).sum())
    if not positives or not negatives:
        raise ValueError(f"'y' must hold both 1 and 0, for the area under the curve; {positives} of {len(y)} are 1")
    if not bool(torch.isfinite(scores).all()):
        raise ValueError(f"'scores' must be finite, {int((~torch.isfinite(scores)).sum())} of {len(scores)} are not")
    _, place, counts = scores.double().unique(return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0).double() - (counts - 1) / 2
    above = ranks[place][chosen].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


class Fidelity(NamedTuple):
    """How a student answers beside its teacher: share of equal decisions, and mean KL(teacher || student) in nats."""

    agreement: float
    kl: float


def fidelity(student: nn.Module, teacher: nn.Module, data: Batch, mask: str = "test_mask") -> Fidelity:
    """Fidelity on the nodes of ``mask``, both in eval mode; Stanton et al., NeurIPS 2021, arXiv:2106.05945.

    A student may be accurate without being faithful, and the other way round: look at both.
    """
    rows = data[mask]
    s, t = (answers(model, data)[rows].log_softmax(dim=-1) for model in (student, teacher))
    agreement = (s.argmax(dim=-1) == t.argmax(dim=-1)).float().mean()
    return Fidelity(float(agreement), float(F.kl_div(s, t, reduction="batchmean", log_target=True)))


@torch.no_grad()
def answers(model: nn.Module, data: Batch, call: Call | None = None) -> Tensor:
    """Answers of a model about every row of a batch, (N, C), in eval mode; the mode is restored."""
    training = model.training
    model.eval()
    try:
        device = next((p.device for p in model.parameters()), None)
        return Viewer(model, call=call)(data if device is None else on_device(data, device))["logits"]
    finally:
        model.train(training)
