"""Links between nodes whose features tell nothing of their community: labels of a few links say little of the others.

LLP's student learns from how a graph network ranks the surroundings of every node, EHDM's from common neighbours.
Off: neither ranks nor distributions are matched, the same students learn labels of links alone.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import pytest
import torch
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.nn import GCN
from torch_geometric.transforms import RandomLinkSplit
from torch_geometric.utils import to_undirected

import graphkd
from graphkd.gnn import LinkPredictor
from graphkd.tasks import LinkPrediction
from tests.schemes.regimes.scene import mean_of

METHODS = ("llp", "ehdm")
NODES, COMMUNITIES, WIDTH = 120, 6, 64
OFF = {"rank_weight": 0.0, "distribution_weight": 0.0}


@cache
def parts(seed: int) -> tuple[Data, LinkPrediction]:
    """Training graph and task; 40 % of the links are to be predicted."""
    generator = torch.Generator().manual_seed(seed)
    group, pairs = torch.arange(NODES) % COMMUNITIES, torch.combinations(torch.arange(NODES)).T
    chance = torch.where(group[pairs[0]] == group[pairs[1]], 0.4, 0.004)
    edges = pairs[:, torch.rand(pairs.size(1), generator=generator) < chance]
    data = Data(x=torch.randn(NODES, WIDTH, generator=generator), edge_index=to_undirected(edges))
    seed_everything(seed)  # PyG draws pairs by other generators too
    split = RandomLinkSplit(num_val=0.1, num_test=0.4, is_undirected=True, add_negative_train_samples=False)
    train, val, test = split(data)
    return train, LinkPrediction(val=val, test=test, metrics=("auc",))


def area(method: str, student: Any, teacher: Any, seed: int, **settings: Any) -> graphkd.Distilled:
    data, task = parts(seed)
    options = {"task": task, "epochs": 40, "seed": seed, "progress": False}
    return graphkd.distil(method, student, teacher, data, **settings, **options)


@cache
def teacher(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return area("none", GCN(WIDTH, 32, 2), None, seed).model


@cache
def alone(seed: int) -> float:
    """The area of a student like those that the methods make, by labels alone."""
    torch.manual_seed(seed)
    return 100 * area("none", LinkPredictor(WIDTH, width=WIDTH, dropout=0.3), None, seed).scores["test"]["auc"]


@pytest.mark.parametrize(("method", "least"), [("llp", 12), ("ehdm", 10)])
def test_surroundings_teach_what_links_do_not_tell(method, least, seed_offset):
    def gain(seed: int, *, on: bool) -> float:
        known, settings = teacher(seed) if method == "llp" else None, {} if on else OFF
        found = area(method, None, known, seed, width=WIDTH, dropout=0.3, **settings)
        return 100 * found.scores["test"]["auc"] - alone(seed)

    def holds(*, on: bool) -> bool:
        return mean_of(partial(gain, on=on), 3, seed_offset) > least

    assert holds(on=True)
    assert not holds(on=False)
