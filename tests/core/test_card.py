"""Cards tell runs apart, and data at a glance."""

from __future__ import annotations

from functools import partial

import torch
from torch.utils.data import DataLoader, TensorDataset
from torch_geometric.loader import DataLoader as GraphLoader
from torch_geometric.loader import RandomNodeLoader

from graphkd.core.card import described, difference, glimpse
from graphkd.losses import CE, KL
from recsys.data.batches import RankingBatches
from tests.core.models import gcn, graph
from tests.methods.recommenders import split


def other():
    data = graph()
    data.x[0, 0] += 1
    return data


def test_a_glimpse_tells_data_apart_and_nothing_else():
    makes = {
        "a graph": lambda data, *_: data,
        "a list": lambda data, *_: [data, data],
        "graphs": lambda data, *_: GraphLoader([data, data], 1),
        "parts": lambda data, *_: RandomNodeLoader(data, 3, shuffle=True),
        "rows": lambda data, *_: DataLoader(TensorDataset(data.x, data.y), 5, shuffle=True),
        "pairs": lambda _, seed: RankingBatches(split(seed).train),
    }
    seen: set[str] = set()
    for name, make in makes.items():
        before = torch.get_rng_state()
        assert glimpse(make(graph(), 0)) == glimpse(make(graph(), 0)), name
        assert glimpse(make(graph(), 0)) != glimpse(make(other(), 1)), name
        assert torch.equal(torch.get_rng_state(), before)
        seen.add(glimpse(make(graph(), 0)))
    assert len(seen) == len(makes)
    rows = TensorDataset(graph().x)
    assert glimpse(DataLoader(rows, 5)) != glimpse(DataLoader(rows, 6))
    assert glimpse(iter([1])).startswith("list_iterator")


def test_a_loss_is_described_by_its_settings_and_weights():
    assert described(KL(4.0)) != described(KL(2.0))
    assert described(2.0 * KL(4.0)) != described(KL(4.0))
    assert described(CE(where="train_mask")) != described(CE(where="val_mask"))
    assert described(KL(4.0) + CE()) == described(KL(4.0) + CE())


def test_an_optimiser_is_described_by_what_it_is_made_with():
    assert described(partial(torch.optim.Adam, lr=0.1)) == "Adam of [['lr', 0.1]]"


def test_a_compiled_model_is_described_as_the_plain_one():
    assert described(torch.compile(gcn(1), backend="eager")) == described(gcn(1))


def test_a_difference_names_the_entry():
    known, now = {"a": 1, "settings": {"b": 2, "c": 3}}, {"a": 1, "settings": {"b": 2, "c": 4}, "d": 5}
    assert difference(known, now) == ["settings.c was 3, is 4", "d was None, is 5"]
