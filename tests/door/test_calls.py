"""A model is called with what it takes and the batch has, wherever it appears; ``call=`` reaches both sides."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.nn import GAT, GCN, GIN, MLP, PNA, GraphSAGE, global_mean_pool, to_hetero

import graphkd
from graphkd import EMA, Cached, Distiller, Ensemble, Frozen, Snapshot
from graphkd.core.view import Viewer
from graphkd.losses import CE, KL, LSP
from graphkd.schemes import KDGAN, Adversarial, Exits, Peers, TaskHeads, Together, each_other
from graphkd.tasks import NodeClassification
from graphkd.tasks.metrics import accuracy, fidelity, predict
from tests.core.models import gcn, graph

NO_EDGES = torch.zeros(2, 0, dtype=torch.long)


def weighted() -> Data:
    """A graph whose edges have weights and attributes, and whose nodes have places."""
    data, generator = graph(), torch.Generator().manual_seed(1)
    data.edge_weight = 10 * torch.rand(data.num_edges, generator=generator) ** 3
    data.edge_attr = 3 * torch.randn(data.num_edges, 3, generator=generator)
    data.pos = torch.randn(data.num_nodes, 2, generator=generator)
    return data


def with_weights(model, batch):
    return model(batch["x"], batch["edge_index"], edge_weight=batch["edge_weight"])


def graphs() -> Batch:
    """Four graphs of twenty nodes, on scales of their own."""
    generator = torch.Generator().manual_seed(0)
    return Batch.from_data_list(
        [
            Data(
                x=torch.randn(20, 6, generator=generator) * (i + 1),
                edge_index=torch.randint(20, (2, 80), generator=generator),
                y=torch.tensor([i % 3]),
            )
            for i in range(4)
        ]
    )


# ------------------------------------------------------------- optional inputs
SHOWN = {
    "Viewer": lambda model, data: Viewer(model)(data),
    "Frozen": lambda model, data: Frozen(model)(data),
    "Cached": lambda model, data: Cached(model, data)(data),
    "EMA": lambda model, data: EMA(model)(data),
    "Snapshot": lambda model, data: Snapshot(model)(data),
    "Ensemble": lambda model, data: Ensemble([model])(data),
    "Distiller": lambda model, data: Distiller(gcn(2), model, KL()).teacher(data),
    "Together": lambda model, data: {"logits": Viewer(Together([model, model]))(data)["logits"]},
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_weights_of_edges_are_given_wherever_a_model_is_called(shown):
    data, model = weighted(), gcn(1).eval()
    want = with_weights(model, data)
    torch.testing.assert_close(shown(model, data)["logits"].softmax(1), want.softmax(1))
    assert not torch.allclose(want.softmax(1), model(data.x, data.edge_index).softmax(1))


def test_weights_of_edges_reach_the_metrics():
    data, model = weighted(), gcn(1).eval()
    right = with_weights(model, data).argmax(1)
    data.y = right
    assert torch.equal(predict(model, data), right)
    assert accuracy(model, data) == 1
    found = fidelity(model, Frozen(model, call=with_weights), data)
    assert found.agreement == 1
    assert found.kl == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["glnn", "nosmog"])
def test_weights_of_edges_reach_the_teacher_of_a_method(name):
    data, teacher, shown = weighted(), gcn(1), []
    teacher.register_forward_hook(lambda _, __, given, ___: shown.append(given["edge_weight"]), with_kwargs=True)
    hidden = {"hidden": ("lins.0", "convs.0")} if name == "nosmog" else {}
    graphkd.distil(name, MLP([6, 8, 3]), Cached(teacher, data), data, epochs=1, progress=False, **hidden)
    assert all(torch.equal(each, data.edge_weight) for each in shown)
    assert shown


@pytest.mark.parametrize(
    "make",
    [
        lambda: GAT(6, 8, 2, 3, edge_dim=3),
        lambda: PNA(6, 8, 2, 3, aggregators=["mean"], scalers=["identity"], deg=torch.tensor([1, 2, 3]), edge_dim=3),
        lambda: GIN(6, 8, 2, 3),
    ],
    ids=["GAT", "PNA", "GIN, which takes none"],
)
def test_attributes_of_edges_are_given(tmp_path, make):
    torch.manual_seed(0)
    data, model = weighted(), make().eval()
    want = model(data.x, data.edge_index, edge_attr=data.edge_attr)
    assert torch.equal(predict(model, data), want.argmax(1))
    torch.testing.assert_close(Cached(model, data, path=tmp_path / "store")(data)["logits"], want)


def test_a_models_own_optional_input_is_given():
    class Placed(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(6, 3)

        def forward(self, x, edge_index, pos=None, *, missing=None):
            assert missing is None
            return self.lin(x) if pos is None else self.lin(x) + pos.sum()

    data, model = weighted(), Placed()
    torch.testing.assert_close(Frozen(model)(data)["logits"], model(data.x, None, data.pos))


@pytest.mark.parametrize("wrap", [lambda m: m, nn.DataParallel, lambda m: torch.compile(m, backend="eager")])
def test_wrapped_models_are_called_as_the_plain_one(wrap):
    data, model = weighted(), gcn(1).eval()
    torch.testing.assert_close(Viewer(wrap(model))(data)["logits"], with_weights(model, data))


class Asks(nn.Module):
    """Says what it was given of what it may do without."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 3)

    def forward(self, x, y=None, train_mask=None, val_idx=None, edge_label=None, batch_size=None, num_nodes=None):
        self.given = (y, train_mask, val_idx, edge_label, batch_size, num_nodes)
        return self.lin(x)


