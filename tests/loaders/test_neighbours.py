"""Neighbour sampling in torch alone: what a batch holds, the law of its draws, and the loaders that use it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import LinkLoader, NodeLoader

from graphkd.loaders import NeighbourSampler, link_neighbour_loader, neighbour_loader


def graph(nodes: int = 30, edges: int = 120, seed: int = 0) -> Data:
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes, (2, edges), generator=generator)
    return Data(
        x=torch.randn(nodes, 3, generator=generator),
        edge_index=edge_index,
        edge_attr=torch.arange(edges),
        y=torch.arange(nodes),
    )


def loader_of(data, fan_outs, seeds=None, *, replace=False, **options) -> NodeLoader:
    return NodeLoader(data, NeighbourSampler(data, fan_outs, replace=replace), seeds, **options)


def by_hand(data: Data, seeds: torch.Tensor, hops: int) -> tuple[set[int], set[int]]:
    """Nodes within some hops against the edges, and the edges that enter all but the last found."""
    known, frontier, edges = set(seeds.tolist()), set(seeds.tolist()), set()
    for _ in range(hops):
        entering = [e for e, target in enumerate(data.edge_index[1].tolist()) if target in frontier]
        edges |= set(entering)
        frontier = {int(data.edge_index[0, e]) for e in entering} - known
        known |= frontier
    return known, edges


# ------------------------------------------------------------------- what a batch holds
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_with_all_edges_a_batch_is_the_neighbourhood(hops):
    data = graph()
    for batch in loader_of(data, [-1] * hops, batch_size=7):
        nodes, edges = by_hand(data, batch.n_id[: batch.batch_size], hops)
        assert set(batch.n_id.tolist()) == nodes
        assert len(nodes) == batch.num_nodes
        assert set(batch.e_id.tolist()) == edges
        assert len(edges) == batch.num_edges


@given(seed=st.integers(0, 10**6), fan_outs=st.lists(st.integers(-1, 5), min_size=1, max_size=3), replace=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_batch_is_of_the_graph(seed, fan_outs, replace):
    torch.manual_seed(seed)
    data = graph(seed=seed)
    seeds = torch.randperm(30)[:11]
    batches = list(loader_of(data, fan_outs, seeds, replace=replace, batch_size=4))
    assert torch.equal(torch.cat([batch.n_id[: batch.batch_size] for batch in batches]), seeds)
    assert torch.equal(torch.cat([batch.input_id for batch in batches]), torch.arange(11))
    for batch in batches:
        assert len(batch.n_id.unique()) == batch.num_nodes
        assert torch.equal(batch.n_id[batch.edge_index], data.edge_index[:, batch.e_id])  # its edges, and their ends
        assert torch.equal(batch.x, data.x[batch.n_id])
        assert torch.equal(batch.y, data.y[batch.n_id])
        assert torch.equal(batch.edge_attr, data.edge_attr[batch.e_id])
        assert sum(batch.num_sampled_nodes) == batch.num_nodes
        assert sum(batch.num_sampled_edges) == batch.num_edges
        assert replace or len(batch.e_id.unique()) == batch.num_edges


@pytest.mark.parametrize("fan_out", [1, 3])
def test_a_hop_follows_its_fan_out_of_nodes_found_by_the_last(fan_out):
    data = graph(50, 2000)
    (batch,) = loader_of(data, [fan_out, fan_out], torch.arange(5), batch_size=5)
    entered = batch.edge_index[1].bincount(minlength=batch.num_nodes)
    found = [sum(batch.num_sampled_nodes[: hop + 1]) for hop in range(3)]
    assert bool((entered[: found[1]] == fan_out).all())
    assert bool((entered[found[1] :] == 0).all())


def test_numbers_are_cleared_after_each_batch():
    data = graph()
    sampler = NeighbourSampler(data, [-1, -1])
    first, second = (list(NodeLoader(data, sampler, batch_size=6)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.n_id, other.n_id)
        assert torch.equal(one.edge_index, other.edge_index)


def test_the_same_seed_gives_the_same_batches():
    data = graph(100, 1000)

    def batches() -> list[torch.Tensor]:
        torch.manual_seed(3)
        return [batch.e_id for batch in loader_of(data, [3, 3], batch_size=10, shuffle=True)]

    assert all(torch.equal(one, other) for one, other in zip(batches(), batches(), strict=True))


# --------------------------------------------------------------------- kinds of nodes
def papers() -> HeteroData:
    torch.manual_seed(1)
    data = HeteroData()
    data["paper"].x, data["author"].x = torch.randn(20, 4), torch.randn(10, 2)
    data["paper"].y = torch.arange(20)
    data["venue"].num_nodes = 3
    data["author", "writes", "paper"].edge_index = torch.stack([torch.randint(10, (60,)), torch.randint(20, (60,))])
    data["paper", "cites", "paper"].edge_index = torch.randint(20, (2, 50))
    data["paper", "of", "author"].edge_index = data["author", "writes", "paper"].edge_index.flip(0)
    return data


def test_kinds_of_nodes_and_edges_are_sampled_apart():
    data = papers()
    fan_outs = {kind: [-1, 2] for kind in data.edge_types}
    for batch in loader_of(data, fan_outs, ("paper", torch.arange(0, 20, 2)), batch_size=4):
        own = batch["paper"]
        assert own.batch_size == len(own.input_id)
        assert torch.equal(own.n_id[: own.batch_size], 2 * own.input_id)
        assert torch.equal(own.x, data["paper"].x[own.n_id])
        assert batch["venue"].num_nodes == 0
        for kind in data.edge_types:
            source, target = batch[kind].edge_index
            ends = torch.stack([batch[kind[0]].n_id[source], batch[kind[2]].n_id[target]])
            assert torch.equal(ends, data[kind].edge_index[:, batch[kind].e_id])


def test_all_citations_of_the_seeds_are_there():
    data = papers()
    (batch,) = loader_of(data, [-1], "paper", batch_size=20)
    for kind in (("author", "writes", "paper"), ("paper", "cites", "paper")):
        assert sorted(batch[kind].e_id.tolist()) == list(range(data[kind].num_edges))


@pytest.mark.parametrize("layout", ["to_sparse_coo", "to_sparse_csr", "to_sparse_csc"])
@pytest.mark.parametrize("kinds", [False, True])
def test_features_in_a_sparse_layout_come_by_rows(layout, kinds):
    data = papers() if kinds else graph()
    whole = data["paper"].x if kinds else data.x
    given = getattr(whole, layout)()
    (data["paper"] if kinds else data).x = given
    options = {"input_nodes": "paper" if kinds else None, "batch_size": 7}
    for batch in neighbour_loader(data, [2], **options):
        own = batch["paper"] if kinds else batch
        assert torch.equal(own.x.to_dense(), whole[own.n_id])
    assert (data["paper"] if kinds else data).x is given


def test_a_loader_sees_later_changes_of_dense_data():
    data = graph()
    loader = neighbour_loader(data, [2], batch_size=7)
    data.later = torch.arange(30)
    assert all(torch.equal(batch.later, batch.n_id) for batch in loader)


# ------------------------------------------------------------------------------ links
def test_links_come_with_both_ends():
    data = graph()
    loader = LinkLoader(
        data, NeighbourSampler(data, [2]), edge_label_index=data.edge_index, neg_sampling_ratio=1.0, batch_size=40
    )
    seen = torch.cat([batch.n_id[batch.edge_label_index[:, batch.edge_label == 1]] for batch in loader], dim=1)
    assert torch.equal(seen, data.edge_index)


# ---------------------------------------------------------------------------- the door
@pytest.mark.parametrize("backend", [False, True])
def test_the_loaders_are_pyg_s_where_its_backend_is_there(monkeypatch, backend):
    data = graph()
    monkeypatch.setattr("graphkd.loaders._has_backend", lambda: backend)
    for name, make in (("NeighborLoader", neighbour_loader), ("LinkNeighborLoader", link_neighbour_loader)):
        asked = []
        monkeypatch.setattr(f"graphkd.loaders.{name}", lambda *given, **options: asked.append((given, options)))  # noqa: B023
        made = make(data, [2, 2], batch_size=3)
        assert bool(asked) == backend
        assert backend or isinstance(next(iter(made)), Data)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda data: neighbour_loader({"x": data.x}, [2]), TypeError, "must be PyG's Data or HeteroData, got dict"),
        (lambda data: neighbour_loader(Data(x=data.x), [2]), ValueError, "edges must be given as 'edge_index'"),
        (lambda data: neighbour_loader(data, []), ValueError, "must hold a whole number a hop"),
        (lambda data: neighbour_loader(data, [-2]), ValueError, "must hold a whole number a hop"),
        (lambda data: neighbour_loader(data, [2], time_attr="t"), ValueError, r"\['time_attr'\] need pyg-lib"),
        (lambda data: neighbour_loader(papers(), {("a", "b", "c"): [1]}), ValueError, "edges .* data do not have"),
        (lambda data: neighbour_loader(papers(), {("paper", "cites", "paper"): [1]}), ValueError, "it lacks"),
        (
            lambda data: next(iter(neighbour_loader(data, [2], torch.tensor([4, 4]), batch_size=2))),
            ValueError,
            "repeats",
        ),
    ],
)
def test_what_cannot_be_is_refused(monkeypatch, make, error, words):
    monkeypatch.setattr("graphkd.loaders._has_backend", lambda: False)
    with pytest.raises(error, match=words):
        make(graph())
