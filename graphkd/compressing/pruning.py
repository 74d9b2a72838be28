"""Narrow MLP initialised from a wide one, whose least important hidden units are removed."""

from __future__ import annotations

import torch
from torch import nn
from torch_geometric.nn import MLP


@torch.no_grad()
def pruned(wide: nn.Module, width: int, dropout: float = 0.0) -> MLP:
    """Keep the most important units of an MLP's hidden layer, in their order.

    The importance of a unit is |incoming weights| times |outgoing weights|, in L2: magnitude pruning of whole units (Li
    et al., ICLR 2017, arXiv:1608.08710, who take the L1 norm of incoming weights). The result is a dense MLP for
    further training. The bias of the output is kept.

    Args:
        wide: PyG's MLP with one hidden layer and no norm, weights (W, F) and (C, W).
        width: how many units are kept, below W.
        dropout: of the narrow MLP.

    Raises:
        ValueError: the MLP has another form or is not wider than ``width``.
    """
    if not isinstance(wide, MLP) or len(wide.lins) != 2 or any(not isinstance(n, nn.Identity) for n in wide.norms):
        raise ValueError(f"an MLP of one hidden layer and no norm is pruned, got {wide}")
    first, second = wide.lins
    if not 1 <= width < first.weight.size(0):
        raise ValueError(f"'width' must be from 1 to below the hidden layer's {first.weight.size(0)}, got {width}")
    weight = first.weight.norm(dim=1) * second.weight.norm(dim=0)
    kept = weight.topk(width).indices.sort().values
    narrow = MLP([first.weight.size(1), width, second.weight.size(0)], norm=None, dropout=dropout)
    narrow.to(first.weight.device, first.weight.dtype)
    narrow.lins[0].weight.copy_(first.weight[kept])
    narrow.lins[0].bias.copy_(first.bias[kept])
    narrow.lins[1].weight.copy_(second.weight[:, kept])
    narrow.lins[1].bias.copy_(second.bias)
    return narrow
