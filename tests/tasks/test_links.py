"""Links: the forms of models and data, negatives that are none of the edges, and scores by their definitions."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare
from torch import nn
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.nn import GCN, MLP, GraphSAGE
from torch_geometric.transforms import RandomLinkSplit
from torch_geometric.utils import to_undirected

import graphkd
from graphkd.loaders import link_neighbour_loader
from graphkd.tasks import LinkPrediction
from graphkd.tasks.link_metrics import hits, mean_reciprocal_rank
from graphkd.tasks.negatives import WithNegatives

NODES, GROUPS = 60, 4


def graph(seed: int = 0) -> Data:
    """Nodes of groups that are joined within, with features that tell a little of the group."""
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(NODES) % GROUPS
    pairs = torch.combinations(torch.arange(NODES)).T
    chance = torch.where(group[pairs[0]] == group[pairs[1]], 0.4, 0.01)
    edges = pairs[:, torch.rand(pairs.size(1), generator=generator) < chance]
    x = nn.functional.one_hot(group, 8) + 0.8 * torch.randn(NODES, 8, generator=generator)
    return Data(x=x, edge_index=to_undirected(edges), y=group, train_mask=group < 2)


def split(seed: int = 0, **options):
    seed_everything(seed)  # PyG draws pairs by other generators too
    options = {"num_val": 0.15, "num_test": 0.2, "is_undirected": True, "add_negative_train_samples": False, **options}
    return RandomLinkSplit(**options)(graph(seed))


def encoder(seed: int = 0) -> GraphSAGE:
    torch.manual_seed(seed)
    return GraphSAGE(8, 16, 2, 16)


def student(seed: int = 1) -> MLP:
    torch.manual_seed(seed)
    return MLP([8, 16, 16], norm=None)


def run(method, model, teacher, parts, task=None, **options):
    train, val, test = parts
    task = task or LinkPrediction(val=val, test=test)
    return graphkd.distil(method, model, teacher, train, task=task, progress=False, **{"epochs": 40, **options})


# ------------------------------------------------------------------------- whole runs
def test_an_encoder_teaches_a_student_of_features():
    parts = split()
    teacher = run("none", encoder(), None, parts, epochs=80)
    assert teacher.scores["test"]["auc"] > 0.8
    alone, taught = (run(method, student(), teacher.model, parts, epochs=80) for method in ("none", "kd"))
    assert taught.scores["test"]["auc"] > 0.7
    assert set(taught.scores["test"]) == {"auc", "average_precision", "hits@20"}
    assert alone.model(parts[0].x).shape == (NODES, 16)


def test_a_run_goes_on_with_the_same_bits(tmp_path):
    parts = split()
    whole = run("none", student(), None, parts, epochs=9, checkpoint=tmp_path / "whole")

    def breaks(report):
        if report["epoch"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("none", student(), None, parts, epochs=9, checkpoint=tmp_path / "part", log=breaks)
    again = run("none", student(), None, parts, epochs=9, checkpoint=tmp_path / "part", resume=True)
    assert all(torch.equal(*pair) for pair in zip(whole.model.parameters(), again.model.parameters(), strict=True))


class Pair(nn.Module):
    """PyG's form: encode and decode apart."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = encoder()

    def encode(self, x, edge_index):
        return self.inner(x, edge_index)

    def decode(self, z, edge_label_index):
        return (z[edge_label_index[0]] * z[edge_label_index[1]]).sum(dim=-1)


class Whole(Pair):
    """Scores at once."""

    encode = None

    def forward(self, x, edge_index, edge_label_index):
        return self.decode(self.inner(x, edge_index), edge_label_index)


def as_scores(model, batch):
    return model.decode(model.inner(batch["x"], batch["edge_index"]), batch["edge_label_index"])