def test_labels_splits_and_a_samplers_size_are_no_inputs():
    data, model = graph(), Asks()
    data.val_idx, data.edge_label, data.batch_size = torch.arange(3), torch.ones(90), 5
    Viewer(model)(data)
    assert model.given == (None, None, None, None, None, 30)


def test_they_are_given_to_a_model_that_needs_them():
    class Needs(Asks):
        def forward(self, x, y, train_mask, batch_size):
            return super().forward(x, y, train_mask, batch_size=batch_size)

    data, model = graph(), Needs()
    data.batch_size = 5
    Viewer(model)(data)
    assert torch.equal(model.given[0], data.y)
    assert torch.equal(model.given[1], data.train_mask)
    assert model.given[4] == 5


def test_an_error_of_the_model_says_what_was_given_besides():
    class Strict(nn.Linear):
        def forward(self, x, edge_weight=None):
            if edge_weight is not None:
                raise RuntimeError("no weights here")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="no weights here") as caught:
        Viewer(Strict(6, 3))(weighted())
    assert "was given ['edge_weight'], which it takes and the batch has: give call=" in caught.value.__notes__[0]


def test_an_error_of_the_model_names_types_without_features():
    data = HeteroData()
    data["paper"].x, data["venue"].num_nodes = torch.randn(6, 4), 2
    data["paper"].y = torch.tensor([0, 1, 0, 1, 0, 1])
    data["paper"].train_mask = data["paper"].val_mask = torch.ones(6, dtype=torch.bool)
    data["paper", "in", "venue"].edge_index = torch.stack([torch.arange(6), torch.arange(6) % 2])
    data["venue", "has", "paper"].edge_index = data["paper", "in", "venue"].edge_index.flip(0)
    model = to_hetero(GraphSAGE((-1, -1), 8, 2, 2), data.metadata())
    with pytest.raises(AttributeError) as caught:  # PyG's own: nothing is multiplied
        graphkd.distil("none", model, None, data, task=NodeClassification(node_type="paper"), epochs=1, progress=False)
    (note,) = (note for note in caught.value.__notes__ if "'x'" in note)
    assert "nodes of the types ['venue'] have edges and no 'x'" in note
    data["venue"].x = torch.eye(2)
    graphkd.distil("none", model, None, data, task=NodeClassification(node_type="paper"), epochs=1, progress=False)


def test_an_error_of_the_model_names_features_of_another_type():
    with pytest.raises(RuntimeError, match="dtype") as caught:
        Viewer(gcn(0))({"x": graph().x.double(), "edge_index": graph().edge_index})
    assert "'x' is torch.float64 and the model's weights are torch.float32" in caught.value.__notes__[0]


def test_many_graphs_without_batches_name_the_loader():
    class Pooled(GIN):
        def forward(self, x, edge_index, batch):
            return global_mean_pool(super().forward(x, edge_index), batch)

    with pytest.raises(KeyError, match=r"of many graphs give batches, torch_geometric.loader.DataLoader"):
        Viewer(Pooled(6, 8, 2, 3))(graph())


@pytest.mark.parametrize("seed", [1.5, -1, True, 1 << 32, "0"])
def test_a_seed_that_is_none(seed):
    with pytest.raises(ValueError, match=r"'seed' must be a whole number from 0 to 2\^32 - 1, .*, got"):
        graphkd.distil("none", gcn(0), None, graph(), seed=seed, epochs=1, progress=False)


