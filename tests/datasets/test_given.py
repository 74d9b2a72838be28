"""Sets that nobody here knows, of every kind: by path of a class, with their split or one that is asked for."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from hypothesis import given as for_all
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.nn import MLP, GraphSAGE, global_add_pool, to_hetero

import graphkd
from datasets import load
from datasets.checked import Built
from datasets.dotted import dataset_class, typed_arguments
from datasets.given import given
from tests.datasets.toy_sets import COLUMNS, NODES, graph, three_types

HELD, PARTS, SPLITS = (f"tests.datasets.toy_sets:{name}" for name in ("Held", "Parts", "Splits"))


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("GRAPHKD_MIRROR", raising=False)
    monkeypatch.setenv("GRAPHKD_CACHE", str(tmp_path))


def held(kind, task, **options):
    return load(HELD, task=task, arguments={"kind": kind}, **options)


def trained(model, found, teacher=None, method="none"):
    return graphkd.distil(method, model, teacher, found.data, task=found.task, epochs=3, progress=False)


# ------------------------------------------------------- every kind, by the same public calls
def test_heterophilic_nodes_use_the_column_of_the_seed():
    for seed in (3, 3 + COLUMNS):
        found = held("heterophilic", "node_classification", seed=seed)
        assert found.task.split == 3
    ready = found.task.prepare(found.data)
    assert torch.equal(ready.train_mask, found.data.train_mask[:, 3])
    teacher = trained(GraphSAGE(8, 8, 2, 3), found)
    assert "accuracy" in trained(MLP([8, 8, 3], norm=None), found, teacher.model, "kd").scores["test"]


class Pooled(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.gnn = GraphSAGE(width, 8, 2, out)

    def forward(self, x, edge_index, batch):
        return global_add_pool(self.gnn(x, edge_index), batch)


@pytest.mark.parametrize(
    ("kind", "task", "width", "out", "metric"),
    [
        ("graphs", "graph_classification", 5, 2, "accuracy"),
        ("regression", "graph_regression", 5, 2, "rmse"),
        ("bare graphs", "graph_classification", 64, 2, "accuracy"),
    ],
)
def test_graphs(kind, task, width, out, metric):
    found = held(kind, task, split="random", features="degree" if "bare" in kind else None)
    sizes = [len(loader.dataset) for loader in (found.data, found.task.val, found.task.test)]
    assert sizes == [32, 4, 4]
    teacher = trained(Pooled(width, out), found)
    assert metric in trained(Pooled(width, out), found, teacher.model, "kd").scores["test"]


def test_published_parts_of_graphs():
    found = load(PARTS, task="graph_classification")
    assert [len(loader.dataset) for loader in (found.data, found.task.val, found.task.test)] == [24, 8, 10]
    drawn = load(PARTS, task="graph_classification", split="random")
    assert [len(loader.dataset) for loader in (drawn.data, drawn.task.val, drawn.task.test)] == [34, 4, 4]


def test_three_types_of_nodes():
    with pytest.raises(
        ValueError, match=r"node types \['director'\] have no features 'x': ask for some, features='deg"
    ):
        held("types", "node_classification")
    found = held("types", "node_classification", features="degree")
    assert found.task.node_type == "film"
    assert found.data["director"].x.sum(dim=1).tolist() == [1] * 9
    teacher = trained(to_hetero(GraphSAGE((-1, -1), 8, 2, 3), found.data.metadata()), found)
    assert "accuracy" in trained(MLP([8, 8, 3], norm=None), found, teacher.model, "kd").scores["test"]


def test_several_labels():
    found = held("labels", "multi_label_node_classification", split="random", inductive=True)
    assert int(found.task.new.sum()) == NODES - found.data.num_nodes
    assert "micro_f1" in trained(GraphSAGE(8, 8, 2, 4), found).scores["new"]


def test_links_are_drawn():
    found = held("plain", "link_prediction", seed=1)
    assert "auc" in trained(GraphSAGE(8, 8, 2, 8), found).scores["test"]


def test_the_split_of_ogb():
    found = load(SPLITS, task="node_classification")
    assert found.data.val_mask.nonzero()[:, 0].tolist() == list(range(20, 40))


# ------------------------------------------------------------------------ nothing is guessed
def test_a_random_split_must_be_asked_for():
    with pytest.raises(
        ValueError, match=r"has no \['train_mask', .*ask for a random split, split='random', --split ran"
    ):
        held("plain", "node_classification")
    with pytest.raises(ValueError, match="40 graphs have no parts of their own: ask for a random split"):
        held("graphs", "graph_classification")
    one, same, other = (held("plain", "node_classification", split="random", seed=seed).data for seed in (1, 1, 2))
    assert torch.equal(one.train_mask, same.train_mask)
    assert not torch.equal(one.train_mask, other.train_mask)
    assert int(one.train_mask.sum()) == NODES // 10


@pytest.mark.parametrize(
    ("kind", "task", "options", "words"),
    [
        ("plain", None, {}, "give 'task', one of"),
        ("plain", "nodes", {}, "give 'task', one of"),
        ("graphs", "node_classification", {}, "is of one graph, the data set has 40 graphs"),
        ("plain", "node_classification", {"split": "public"}, "split must be 'random' or left out.* got 'public'"),
        ("bare", "node_classification", {"split": "random"}, "nodes have no features 'x'"),
        ("bare graphs", "graph_classification", {"split": "random"}, "nodes have no features 'x'"),
        ("plain", "node_classification", {"features": "ones"}, "features must be 'degree' or left out, got 'ones'"),
        ("heterophilic", "node_classification", {"inductive": True}, "'new_mask': choose another split"),
        ("types", "node_classification", {"features": "degree", "inductive": True}, "with one type of nodes"),
        ("types", "node_classification", {"features": "degree", "node_type": "actor"}, "has no .*train_mask"),
    ],
)
def test_what_is_refused(kind, task, options, words):
    with pytest.raises(ValueError, match=words):
        held(kind, task, **options)


def test_links_of_types_are_refused():
    with pytest.raises(TypeError, match="links of heterogeneous graphs are split by RandomLinkSplit"):
        held("types", "link_prediction", features="degree")


def test_a_type_must_be_named_where_several_have_labels():
    data = three_types()[0]
    data["actor"].y, data["director"].x = torch.zeros(20).long(), torch.zeros(9, 1)
    with pytest.raises(ValueError, match=r"give 'node_type', the type of nodes that is predicted: \['film', 'actor'\]"):
        given("node_classification", Built([data]))
    assert given("node_classification", Built([data]), node_type="film").task.node_type == "film"


def test_what_was_given_stays_as_it_is():
    data = graph()
    given("node_classification", Built([data]), split="random")
    assert "train_mask" not in data
    bare = graph(features=False)
    assert given("node_classification", Built([bare]), split="random", features="degree").data.x.shape == (NODES, 64)
    assert bare.x is None


def test_degrees_count_the_edges_that_enter():
    data = Data(edge_index=torch.tensor([[0, 1, 2, 0], [1, 2, 1, 1]]), y=torch.tensor([0, 1, 0]), num_nodes=3)
    found = given("node_classification", Built([data]), split="random", features="degree").data.x
    assert found.argmax(dim=1).tolist() == [0, 3, 1]


def test_unlabelled_nodes_are_in_no_part():
    data = graph()
    data.y = torch.where(torch.arange(NODES) % 2 == 0, data.y, -1)
    found = given("node_classification", Built([data]), split="random").data
    parts = found.train_mask | found.val_mask | found.test_mask
    assert torch.equal(parts, data.y >= 0)


@pytest.mark.parametrize("options", [{"arguments": {"a": 1}}, {"node_type": "a"}, {"features": "degree"}])
def test_options_of_a_class_have_no_effect_on_names(options):
    with pytest.raises(ValueError, match="are of a class of data sets, 'module:Class'"):
        load("karate", **options)


# ------------------------------------------------------------------------------- the path
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("torch_geometric.datasets.Flickr", "is named by its module, a colon and its name, .* got"),
        ("torch_geometric.datasets:", "is named by its module"),
        ("a b:C", "is named by its module"),
        ("no_such_module:Thing", "there is no module 'no_such_module' .*: is it installed, and spelt so?"),
        ("torch_geometric.datasets:Flicker", "there is none of this name; the nearest are Flickr"),
        ("torch_geometric.data:Data", "must be a subclass of torch_geometric.data.Dataset, it is <class"),
        ("os:system", "must be a subclass of torch_geometric.data.Dataset, it is <built-in"),
        ("subprocess:Popen", "must be a subclass of torch_geometric.data.Dataset, it is <class"),
    ],
)
def test_a_path_that_names_no_class_of_data_sets(path, words):
    with pytest.raises(ValueError, match=words):
        dataset_class(path)


def test_ogb_is_missing_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "ogb", None)
    for missing in ("ogb.nodeproppred", "ogb"):
        with pytest.raises(ValueError, match=r"there is no module .*: pip install ogb"):
            dataset_class(f"{missing}:PygNodePropPredDataset")


def test_a_module_of_the_users(monkeypatch):
    module = types.ModuleType("my_sets")
    module.Mine = type("Mine", (InMemoryDataset,), {})
    monkeypatch.setitem(sys.modules, "my_sets", module)
    assert dataset_class("my_sets:Mine") is module.Mine


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"knd": "plain"}, r"takes \['kind'\], got \['knd'\]"),
        ({"root": "/"}, r"takes \['kind'\], got \['root'\]: the folder of downloads is the cache's"),
    ],
)
def test_arguments_that_a_class_does_not_take(arguments, words):
    with pytest.raises(ValueError, match=words):
        load(HELD, task="node_classification", arguments=arguments)


def test_arguments_that_a_class_needs():
    with pytest.raises(ValueError, match=r"needs \['name'\]: give --dataset-args name=\.\.\."):
        load("torch_geometric.datasets:Planetoid", task="node_classification")


@for_all(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.one_of(
            st.integers(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.lists(st.integers(), max_size=3),
        ),
    )
)
def test_typed_arguments_are_read_as_they_are_written(values):
    assert typed_arguments(f"{name}={value!r}" for name, value in values.items()) == values


def test_words_and_truths():
    assert typed_arguments(["name=PubMed", "a=true", "b=False", "c=None", "d=1=2"]) == {
        "name": "PubMed",
        "a": True,
        "b": False,
        "c": None,
        "d": "1=2",
    }
    for texts, words in ((["name"], "must be key=value, got 'name'"), (["a=1", "a=2"], "'a' .* is given twice")):
        with pytest.raises(ValueError, match=words):
            typed_arguments(texts)
