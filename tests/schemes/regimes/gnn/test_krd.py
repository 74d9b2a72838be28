"""KRD and HGMD where their papers have them: half of the teacher's answers are no knowledge, neighbours share a class.

What the teacher says of a shaky node is a random map of its features, which moves with them; of the others it is right
and sure whatever the features. A student that learns from each node's own answer learns the random map too.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

import graphkd
from tests.schemes.regimes.gnn.scene import communities, right
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("krd", "hgmd", "hgmd_weight")


class Shaky(nn.Module):
    """Right of half of the nodes, and a random map of the features of the others."""

    shaky: Tensor
    answer: Tensor

    def __init__(self, data: Data, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        classes = int(data.y.max()) + 1
        self.register_buffer("shaky", torch.rand(data.num_nodes, generator=generator) < 0.5)
        self.register_buffer("answer", 4 * F.one_hot(data.y, classes).float())
        self.weight = nn.Parameter(0.5 * torch.randn(data.num_features, classes, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(self.shaky[:, None], x @ self.weight, self.answer)


def accuracy(name: str, seed: int, **settings: float) -> float:
    data = communities(seed, homophily=0.95)
    options = {"epochs": 60, "seed": seed, "progress": False, "label_weight": 0.0, "temperature": 1.0}
    student = net(16, 32, 4, seed=seed, dropout=0.3)
    return right(graphkd.distil(name, student, Shaky(data, seed), data, **settings, **options))


def test_reliable_neighbours_teach_more_than_all(seed_offset):
    def gain(seed: int, **settings: float) -> float:
        """Points over the same student that learns along all edges."""
        strict = {"warmup": 0, "power": 0.001, "momentum": 1.0}  # who moves at all does not teach
        return accuracy("krd", seed, **strict, **settings) - accuracy("krd", seed, warmup=60)

    def holds(**settings: float) -> bool:
        return mean_of(lambda seed: gain(seed, **settings), 8, seed_offset) > 3

    assert holds()
    assert not holds(noise=0.0)  # without it all are alike


@pytest.mark.parametrize("name", ["hgmd", "hgmd_weight"])
def test_neighbours_help_where_a_node_is_hard(name, seed_offset):
    def gain(seed: int, alpha: float) -> float:
        """Points over the same student that learns from each node's own answer."""
        return accuracy(name, seed, alpha=alpha) - accuracy(name, seed, alpha=1e-9)

    def holds(alpha: float) -> bool:
        return mean_of(lambda seed: gain(seed, alpha), 6, seed_offset) > 4.5

    assert holds(alpha=100.0)
    assert not holds(alpha=1e-6)
