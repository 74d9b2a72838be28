"""How good a node classifier is on part of a graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkd.core.view import Batch, Call, Viewer


@torch.no_grad()
def predict(model: nn.Module, data: Batch, *, call: Call | None = None) -> Tensor:
    """Class of every node, (N,), from the model's logits in eval mode; the mode is restored."""
    training = model.training
    model.eval()
    try:
        return Viewer(model, call=call)(data)["logits"].argmax(dim=-1)
    finally:
        model.train(training)


def accuracy(model: nn.Module, data: Batch, mask: str = "test_mask", *, call: Call | None = None) -> float:
    """Share of the nodes of ``mask`` whose label ``y`` the model gets right, in [0, 1]."""
    rows = data[mask]
    return float((predict(model, data, call=call)[rows] == data["y"][rows]).float().mean())
