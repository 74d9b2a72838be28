"""Links of one type of heterogeneous data: between two types of nodes, and within one."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare
from torch import nn
from torch_geometric import seed_everything
from torch_geometric.data import HeteroData
from torch_geometric.nn import MLP, GraphSAGE, HeteroConv, SAGEConv, to_hetero
from torch_geometric.transforms import RandomLinkSplit

import graphkd
from graphkd.loaders import link_neighbour_loader
from graphkd.tasks import LinkPrediction, NodeClassification
from graphkd.tasks.negatives import WithNegatives

USERS, FILMS, TASTES = 60, 40, 4
RATES, RATED = ("user", "rates", "film"), ("film", "rev_rates", "user")
LIKE = ("film", "like", "film")


def ratings(seed: int = 0) -> HeteroData:
    """Users who rate films of their taste, and films that are like others; features tell a little of the taste."""
    generator, data = torch.Generator().manual_seed(seed), HeteroData()
    tastes = {kind: torch.arange(count) % TASTES for kind, count in (("user", USERS), ("film", FILMS))}
    for (kind, taste), width in zip(tastes.items(), (8, 6), strict=True):
        noise = torch.randn(len(taste), width, generator=generator)
        data[kind].x = nn.functional.one_hot(taste, width) + 0.5 * noise
    for kind, other, name in (("user", "film", RATES), ("film", "film", LIKE)):
        chance = torch.where(tastes[kind][:, None] == tastes[other], 0.5, 0.02)
        edges = (torch.rand(chance.shape, generator=generator) < chance).nonzero().T
        data[name].edge_index = edges[:, edges[0] != edges[1]] if kind == other else edges
    data[RATED].edge_index = data[RATES].edge_index.flip(0)
    data["film"].y = tastes["film"]
    return data


def split(kind=RATES, seed: int = 0, **options):
    seed_everything(seed)
    given = {"num_val": 0.15, "num_test": 0.2, "add_negative_train_samples": False, "edge_types": [kind]}
    given |= {"rev_edge_types": [RATED if kind == RATES else None]}
    return RandomLinkSplit(**{**given, **options})(ratings())


class Native(nn.Module):
    """Two layers over types; answers embeddings of all."""

    def __init__(self, seed: int = 0, width: int = 16) -> None:
        super().__init__()
        torch.manual_seed(seed)
        sizes = {"user": 8, "film": 6}
        kinds = (RATES, RATED, LIKE)
        self.first = HeteroConv({kind: SAGEConv((sizes[kind[0]], sizes[kind[2]]), width) for kind in kinds})
        self.last = HeteroConv({kind: SAGEConv((width, width), width) for kind in kinds})

    def forward(self, x_dict, edge_index_dict):
        hidden = {kind: x.relu() for kind, x in self.first(x_dict, edge_index_dict).items()}
        return self.last(hidden, edge_index_dict)


class Decoder(nn.Module):
    """PyG's form: encode and decode apart."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Native()

    def encode(self, x_dict, edge_index_dict):
        return self.inner(x_dict, edge_index_dict)

    def decode(self, z, edge_label_index):
        return (z["user"][edge_label_index[0]] * z["film"][edge_label_index[1]]).sum(dim=-1)


class Whole(Decoder):
    """Scores at once."""

    encode = None

    def forward(self, x_dict, edge_index_dict, edge_label_index):
        return self.decode(self.inner(x_dict, edge_index_dict), edge_label_index)


