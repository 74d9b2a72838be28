"""Distillation with PyG's loaders: teachers' rows by node id, masks, seeds, structure of the sampled sub-graph."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import (
    ClusterData,
    ClusterLoader,
    DataLoader,
    NodeLoader,
    RandomNodeLoader,
)
from torch_geometric.nn import GraphSAGE, global_mean_pool
from torch_geometric.sampler import BaseSampler, SamplerOutput

from graphkd import Cached, Distiller, Frozen, fit, load
from graphkd.loaders import neighbour_loader
from graphkd.losses import CE, GCRD, GSP, KL, LSP
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph

TAPS = {"hidden": "convs.0"}
SEEDS = torch.arange(0, NODES, 2)


class InNeighbours(BaseSampler):
    """The seeds, then their in-neighbours, with the edges that enter seeds: what one hop gives."""

    def __init__(self, edge_index: torch.Tensor) -> None:
        self.edge_index = edge_index

    def sample_from_nodes(self, index, **options) -> SamplerOutput:
        edges = torch.isin(self.edge_index[1], index.node).nonzero()[:, 0]
        source, target = self.edge_index[:, edges].tolist()
        nodes = list(dict.fromkeys([*index.node.tolist(), *source]))
        place = {node: row for row, node in enumerate(nodes)}
        rows, columns = (torch.tensor([place[node] for node in ends]) for ends in (source, target))
        return SamplerOutput(torch.tensor(nodes), rows, columns, edges, None, metadata=(index.input_id, index.time))

    def sample_from_edges(self, index, **options):
        raise NotImplementedError


class Clusters(ClusterData):
    """METIS comes with pyg-lib or torch-sparse only; any partition makes clusters."""

    def _metis(self, edge_index, num_nodes):
        return torch.arange(num_nodes) % self.num_parts


def with_ids(data: Data) -> Data:
    """What a loader that knows no node ids needs."""
    data.n_id = torch.arange(data.num_nodes)
    return data


LOADERS = {
    "random": lambda data: RandomNodeLoader(with_ids(data), 3, shuffle=True),
    "cluster": lambda data: ClusterLoader(Clusters(with_ids(data), 5, log=False), batch_size=2, shuffle=True),
    "node": lambda data: NodeLoader(data, InNeighbours(data.edge_index), SEEDS, batch_size=5, shuffle=True),
    "neighbour": lambda data: neighbour_loader(data, [3, 2], SEEDS, batch_size=5, shuffle=True),
}
NAMES = ["random", "cluster", "node", "neighbour"]
SAMPLED = NAMES[2:]
pytestmark = pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without a 'pyg-lib' installation")


def exact() -> Data:
    """The graph in float64, in which losses equal what is computed by hand to nine digits."""
    data = graph()
    data.x = data.x.double()
    return data


def shown(model: nn.Module, data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and first hidden layer."""
    return model(data.x, data.edge_index).detach(), model.convs[0](data.x, data.edge_index).detach()


def lsp_by_hand(student: torch.Tensor, teacher: torch.Tensor, edge_index: torch.Tensor) -> float:
    """(1/N) sum_i KL(LS^s_i || LS^t_i), u = exp(-|x - y|^2 / 200), by loops over nodes."""
    total = 0.0
    for node in range(len(student)):
        near = edge_index[0, edge_index[1] == node]
        p, q = ((-(x[near] - x[node]).square().sum(1) / 200).exp().log_softmax(0) for x in (student, teacher))
        total += float((p.exp() * (p - q)).sum())
    return total / len(student)


def gsp_by_hand(student: torch.Tensor, teacher: torch.Tensor) -> float:
    s, t = (torch.nn.functional.normalize(x) for x in (student, teacher))
    return float((s @ s.t() - t @ t.t()).square().mean())


def kl_by_hand(student: torch.Tensor, teacher: torch.Tensor) -> float:
    p, q = (x.log_softmax(1) for x in (teacher, student))
    return float((p.exp() * (p - q)).sum(1).mean())