@pytest.mark.parametrize(
    ("made", "call"),
    [
        (Pair, None),
        (Whole, None),
        (Whole, as_scores),
        (encoder, lambda model, batch: model(batch["x"], batch["edge_index"])),
    ],
    ids=["encode-decode", "scores", "call-scores", "call-nodes"],
)
def test_all_forms_of_models_give_the_same(made, call):
    parts = split()
    task = LinkPrediction(test=parts[2])
    plain, other = (
        run("kd", model, encoder(7), parts, task, epochs=3, call=(way, None))
        for model, way in ((encoder(), None), (made(), call))
    )
    assert other.scores["test"] == pytest.approx(plain.scores["test"])


def test_hidden_layers_are_those_of_nodes():
    parts = split()
    found = run("rkd", student(), encoder(), parts, hidden=("lins.0", "convs.0"), epochs=2) if _serves("rkd") else None
    assert found is None or torch.isfinite(found.model(parts[0].x)).all()


def _serves(name: str) -> bool:
    return any(row.name == name and "link_prediction" in row.tasks for row in graphkd.methods())


def test_batches_of_a_loader():
    train, _, test = split()
    loader = link_neighbour_loader(
        train, [-1, -1], train.edge_label_index, edge_label=train.edge_label, neg_sampling_ratio=1.0, batch_size=32
    )
    found = run("none", encoder(), None, (loader, None, test), LinkPrediction(test=test), epochs=15)
    assert found.scores["test"]["auc"] > 0.7


def test_given_negatives_are_kept():
    train, val, test = split(add_negative_train_samples=True)
    ready = LinkPrediction(val=val, test=test).prepare(train)
    assert torch.equal(ready["edge_label_index"], train.edge_label_index)
    assert torch.equal(ready["y"][:, 0], train.edge_label)
    assert "train_mask" not in ready


# -------------------------------------------------------------------------- negatives
def test_negatives_are_uniform_over_pairs_that_are_not_joined():
    torch.manual_seed(5)
    edges = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 3]])
    data = Data(x=torch.zeros(5, 1), edge_index=edges[:, :2])
    drawn = WithNegatives(data, edges[:, 2:], lambda batch: batch).draw(14000)
    low, high = drawn.amin(dim=0), drawn.amax(dim=0)
    counts = (low * 5 + high).bincount(minlength=25)
    free = [i * 5 + j for i in range(5) for j in range(i + 1, 5) if (i, j) not in ((0, 1), (2, 3))]
    assert int(counts.sum()) == int(counts[free].sum())
    assert chisquare(counts[free]).pvalue > 1e-4
    assert abs(float((drawn[0] < drawn[1]).double().mean()) - 0.5) < 0.02  # in both directions


def test_each_pass_draws_others():
    train, val, test = split()
    ready = LinkPrediction(val=val, test=test).prepare(train)
    first, second = (next(iter(ready)) for _ in range(2))
    count = train.edge_label_index.size(1)
    assert torch.equal(first["edge_label_index"][:, :count], train.edge_label_index)
    assert not torch.equal(first["edge_label_index"], second["edge_label_index"])
    assert float(first["y"].mean()) == 0.5


def test_a_whole_graph_has_none_to_draw():
    full = torch.combinations(torch.arange(4)).T
    with pytest.raises(ValueError, match="all pairs of 4 nodes are joined"):
        LinkPrediction().prepare(Data(x=torch.zeros(4, 1), edge_index=full))


# ----------------------------------------------------------------------------- scores
def test_hits_and_ranks():
    scores, edges = torch.tensor([3.0, 1.0, 2.0, 0.5, 2.5]), torch.tensor([1, 1, 0, 0, 0]).bool()
    assert [hits(scores, edges, k) for k in (1, 2, 3, 4)] == [0.5, 0.5, 1.0, 1.0]
    ranked = torch.tensor([[2.0, 1.0, 3.0], [1.0, 1.0, 0.0]])
    assert mean_reciprocal_rank(ranked) == pytest.approx((1 / 2 + 1 / 1.5) / 2)