class ByType(nn.Module):
    """A student that sees the features of each type alone."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.models = nn.ModuleDict({kind: MLP([n, 16, 16], norm=None) for kind, n in (("user", 8), ("film", 6))})

    def forward(self, x_dict):
        return {kind: model(x_dict[kind]) for kind, model in self.models.items()}


def by_types(seed: int = 0):
    torch.manual_seed(seed)
    return to_hetero(GraphSAGE((-1, -1), 16, 2, 16), ratings().metadata())


def run(method, model, teacher, parts, kind=RATES, task=None, **options):
    train, val, test = parts
    task = task or LinkPrediction(val=val, test=test, edge_type=kind)
    return graphkd.distil(method, model, teacher, train, task=task, progress=False, **{"epochs": 30, **options})


@pytest.mark.parametrize("made", [Native, by_types], ids=["native", "to_hetero"])
def test_a_model_over_types_teaches_one_of_features(made):
    parts = split()
    teacher = run("none", made(), None, parts)
    assert teacher.scores["test"]["auc"] > 0.8
    taught = run("kd", ByType(), teacher.model, parts)
    assert taught.scores["test"]["auc"] > 0.7
    assert {kind: rows.shape for kind, rows in taught.model(parts[0].x_dict).items()} == {
        "user": (USERS, 16),
        "film": (FILMS, 16),
    }


@pytest.mark.parametrize("made", [Decoder, Whole], ids=["encode-decode", "scores"])
def test_all_forms_of_models_give_the_same(made):
    parts = split()
    plain, other = (run("kd", model, Native(7), parts, epochs=3) for model in (Native(), made()))
    assert other.scores["test"] == pytest.approx(plain.scores["test"])


def test_scores_are_products_of_the_two_ends():
    train, val, test = split()
    model, task = Native(), LinkPrediction(val=val, test=test, edge_type=RATES, metrics=("auc",))
    batch = task.prepare(test)
    found = task.call(None)(model, batch)["logits"][:, 0]
    z, (users, films) = model(test.x_dict, test.edge_index_dict), test[RATES].edge_label_index
    wanted = torch.stack([z["user"][u] @ z["film"][f] for u, f in zip(users, films, strict=True)])
    torch.testing.assert_close(found, wanted)
    assert torch.equal(batch["y"][:, 0], test[RATES].edge_label)
    del train


def test_what_was_given_stays_as_it_is():
    train, *_ = split()
    before = {kind: sorted(train[kind].keys()) for kind in train.edge_types}
    LinkPrediction(edge_type=RATES).prepare(train)
    assert {kind: sorted(train[kind].keys()) for kind in train.edge_types} == before
    assert not train._global_store.keys()


def test_links_within_a_type_serve_a_model_of_its_features():
    parts = split(LIKE)
    teacher = run("none", Native(), None, parts, LIKE)
    torch.manual_seed(1)
    taught = run("kd", MLP([6, 16, 16], norm=None), teacher.model, parts, LIKE)
    assert taught.scores["test"]["auc"] > 0.7
    assert taught.model(parts[0]["film"].x).shape == (FILMS, 16)


def test_a_run_goes_on_with_the_same_bits(tmp_path):
    parts = split()
    whole = run("none", Native(), None, parts, epochs=7, checkpoint=tmp_path / "whole")

    def breaks(report):
        if report["epoch"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("none", Native(), None, parts, epochs=7, checkpoint=tmp_path / "part", log=breaks)
    again = run("none", Native(), None, parts, epochs=7, checkpoint=tmp_path / "part", resume=True)
    assert all(torch.equal(*pair) for pair in zip(whole.model.parameters(), again.model.parameters(), strict=True))


def test_batches_of_a_loader():
    train, val, test = split()
    own = train[RATES]
    loader = link_neighbour_loader(
        train,
        [-1, -1],
        (RATES, own.edge_label_index),
        edge_label=own.edge_label,
        neg_sampling_ratio=1.0,
        batch_size=64,
        shuffle=True,
    )
    found = run("none", Native(), None, (loader, val, test), epochs=15)
    assert found.scores["test"]["auc"] > 0.75


# -------------------------------------------------------------------------- negatives
def test_negatives_are_uniform_over_pairs_of_the_two_types():
    torch.manual_seed(5)
    data = HeteroData()
    data["user"].num_nodes, data["film"].num_nodes = 3, 4
    edges = torch.tensor([[0, 1, 2, 2], [1, 0, 3, 2]])
    data[RATES].edge_index = edges[:, :2]
    drawn = WithNegatives(data, edges[:, 2:], lambda batch: batch, RATES).draw(8000)
    counts = (drawn[0] * 4 + drawn[1]).bincount(minlength=12)
    free = [u * 4 + f for u in range(3) for f in range(4) if (u, f) not in ((0, 1), (1, 0), (2, 3), (2, 2))]
    assert int(counts.sum()) == int(counts[free].sum())  # (1, 1) and (0, 0) are pairs as others
    assert chisquare(counts[free]).pvalue > 1e-4


def test_each_pass_draws_others_and_none_that_are_edges():
    data = ratings()
    train, val, test = split()
    ready = LinkPrediction(val=val, test=test, edge_type=RATES).prepare(train)
    first, second = (next(iter(ready)) for _ in range(2))
    count = train[RATES].edge_label_index.size(1)
    assert torch.equal(first["edge_label_index"][:, :count], train[RATES].edge_label_index)
    assert not torch.equal(first["edge_label_index"], second["edge_label_index"])
    known = set(map(tuple, train[RATES].edge_index.T.tolist()))
    assert not known & set(map(tuple, first["edge_label_index"][:, count:].T.tolist()))
    assert data[RATES].edge_index.size(1) > count


def test_all_edges_are_learnt_where_no_pairs_are_given():
    data = ratings()
    batch = next(iter(LinkPrediction(edge_type=RATES).prepare(data)))
    count = data[RATES].edge_index.size(1)
    assert torch.equal(batch["edge_label_index"][:, :count], data[RATES].edge_index)
    assert batch["y"].shape == (2 * count, 1)


def test_a_full_type_has_none_to_draw():
    data = HeteroData()
    data["user"].x, data["film"].x = torch.zeros(2, 1), torch.zeros(2, 1)
    data[RATES].edge_index = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    with pytest.raises(ValueError, match="all pairs of 2 and 2 nodes are joined"):
        LinkPrediction(edge_type=RATES).prepare(data)


def test_ranks_among_candidates_of_their_types():
    _, _, test = split()
    edges = test[RATES].edge_label_index[:, test[RATES].edge_label > 0]
    generator = torch.Generator().manual_seed(0)
    negatives = [torch.randint(size, (edges.size(1), 3), generator=generator) for size in (FILMS, USERS)]
    test[RATES].ranking_negatives = torch.cat(negatives, dim=1)
    model = Native()
    found = LinkPrediction(test=test, edge_type=RATES, metrics=("mrr",)).score(model, None, "test")
    z = model(test.x_dict, test.edge_index_dict)
    ranks = []
    for (u, f), films, users in zip(edges.T.tolist(), *(each.tolist() for each in negatives), strict=True):
        best = z["user"][u] @ z["film"][f]
        others = [z["user"][u] @ z["film"][k] for k in films] + [z["user"][k] @ z["film"][f] for k in users]
        ranks.append(1 + sum(bool(o > best) for o in others) + 0.5 * sum(bool(o == best) for o in others))
    assert found["mrr"] == pytest.approx(sum(1 / rank for rank in ranks) / len(ranks), rel=1e-3)


# --------------------------------------------------------------------------- the door
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            None,
            r"type of edges that is predicted, of \[\('user', 'rates', 'film'\), .*: give task=LinkPrediction\(edge_t",
        ),
        (("user", "likes", "film"), r"of \[\('user', 'rates', 'film'\), .*got \('user', 'likes', 'film'\)"),
    ],
)
def test_a_type_must_be_named(kind, words):
    with pytest.raises(ValueError, match=words):
        run("none", Native(), None, split(), task=LinkPrediction(edge_type=kind))


def test_a_type_of_a_graph_without_types():
    from tests.tasks.test_links import graph

    with pytest.raises(ValueError, match="'edge_type' is of heterogeneous data, these have one type of edges"):
        LinkPrediction(edge_type=RATES).prepare(graph())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda z: z["user"], r"links join 'user' and 'film', the model answers \(60, 16\) for one of them"),
        (lambda z: {"user": z["user"]}, r"must show rows of 'user' and of 'film', .* it shows \['user'\]"),
    ],
)
def test_answers_for_one_end_alone(answer, words):
    def call(model, batch):
        return answer(model(batch.x_dict, batch.edge_index_dict))

    with pytest.raises(ValueError, match=words):
        run("none", Native(), None, split(), call=call, epochs=1)


def test_a_student_of_one_kind_of_features_is_told_of_the_types():
    with pytest.raises(ValueError, match=r"needs \['x'\] from the batch, which has it for each node type"):
        run("kd", MLP([8, 16], norm=None), Native(), split(), epochs=1)


def test_labels_of_nodes_have_nothing_to_do_with_it():
    assert NodeClassification(node_type="film").prepare(ratings())["y"].shape == (FILMS,)
    batch = next(iter(LinkPrediction(edge_type=RATES).prepare(ratings())))
    assert batch["y"].size(1) == 1
