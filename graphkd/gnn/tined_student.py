"""The student of TINED: an MLP with a layer for each transformation and each propagation of its teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, SAGEConv

from graphkd.core.sparse_features import whole

Norm = Literal["none", "layer", "batch"]
Init = Literal["identity", "random"]


class Transformation(NamedTuple):
    """Linear map that a graph convolution applies to each node on its own: (out, in) and (out,)."""

    weight: Tensor
    bias: Tensor | None


class InjectedMLP(nn.Module):
    """Stack linear layers, every other one initialised with a teacher's weights, with norm, ReLU and dropout between.

    layers: a teacher's transformations in their order. first: for each whether it comes before its propagation (the
    default) or after it. init: a propagation's layer begins as the identity or at random. positions: number of further
    input columns; if the first layer is a propagation with ``init`` "identity", it ignores them at first.
    ``injected``: the numbers of the layers with a teacher's weights.
    """

    def __init__(
        self,
        layers: Sequence[Transformation],
        *,
        first: Sequence[bool] | None = None,
        init: Init = "identity",
        norm: Norm = "none",
        dropout: float = 0.0,
        positions: int = 0,
    ) -> None:
        super().__init__()
        self.lins, self.injected, self.dropout = nn.ModuleList(), [], dropout
        for number, layer in enumerate(layers):
            extra = positions if number == 0 else 0
            transform_first = first is None or first[number]
            own = _linear(layer, extra if transform_first else 0)
            width = layer.weight.size(0 if transform_first else 1)
            other = _propagation(width, 0 if transform_first else extra, init, like=layer.weight)
            self.injected.append(len(self.lins) + (not transform_first))
            self.lins.extend([own, other] if transform_first else [other, own])
        kinds = {"none": nn.Identity, "layer": nn.LayerNorm, "batch": nn.BatchNorm1d}
        widths = [linear.out_features for linear in self.lins][:-1]
        self.norms = nn.ModuleList(kinds[norm]() if norm == "none" else kinds[norm](width) for width in widths)
        self.norms.to(layers[0].weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, C)."""
        *_, (_, last) = self.pairs(x)
        return last

    def pairs(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the input and the output of each linear layer, before its norm: pairs of (N, d)."""
        for number, linear in enumerate(self.lins):
            if number:
                x = F.dropout(self.norms[number - 1](x).relu(), self.dropout, self.training)
            before, x = x, linear(x)
            yield before, x


def _linear(layer: Transformation, extra: int) -> nn.Linear:
    """Make a linear layer with a teacher's weights; further input columns get random weights."""
    made = nn.Linear(layer.weight.size(1) + extra, layer.weight.size(0)).to(layer.weight)
    with torch.no_grad():
        made.weight[:, : layer.weight.size(1)] = layer.weight
        made.bias.copy_(torch.zeros_like(made.bias) if layer.bias is None else layer.bias)
    return made


def _propagation(width: int, extra: int, init: Init, *, like: Tensor) -> nn.Linear:
    """Make the linear layer that replaces a propagation, (width, width + extra)."""
    made = nn.Linear(width + extra, width).to(like)
    if init == "identity":
        with torch.no_grad():
            made.weight.copy_(torch.eye(width, width + extra))
            made.bias.zero_()
    return made


def transformation(conv: nn.Module) -> Transformation | None:
    """Read the linear map that a PyG convolution applies to a node whose neighbours equal it; None for other modules.

    GCN and GAT have one linear map; GraphSAGE has two, of the node and of its neighbours, which are summed. If a GAT
    averages its heads, their maps are averaged. A layer of another class may have a method ``transformation()`` that
    returns weight (out, in) and bias, (out,) or None.
    """
    own = getattr(conv, "transformation", None)
    if callable(own):
        return Transformation(*own())
    if isinstance(conv, SAGEConv):
        weight = conv.lin_l.weight + (conv.lin_r.weight if conv.root_weight else 0)
        return Transformation(weight.detach(), conv.lin_l.bias)
    if isinstance(conv, GCNConv):
        return Transformation(conv.lin.weight.detach(), conv.bias)
    if isinstance(conv, GATConv) and conv.lin is not None:
        weight = conv.lin.weight.detach()
        if not conv.concat:
            weight = weight.view(conv.heads, conv.out_channels, -1).mean(dim=0)
        return Transformation(weight, conv.bias)
    return None


@contextmanager
def convolutions(model: nn.Module) -> Iterator[list[tuple[Transformation, Tensor, Tensor]]]:
    """Record each convolution as it runs: its transformation, its input and its output, in order."""
    found: list[tuple[Transformation, Tensor, Tensor]] = []

    def note(conv: nn.Module, given: tuple[Any, ...], named: dict[str, Any], out: Any) -> None:
        layer = transformation(conv)
        assert layer is not None
        found.append((layer, whole(given[0] if given else named["x"]), out))

    convs = [module for module in model.modules() if transformation(module) is not None]
    hooks = [conv.register_forward_hook(note, with_kwargs=True) for conv in convs]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