def test_scores_are_those_of_their_definitions():
    from sklearn.metrics import average_precision_score, roc_auc_score

    _, _, test = split()
    edges = test.edge_label_index[:, test.edge_label > 0]
    test.ranking_negatives = torch.randint(NODES, (edges.size(1), 6), generator=torch.Generator().manual_seed(0))
    task = LinkPrediction(test=test, metrics=("auc", "average_precision", "hits@3", "mrr"))
    model = encoder()
    found = task.score(model, None, "test")
    z = model(test.x, test.edge_index).detach()

    def score(pairs):
        return (z[pairs[0]] * z[pairs[1]]).sum(dim=-1)

    own = score(test.edge_label_index)
    ranks = []
    for (a, b), negatives in zip(edges.T.tolist(), test.ranking_negatives.tolist(), strict=True):
        others = [score((a, c)) for c in negatives[:3]] + [score((c, b)) for c in negatives[3:]]
        best = score((a, b))
        ranks.append(1 + sum(bool(o > best) for o in others) + 0.5 * sum(bool(o == best) for o in others))
    third = own[test.edge_label == 0].sort(descending=True).values[2]
    assert found == pytest.approx(
        {
            "auc": roc_auc_score(test.edge_label, own),
            "average_precision": average_precision_score(test.edge_label, own),
            "hits@3": float((own[test.edge_label > 0] > third).float().mean()),
            "mrr": sum(1 / rank for rank in ranks) / len(ranks),
        },
        rel=1e-3,
    )


# --------------------------------------------------------------------------- the door
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"edge_label": torch.tensor([0.0, 2.0])}, r"'edge_label' \(M,\) of 0 and 1, got \(2, 3\)"),
        ({"edge_label": torch.tensor([0.0, 1.0, 3.0])}, "from 0.0 to 3.0: for weights use edge_label.gt"),
    ],
)
def test_wrong_pairs(change, words):
    data = Data(x=torch.zeros(4, 1), edge_index=torch.tensor([[0], [1]]), edge_label_index=torch.zeros(2, 3).long())
    data.edge_label = change["edge_label"]
    with pytest.raises(ValueError, match=words):
        LinkPrediction().prepare(data)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"must be some of \('auc', .* and 'hits@K', got \('hits',\)"):
        LinkPrediction(metrics=("hits",))
    train, val, _ = split()
    with pytest.raises(ValueError, match=r"link prediction needs \['edge_label_index', 'edge_label'\]"):
        LinkPrediction(val=graph()).score(encoder(), train, "val")
    val.ranking_negatives = torch.zeros(3, 2).long()
    with pytest.raises(ValueError, match=r"'ranking_negatives' must hold K other targets and K other sources"):
        LinkPrediction(val=val, metrics=("mrr",)).score(encoder(), train, "val")
    with pytest.raises(ValueError, match=r"a model must answer each of \d+ pairs, got 1 scores"):
        LinkPrediction(val=val, metrics=("auc",)).score(nn.Linear(1, 1), train, "val", lambda *_: torch.zeros(1))


def test_small_products_are_scores_and_no_chances():
    parts = split()
    for part in parts:
        part.x = 1e-3 * part.x.abs()
    found = run("kd", student(), encoder(), parts, epochs=1)
    assert set(found.scores) == {"val", "test"}


def test_a_gcn_reads_edge_weights():
    train, val, test = split()
    train.edge_weight = torch.rand(train.edge_index.size(1))
    torch.manual_seed(3)
    found = run("none", GCN(8, 16, 2, 16), None, (train, None, None), LinkPrediction(), epochs=2)
    assert found.scores == {}
    del val, test


def test_the_three_parts_of_a_split_are_no_batches():
    message = r"'data' is a tuple of 3 graphs, as RandomLinkSplit returns: give its first as data"
    with pytest.raises(ValueError, match=message):
        graphkd.distil("none", GCN(8, 8, 2), None, split(), task=LinkPrediction(), epochs=1, progress=False)


def test_labels_that_a_split_keeps_apart_name_the_option():
    train, val, test = split(split_labels=True)
    with pytest.raises(ValueError, match=r"needs \['edge_label_index', 'edge_label'\].*split_labels=False"):
        graphkd.distil("none", GCN(8, 8, 2), None, train, task=LinkPrediction(val=val, test=test), epochs=1)