# ------------------------------------------------------------- node classification
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
def test_every_term_is_the_one_computed_by_hand_on_the_sampled_sub_graph(tmp_path, name, on_disk):
    data, student, teacher = exact(), gcn(1).double(), gcn(2, width=16).double()
    loader = LOADERS[name](data)
    losses = {"ce": CE(where="train_mask"), "kd": KL(where="all"), "lsp": LSP(), "gsp": GSP(where="all")}
    cached = Cached(teacher, data, path=tmp_path / "store" if on_disk else None)
    task = Distiller(student, cached, losses, taps=TAPS)
    steps = [(batch, task(batch)) for batch in loader]
    logits, hidden = shown(teacher, data)  # the teacher's view of the whole graph
    task.close()
    for batch, step in steps:
        assert torch.equal(batch.x, data.x[batch.n_id])
        assert batch.num_nodes < NODES
        mine, inner = shown(student, batch)
        mask = batch.train_mask
        want = {
            "ce": float(torch.nn.functional.cross_entropy(mine[mask], batch.y[mask])),
            "kd": kl_by_hand(mine, logits[batch.n_id]),
            "lsp": lsp_by_hand(inner, hidden[batch.n_id], batch.edge_index),
            "gsp": gsp_by_hand(inner, hidden[batch.n_id]),
        }
        assert {term: float(value) for term, value in step.terms.items()} == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("asked", [{}, {"where": "seed"}], ids=["by_default", "where_seed"])
@pytest.mark.parametrize("name", SAMPLED)
def test_rows_are_the_seed_nodes(name, asked):
    data, student, teacher = exact(), gcn(1).double(), gcn(2).double()
    losses = {"ce": CE(**{"where": None, **asked}), "kd": KL(**asked), "gsp": GSP(**asked), "gcrd": GCRD(**asked)}
    task = Distiller(student, Cached(teacher, data), losses, taps=TAPS)
    logits, hidden = shown(teacher, data)
    seen = []
    for batch in LOADERS[name](data):
        terms, seeds = task(batch).terms, batch.n_id[: batch.batch_size]
        assert batch.batch_size < batch.num_nodes
        seen += seeds.tolist()
        mine, inner = (x[: len(seeds)] for x in shown(student, batch))
        contrast = torch.nn.functional.normalize(inner) @ torch.nn.functional.normalize(hidden[seeds]).t() / 0.075
        want = {
            "ce": float(torch.nn.functional.cross_entropy(mine, data.y[seeds])),
            "kd": kl_by_hand(mine, logits[seeds]),
            "gsp": gsp_by_hand(inner, hidden[seeds]),
            "gcrd": float(torch.nn.functional.cross_entropy(contrast, torch.arange(len(seeds)))),
        }
        assert {term: float(value) for term, value in terms.items()} == pytest.approx(want, rel=1e-9)
    assert sorted(seen) == SEEDS.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_student_trained_in_batches_comes_close_to_the_teacher_on_the_graph(tmp_path, name):
    data, student = graph(), gcn(2, width=16)
    teacher = fit(Distiller(gcn(1, width=16), losses=CE(where="train_mask")), data, epochs=40)
    cached = Cached(teacher, data, path=tmp_path / "store", dtype=torch.float16)
    losses = KL(where="seed" if name in ("node", "neighbour") else None) + LSP() + 0.1 * GSP()
    before, reports = kl_by_hand(shown(student, data)[0], shown(teacher, data)[0]), []
    fit(Distiller(student, cached, losses, taps=TAPS), LOADERS[name](data), epochs=20, log=reports.append)
    after = kl_by_hand(shown(student, data)[0], shown(teacher, data)[0])
    assert reports[-1]["kl"] < 0.5 * reports[0]["kl"]
    assert after < 0.7 * before


def test_a_run_on_shuffled_parts_resumes_to_the_same_bits(tmp_path):
    data = graph()

    def run(epochs, folder, store, **options):
        task = Distiller(gcn(1, dropout=0.5), Cached(gcn(2), data, path=tmp_path / store), KL() + LSP(), taps=TAPS)
        return fit(task, LOADERS["random"](data), epochs=epochs, checkpoint=tmp_path / folder, **options).state_dict()

    whole = run(6, "whole", "one")
    run(3, "parts", "other")
    resumed = run(6, "parts", "other", resume=True)  # the first run made the store, this one finds it
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert load(tmp_path / "parts" / "last.pt")["progress"]["epoch"] == 6