def test_a_missing_input_names_call():
    with pytest.raises(KeyError, match=r"Linear.forward needs \['input'\] from the batch, .*; give call=lambda"):
        Viewer(nn.Linear(6, 3))(graph())


def test_a_model_without_named_inputs_asks_for_call():
    class Passes(nn.Linear):
        def forward(self, *inputs, **named):
            return super().forward(*inputs, **named)

    with pytest.raises(TypeError, match=r"Passes\.forward takes no named inputs that a batch could give: give call="):
        Viewer(Passes(6, 3))(graph())


# ------------------------------------------------------------- several graphs
@pytest.mark.parametrize("norm", ["graph_norm", "layer_norm", "pair_norm"])
@pytest.mark.parametrize("side", ["student", "teacher"])
def test_a_graph_alone_gives_the_same_rows_as_in_a_batch(norm, side):
    batch, model = graphs(), GCN(6, 16, 2, 3, norm=norm, norm_kwargs={"mode": "graph"} if norm == "layer_norm" else {})
    task = Distiller(model.eval(), model, KL()) if side == "teacher" else Distiller(model.eval(), losses=CE())
    shown = task.teacher(batch) if side == "teacher" else task._viewer(batch)
    alone = torch.cat([model(each.x, each.edge_index) for each in batch.to_data_list()])
    # LayerNorm adds its eps to the root where a graph is alone, and below it in a batch.
    torch.testing.assert_close(shown["logits"], alone, rtol=1e-4, atol=1e-4)


class Pooled(nn.Module):
    """Answers for every graph, and says how many it was told of."""

    def __init__(self):
        super().__init__()
        self.hidden, self.lin = nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x, edge_index, batch=None, batch_size=None, num_graphs=None):
        self.told = batch_size, num_graphs
        return self.lin(global_mean_pool(self.hidden(x), batch, batch_size))


def test_a_readout_is_of_each_graph():
    task, batch = Distiller(Pooled(), Pooled(), CE() + KL()), graphs()
    assert task.teacher(batch)["logits"].shape == (4, 3)
    assert task.student(batch.x, batch.edge_index, batch.batch).shape == (4, 3)
    assert set(task(batch).terms) == {"ce", "kl"}
    assert task.student.told == (4, 4)


def test_a_stored_size_is_a_samplers():
    batch, model = graphs(), Pooled()
    batch.batch_size = torch.full((4,), 7)
    Viewer(model)(batch)
    assert model.told == (None, 4)


def test_readouts_of_exits_and_heads_are_of_each_graph():
    batch = graphs()
    exits = Exits(GCN(6, 8, 2, 3, norm="graph_norm"), ["convs.0"], batch, labels=CE())
    assert exits._shown(batch)["logits"].shape == (80, 3)

    class Reads(nn.Linear):
        def forward(self, hidden, batch=None):
            return global_mean_pool(super().forward(hidden), batch)

    inner = TaskHeads(Pooled(), "hidden", {"other": Reads(4, 2)})
    assert Viewer(inner)(batch)["other"].shape == (4, 2)
    assert inner(batch.x, batch.edge_index, batch.batch)["other"].shape == (4, 2)
    assert (
        Viewer(inner, call=lambda m, b: m.with_heads(lambda: m.model(b.x, None, b.batch), b))(batch)["other"].size(0)
        == 4
    )
    heads = TaskHeads(Pooled(), "lin", {"other": nn.Linear(3, 2)})
    assert {name: tuple(rows.shape) for name, rows in Viewer(heads)(batch).items()} == {
        "logits": (4, 3),
        "other": (4, 2),
    }


def test_nodes_are_counted_for_a_model_of_edges():
    class Edges(nn.Module):
        def forward(self, x, edge_index, num_nodes=None):
            return x.new_zeros(num_nodes, 3).index_add(0, edge_index[1], x[edge_index[0], :3])

    data = graph()
    assert Viewer(Edges())(data)["logits"].shape == (30, 3)
    assert Viewer(Edges())(graphs())["logits"].shape == (80, 3)


# ------------------------------------------------------------- heterogeneous data
def hetero() -> HeteroData:
    data = HeteroData()
    data["paper"].x, data["paper"].y = torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 0])
    data["paper"].train_mask = torch.tensor([True, True, False, False, True])
    data["author"].x = torch.randn(3, 4)
    data["author", "writes", "paper"].edge_index = torch.tensor([[0, 1, 2], [0, 1, 4]])
    return data


