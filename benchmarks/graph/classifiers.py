"""Graph classifiers of the benchmarks, by name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn
from torch_geometric.nn import GCNConv, GINConv, global_add_pool

Conv = Callable[[int, int], nn.Module]


def gin(width: int, out: int) -> GINConv:
    """A GIN layer with a two-layer perceptron. Xu et al., ICLR 2019."""
    return GINConv(nn.Sequential(nn.Linear(width, out), nn.ReLU(), nn.Linear(out, out)))


CONVS: dict[str, Conv] = {"gcn": GCNConv, "gin": gin}


class GraphClassifier(nn.Module):
    """Layers of convolution, BatchNorm and ReLU, the sum over nodes, a linear map.

    All layers but the first are residual where their widths agree; as in the GNN of GFKD's experiments, the first is
    not, even where the features are as wide as it. After Dwivedi et al., "Benchmarking Graph Neural Networks", 2020.
    """

    def __init__(self, conv: Conv, widths: list[int], classes: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(i, o) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        """(N, F), (2, E), (N,) -> (B, C)."""
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            h = norm(conv(x, edge_index)).relu()
            x = x + h if number and x.shape == h.shape else h
        return self.linear(global_add_pool(x, batch))


def build(name: str, features: int, classes: int, *, hidden: int, layers: int) -> GraphClassifier:
    """A model; ValueError that lists the names where this is none of them."""
    if name not in CONVS:
        raise ValueError(f"a model must be one of {sorted(CONVS)}, got {name!r}")
    return GraphClassifier(CONVS[name], [features, *[hidden] * layers], classes)