def test_a_loader_with_all_nodes_as_seeds_fills_a_store_as_the_whole_graph_does(tmp_path):
    data, path = graph(), tmp_path / "store"
    teacher = GraphSAGE(FEATURES, 4, 1, CLASSES)  # of one layer, for which one hop of neighbours is all
    seeds = NodeLoader(data, InNeighbours(data.edge_index), batch_size=7, shuffle=True)
    fit(Distiller(gcn(1), Cached(teacher, seeds, path=path), KL()), LOADERS["random"](data), epochs=1)
    found = Cached(teacher, data, path=path)({"n_id": torch.arange(NODES)})["logits"]  # the graph of the loader
    torch.testing.assert_close(found, Frozen(teacher)(data)["logits"])


def test_parts_without_node_ids_say_what_to_do():
    data = graph()
    task = Distiller(gcn(1), Cached(gcn(2), data), KL())
    with pytest.raises(
        ValueError, match=r"give the batch its node ids as 'n_id' \(data.n_id = torch.arange\(data.num_"
    ):
        fit(task, RandomNodeLoader(data, 3), epochs=1)
    fit(Distiller(gcn(1), Frozen(gcn(2)), KL()), RandomNodeLoader(data, 3), epochs=1)  # it sees the part alone
    with pytest.raises(KeyError, match=r"where='seed' needs \['batch_size'\] from the batch, which has \["):
        fit(Distiller(gcn(1), Frozen(gcn(2)), KL(where="seed")), RandomNodeLoader(data, 3), epochs=1)


# ------------------------------------------------------------- graph classification
class Classifier(nn.Module):
    """Graph-level logits."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        self.gnn = gcn(seed, width)

    def forward(self, x, edge_index, batch):
        return global_mean_pool(self.gnn(x, edge_index), batch)


def graphs(count: int = 12, dtype: torch.dtype = torch.float32) -> list[Data]:
    generator = torch.Generator().manual_seed(3)
    sizes = torch.randint(3, 9, (count,), generator=generator).tolist()
    return [
        Data(
            x=torch.randn(size, FEATURES, generator=generator).to(dtype),
            edge_index=torch.randint(size, (2, 3 * size), generator=generator),
            y=torch.tensor([number % CLASSES]),
            n_id=torch.tensor([number]),
        )
        for number, size in enumerate(sizes)
    ]


def test_graph_level_logits_are_distilled_and_structure_within_the_graphs_of_a_batch():
    losses = {"ce": CE(), "kd": KL(), "lsp": LSP()}
    student, teacher = Classifier(8, 1).double(), Classifier(16, 2).double()
    task = Distiller(student, teacher, losses, taps={"hidden": "gnn.convs.0"})
    for batch in DataLoader(graphs(dtype=torch.float64), 5):
        step = task(batch)
        (mine, inner), (other, outer) = (shown(model.gnn, batch) for model in (student, teacher))
        mine, other = (global_mean_pool(x, batch.batch) for x in (mine, other))
        want = {
            "ce": float(torch.nn.functional.cross_entropy(mine, batch.y)),
            "kd": kl_by_hand(mine, other),
            "lsp": lsp_by_hand(inner, outer, batch.edge_index),
        }
        assert {term: float(value) for term, value in step.terms.items()} == pytest.approx(want, rel=1e-9)


def test_a_graph_level_teacher_is_stored_by_graph(tmp_path):
    data, teacher = graphs(), Classifier(16, 2)
    loader = partial(DataLoader, data, shuffle=True)
    cached = Cached(teacher, loader(4), path=tmp_path / "store")
    for batch in loader(5):
        torch.testing.assert_close(cached(batch)["logits"], Frozen(teacher)(batch)["logits"])
    fit(Distiller(Classifier(8, 1), cached, CE() + KL()), loader(5), epochs=2)
    with pytest.raises(ValueError, match="from another graph"):
        Cached(teacher, DataLoader(graphs(11), 4), path=tmp_path / "store")({"n_id": torch.tensor([0])})