class ByType(nn.Module):
    """Answers for papers."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 2)

    def forward(self, x_dict, edge_index_dict, edge_weight_dict=None):
        assert edge_weight_dict is None
        source, target = edge_index_dict["author", "writes", "paper"]
        return self.lin(x_dict["paper"].index_add(0, target, x_dict["author"][source]))


def test_inputs_by_type_are_filled_by_name():
    data = hetero()
    types = data.node_types
    assert Distiller(ByType(), ByType(), KL())(data).loss > 0
    assert data.node_types == types  # nothing was made by asking


@pytest.mark.parametrize(("loss", "name"), [(CE(), "y"), (KL(where="train_mask"), "train_mask")])
def test_labels_of_a_type_are_named(loss, name):
    with pytest.raises(ValueError, match=rf"\['{name}'\].*for each node type, \['paper'\].*data\['paper'\].{name}"):
        Distiller(ByType(), ByType(), loss)(hetero())


def test_seeds_of_a_type_are_named():
    data = hetero()
    data["paper"].batch_size = 2
    with pytest.raises(ValueError, match=r"where='seed' needs \['batch_size'\].*node type, \['paper'\]"):
        Distiller(ByType(), ByType(), KL(where="seed"))(data)
    data["batch_size"] = 2
    assert Distiller(ByType(), ByType(), KL(where="seed"))(data).loss > 0


def test_labels_at_the_top_are_those_of_the_answers():
    data = hetero()
    data["y"], data["train_mask"] = data["paper"].y, data["paper"].train_mask
    assert Distiller(ByType(), losses=CE(where="train_mask"))(data).loss > 0


# ------------------------------------------------------------- sparse adjacency
class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 3)

    def forward(self, x, adj_t):
        return adj_t @ self.lin(x)


@pytest.mark.parametrize("form", ["to_sparse_coo", "to_sparse_csr", "to_sparse_csc"])
def test_edges_of_a_loss_are_read_from_adj_t(form):
    data = graph()
    edges = data.edge_index.unique(dim=1)
    dense = torch.zeros(30, 30).index_put((edges[1], edges[0]), torch.ones(()))
    batch = {"x": data.x, "adj_t": getattr(dense, form)()}
    hidden = {"hidden": torch.randn(30, 4)}, {"hidden": torch.randn(30, 5)}
    loss = LSP()
    want = loss(hidden[0]["hidden"], hidden[1]["hidden"], edge_index=edges)
    assert float(loss.measure(hidden[0], loss.digest_view(hidden[1], batch), batch)) == pytest.approx(float(want))
    assert Distiller(Sparse(), Sparse(), LSP(on="logits"))(batch).loss > 0


def test_adj_t_stands_in_for_the_edges_of_a_pyg_model():
    data, model = graph(), gcn(1).eval()
    edges = data.edge_index.unique(dim=1)
    edges = edges[:, edges[0] != edges[1]]
    adj_t = torch.zeros(30, 30).index_put((edges[1], edges[0]), torch.ones(())).to_sparse_csr()
    torch.testing.assert_close(Viewer(model)({"x": data.x, "adj_t": adj_t})["logits"], model(data.x, edges))
    assert Viewer(model).taken({"x": data.x, "adj_t": adj_t, "y": data.y}) == ("x", "adj_t")


# ------------------------------------------------------------- call=
def test_one_call_is_for_student_and_teacher():
    data, seen = weighted(), []

    def call(model, batch):
        seen.append(model.hidden_channels)
        return with_weights(model, batch)

    Distiller(gcn(1, width=4), gcn(2, width=64), KL(), call=call)(data)
    assert seen == [4, 64]


def test_a_pair_of_calls_is_one_each():
    data, seen = graph(), []
    calls = [lambda m, b, side=side: seen.append(side) or m(b.x, b.edge_index) for side in ("student", "teacher")]
    Distiller(gcn(1), gcn(2), KL(), call=tuple(calls))(data)
    Distiller(gcn(1), gcn(2), KL(), call=(None, calls[1]))(data)
    Distiller(gcn(1), Frozen(gcn(2), call=calls[1]), KL(), call=calls[0])(data)
    assert seen == ["student", "teacher", "teacher", "student", "teacher"]


@pytest.mark.parametrize(
    ("teacher", "call", "error", "words"),
    [
        (lambda: Frozen(gcn()), (None, with_weights), ValueError, "the teacher, Frozen, brings its own: give call="),
        (lambda: EMA(gcn()), (None, with_weights), ValueError, "the teacher, EMA, brings its own"),
        (lambda: None, (None, with_weights), ValueError, "there is no teacher: give call="),
        (gcn, (None, with_weights, None), ValueError, "'call' must be one .* or a pair of them, got 3"),
        (gcn, "forward", TypeError, r"'call' must be call\(model, batch\), or a pair of such, got str"),
    ],
)
def test_calls_that_do_not_fit_are_refused(teacher, call, error, words):
    made = teacher()
    with pytest.raises(error, match=words):
        Distiller(gcn(), made, CE() if made is None else KL(), call=call)


def count(call):
    """A call that counts how often it was used for each model."""
    seen: dict[int, int] = {}

    def counted(model, batch):
        seen[id(model)] = seen.get(id(model), 0) + 1
        return call(model, batch)

    return counted, seen


def test_trainables_of_several_models_take_a_call():
    data, (call, seen) = weighted(), count(with_weights)
    models = [gcn(seed) for seed in range(3)]
    Peers(models, each_other, labels=CE(where="train_mask"), call=call)(data)
    Exits(models[0], ["convs.0"], data, labels=CE(where="train_mask"), call=call)(data)
    KDGAN(*models, labels=CE(where="train_mask"), where="train_mask", targets="y", calls=[call] * 3)(data)
    assert all(seen[id(model)] >= 2 for model in models)
    data.source_mask, data.target_mask = data.train_mask, data.test_mask
    before = seen[id(models[0])]
    Adversarial(models[0], nn.Linear(3, 1), labels=CE(where="train_mask"), call=call)(data)
    assert seen[id(models[0])] == before + 1


class Pair(nn.Module):
    """A model that no by-name call can show: it answers twice."""

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.hidden, self.lin = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, features, scale):
        hidden = self.hidden(features).relu()
        return self.lin(hidden) * scale, hidden

    def reset_parameters(self):
        self.hidden.reset_parameters()
        self.lin.reset_parameters()


def first(model, batch):
    return model(batch["x"], 1.0)[0]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("kd", {}),
        ("takd", {"assistants": [Pair(5)]}),
        ("ban", {"generations": 1}),
        ("cpf_ind", {}),
        ("byot", {"hidden": "hidden"}),
        ("must", {"hidden": "hidden", "other_teacher": Pair(6)}),
        ("kdgan", {}),
        ("dml", {}),
        ("mean_teacher", {}),
        ("snapshot", {}),
    ],
)
def test_a_call_reaches_all_models_of_a_method(name, settings):
    data = graph()
    result = graphkd.distil(name, Pair(1), Pair(2), data, call=first, epochs=1, progress=False, **settings)
    assert 0 <= result.scores["test"]["accuracy"] <= 1


def test_glnn_takes_a_call_for_each_side():
    result = graphkd.distil("glnn", MLP([6, 8, 3]), Pair(2), graph(), call=(None, first), epochs=1, progress=False)
    assert "test" in result.scores


def test_fidelity_takes_calls():
    data = graph()
    student = MLP([6, 3])
    assert fidelity(student, Pair(), data, call=(None, first)) == fidelity(student, Frozen(Pair(), call=first), data)


# ------------------------------------------------------------- labels on all rows
@pytest.mark.parametrize("name", ["dml", "ban", "takd", "one", "pcl", "okddip", "kdcl_naive", "kdgan", "kd", "byot"])
def test_without_a_mask_every_row_is_labelled(name):
    data = {"x": torch.randn(10, 6), "y": torch.arange(10) % 3}
    settings = {"takd": {"assistants": [MLP([6, 4, 3])], "route": "all"}}.get(name, {})
    settings |= {"hidden": "lins.0"} if name in ("pcl", "okddip", "one", "byot") else {}
    models = MLP([6, 4, 3]), MLP([6, 4, 3])
    result = graphkd.distil(name, *models, data, task=NodeClassification(), epochs=1, progress=False, **settings)
    assert result.model(data["x"]).shape == (10, 3)
    with pytest.raises(ValueError, match="'task' says what is predicted; without it, data must have 'y' and 'train_m"):
        graphkd.distil(name, *models, data, epochs=1, progress=False, **settings)


def test_without_a_mask_trainables_take_the_loss_of_the_labels():
    data = {"x": torch.randn(10, 6), "y": torch.arange(10) % 3}
    models = [MLP([6, 4, 3]) for _ in range(3)]
    assert Peers(models, each_other, labels=CE())(data).loss > 0
    assert Exits(models[0], ["lins.0"], data, labels=CE())(data).loss > 0
    assert KDGAN(*models, labels=CE(), where=None, targets="y")(data).loss.isfinite()
