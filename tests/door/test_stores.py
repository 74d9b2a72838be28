"""A store is of one teacher with its settings and of one graph or set of graphs, whatever the form these come in."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric import EdgeIndex
from torch_geometric import nn as layers
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader, RandomNodeLoader
from torch_geometric.nn import APPNP, MLP

import graphkd
from graphkd import Cached, Distiller, Frozen, fit
from graphkd.losses import KL
from tests.core.models import gcn, graph
from tests.door.test_identity import NONE, READ, is_right, logits


# ------------------------------------------------------------- settings of the teacher
class _Net(nn.Module):
    """A model with settings of its own."""

    def __init__(self, k=2, activation=torch.relu, **options):
        super().__init__()
        torch.manual_seed(0)
        self.lin, self.prop, self.activation = nn.Linear(6, 3), APPNP(k, **{"alpha": 0.1, **options}), activation

    def forward(self, x, edge_index):
        return self.prop(self.activation(self.lin(x)), edge_index)


class _Times(nn.Module):
    def __init__(self, k):
        super().__init__()
        torch.manual_seed(0)
        self.lin, self.k, self.calls, self.seen = nn.Linear(6, 3), k, 0, None

    def forward(self, x):
        self.calls, self.seen = self.calls + 1, x  # a counter and a cache
        return self.k * self.lin(x)


class _Wrapped(nn.Module):
    def __init__(self, kind, *sizes, **options):
        super().__init__()
        torch.manual_seed(0)
        self.conv = getattr(layers, kind)(*(sizes or (nn.Linear(6, 3),)), **options)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


def _conv(kind, name, *values):
    sizes = () if kind == "GINConv" else (6, 3)
    return [lambda value=value: _Wrapped(kind, *sizes, **{name: value}) for value in values]


SETTINGS = {
    "K": (lambda: _Net(2), lambda: _Net(20), "prop.K 2, not 20"),
    "alpha": (lambda: _Net(alpha=0.1), lambda: _Net(alpha=0.2), "prop.alpha 0.1, not 0.2"),
    "add_self_loops": (_Net, lambda: _Net(add_self_loops=False), "prop.add_self_loops True, not False"),
    "activation": (_Net, lambda: _Net(activation=torch.tanh), r"activation .*relu, not .*tanh"),
    "negative_slope": (*_conv("GATConv", "negative_slope", 0.2, 0.5), "conv.negative_slope 0.2, not 0.5"),
    "concat": (*_conv("GATConv", "concat", True, False), "conv.concat True, not False"),
    "normalize": (*_conv("GCNConv", "normalize", True, False), "conv.normalize True, not False"),
    "eps": (*_conv("GINConv", "eps", 0.0, 0.5), "conv.initial_eps 0.0, not 0.5"),
    "k": (lambda: _Times(2), lambda: _Times(3), "k 2, not 3"),
}


@pytest.mark.parametrize(("one", "other", "message"), SETTINGS.values(), ids=SETTINGS)
def test_a_store_of_another_setting_is_refused_by_its_name(tmp_path, one, other, message):
    data, path = graph(), tmp_path / "store"
    Cached(one(), data, path=path)(data)
    assert is_right(Cached(one(), data, path=path), one(), data)
    with pytest.raises(ValueError, match=f"was made by a teacher .*with {message}"):
        Cached(other(), data, path=path)(data)


def test_what_changes_as_a_model_runs_does_not_break_a_store(tmp_path):
    data, path, model = graph(), tmp_path / "store", _Times(2)
    Cached(model, data, path=path)(data)
    model(data.x)
    assert is_right(Cached(model, data, path=path), model, data)
    assert is_right(Cached(_Times(2), data, path=path), model, data)
    cached = Cached(model, data, path=path)
    for _ in range(3):
        cached.apply_to_tensors(lambda tensor: tensor)  # as a move does
        cached(data)
        model(data.x)


def test_a_version_says_what_call_does(tmp_path):
    data, path = graph(), tmp_path / "store"

    def cached(version=None):
        return Cached(gcn(1), data, call=READ, path=path, version=version)(data)

    cached("doubled")
    cached("doubled")
    for other in (None, "tripled"):
        with pytest.raises(ValueError, match=f"was made with version 'doubled', not {other!r}; remove"):
            cached(other)
    with pytest.raises(ValueError, match="version=doubled is for a store on disk: give 'path', got None"):
        Cached(gcn(1), data, version="doubled")
    with pytest.raises(TypeError, match="'version' must be a text that names what 'call' does, got int"):
        Cached(gcn(1), data, path=path, version=3)


def test_a_teacher_that_is_called_otherwise_is_another(tmp_path):
    data, path, model = {"x": graph().x}, tmp_path / "store", MLP([6, 3])
    Cached(model, data, call=lambda model, batch: 2 * model(batch["x"]), path=path)(data)
    with pytest.raises(ValueError, match=r"was made by a teacher that was called by 'call', not by name; remove"):
        Cached(model, data, path=path)(data)


# ------------------------------------------------------------- several graphs
def _several(count=6, size=5, **entries):
    torch.manual_seed(0)
    named = [{name: make(number, size) for name, make in entries.items()} for number in range(count)]
    return [Data(x=torch.randn(size, 4), edge_index=NONE, **each) for each in named]


OVER_ALL = {"n_id": lambda number, size: number * size + torch.arange(size)}
BY_GRAPH = {"graph_id": lambda number, size: number}
TWICE = r"a store needs every row once, got id 0 twice: number nodes over all graphs, 'n_id' \+ the nodes of the graphs"


def test_ids_that_begin_anew_in_every_graph_are_refused(tmp_path):
    graphs = _several(n_id=lambda number, size: torch.arange(size))
    for batch_size in (1, 2):
        with pytest.raises(ValueError, match=TWICE):
            Cached(MLP([4, 3]), DataLoader(graphs, batch_size), path=tmp_path / "store")(graphs[0])
    assert list(tmp_path.iterdir()) == []


def test_ids_over_all_graphs_are_right(tmp_path):
    graphs, model = _several(**OVER_ALL), MLP([4, 3])
    cached = Cached(model, DataLoader(graphs, 2), path=tmp_path / "store")
    for batch in DataLoader(graphs, 3, shuffle=True):
        torch.testing.assert_close(logits(cached, batch), logits(Frozen(model), batch))


class _Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 3)

    def forward(self, x, batch):
        return torch.zeros(int(batch.max()) + 1, 3).index_add(0, batch, self.lin(x))


@pytest.mark.parametrize("entries", [BY_GRAPH, {**BY_GRAPH, **OVER_ALL}], ids=["by graph", "by graph and node"])
def test_answers_a_row_a_graph_are_stored_and_read_by_graph(tmp_path, entries):
    graphs, model = _several(**entries), _Pooled()
    whole = Batch.from_data_list(graphs)
    for cached in (
        Cached(model, DataLoader(graphs, 2), path=tmp_path / "store"),
        Cached(model, DataLoader(graphs, 2), path=tmp_path / "store"),
        Cached(model, whole),
        Cached(model, whole, path=tmp_path / "whole"),
    ):
        for batch in DataLoader(graphs, 4, shuffle=True):
            torch.testing.assert_close(logits(cached, batch), logits(Frozen(model), batch))
        batch.graph_id = batch.graph_id[:1].repeat(3)
        with pytest.raises(ValueError, match="'graph_id' must be one for each of the 2 graphs of the batch, got 3"):
            cached(batch)
        batch.graph_id = torch.tensor([0, 6])
        with pytest.raises(ValueError, match=r"'graph_id' must be from 0 to 5, the rows of .*, got 0 to 6"):
            cached(batch)


def test_answers_a_row_a_graph_need_ids_of_graphs(tmp_path):
    graphs = _several(**OVER_ALL)
    with pytest.raises(ValueError, match=r"must have a row for each of the 10 'n_id' of a batch, got .2, 3."):
        Cached(_Pooled(), DataLoader(graphs, 2), path=tmp_path / "store")(graphs[0])
    with pytest.raises(ValueError, match=r"whose rows a batch has.* for answers a row a graph its 'graph_id'"):
        Cached(_Pooled(), DataLoader(_several(), 2), path=tmp_path / "store")({"n_id": torch.tensor([0])})


def test_a_student_of_graphs_learns_from_a_store(tmp_path):
    graphs, teacher, found = _several(**BY_GRAPH), _Pooled(), []
    for taught in (teacher, Cached(teacher, DataLoader(graphs, 2), path=tmp_path / "store")):
        torch.manual_seed(1)
        found.append(fit(Distiller(_Pooled(), taught, KL()), DataLoader(graphs, 3), epochs=2).lin.weight)
    torch.testing.assert_close(*found)


class _Twice:
    """Two epochs of a loader."""

    def __init__(self, loader):
        self.loader, self.data = loader, loader.data

    def __iter__(self):
        yield from self.loader
        yield from self.loader


def test_two_epochs_of_a_loader_are_refused(tmp_path):
    data = graph()
    data.n_id = torch.arange(30)
    with pytest.raises(ValueError, match=r"got id \d+ twice: .* go through a loader once"):
        Cached(gcn(1), _Twice(RandomNodeLoader(data, 3)), path=tmp_path / "store")(data)


def test_rows_of_a_loaders_graph_are_compared_with_it(tmp_path):
    data, model = graph(), MLP([6, 3])
    data.n_id = torch.arange(30).flip(0)  # numbers of its own
    cached = Cached(model, RandomNodeLoader(data, 3), path=tmp_path / "store")
    for part in RandomNodeLoader(data, 4, shuffle=True):
        torch.testing.assert_close(logits(cached, part), logits(Frozen(model), part))
    part.n_id = part.n_id.flip(0)
    with pytest.raises(ValueError, match="whose 'x' has other values in these rows"):
        cached(part)


def test_batches_of_links_are_refused_as_a_source_and_read(tmp_path):
    data, model, ids = graph(), gcn(1), torch.tensor([4, 9, 2])
    links = Data(x=data.x[ids], edge_index=NONE, n_id=ids, input_id=torch.tensor([0]), edge_label_index=NONE)
    with pytest.raises(ValueError, match=r"batches of a LinkNeighborLoader share nodes: fill it from a NeighborLoader"):
        Cached(model, [links], path=tmp_path / "store")(links)
    assert torch.equal(logits(Cached(model, data), links), logits(Frozen(model), data)[ids])


# ------------------------------------------------------------- the forms of a graph
LAYOUTS = [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc]


class _Adjacent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lin = nn.Linear(6, 3)

    def forward(self, x, adj_t):
        return adj_t @ self.lin(x)


class _Matrix:
    """What torch_sparse's SparseTensor can do, as far as it is needed."""

    def __init__(self, row, col, value, sizes):
        self.parts, self.sizes = (row, col, value), sizes

    def coo(self):
        return self.parts

    def sparse_sizes(self):
        return self.sizes

    def __matmul__(self, x):
        row, col, value = self.parts
        return torch.zeros(self.sizes[0], x.size(1)).index_add(0, row, value[:, None] * x[col])


def _adjacency(layout, scale=1.0):
    data = graph()
    values = scale * torch.ones(data.num_edges)
    if layout == "SparseTensor":
        return _Matrix(data.edge_index[1], data.edge_index[0], values, (30, 30))
    return torch.sparse_coo_tensor(data.edge_index.flip(0), values, (30, 30)).coalesce().to_sparse(layout=layout)


def _values_of(matrix):
    if isinstance(matrix, _Matrix):
        return matrix.parts[2]
    return matrix._values() if matrix.layout == torch.sparse_coo else matrix.values()


@pytest.mark.parametrize("layout", [*LAYOUTS, "SparseTensor"])
@pytest.mark.filterwarnings("ignore:Sparse")
class TestSparse:
    def test_equal_matrices_are_equal_graphs_and_others_are_not(self, layout, tmp_path):
        x, model = graph().x, _Adjacent()
        for path in (None, tmp_path / "store", tmp_path / "store"):
            cached = Cached(model, {"x": x, "adj_t": _adjacency(layout)}, path=path)
            for _ in range(2):
                batch = {"x": x.clone(), "adj_t": _adjacency(layout)}
                torch.testing.assert_close(logits(cached, batch), logits(Frozen(model), batch))
            with pytest.raises(ValueError, match="was computed on another batch"):
                cached({"x": x, "adj_t": _adjacency(layout, 2.0)})
            rows = torch.tensor([3, 1])
            torch.testing.assert_close(logits(cached, {"n_id": rows}), logits(Frozen(model), batch)[rows])
        with pytest.raises(ValueError, match="was made from another graph"):
            Cached(model, {"x": x, "adj_t": _adjacency(layout, 2.0)}, path=path)({"n_id": rows})

    def test_a_matrix_that_was_written_to_is_another(self, layout, tmp_path):
        data, model = {"x": graph().x, "adj_t": _adjacency(layout)}, _Adjacent()
        cached, stored = Cached(model, data), Cached(model, data, path=tmp_path / "store")
        cached(data), stored(data)
        _values_of(data["adj_t"]).mul_(3)
        torch.testing.assert_close(logits(cached, data), logits(Frozen(model), data))
        with pytest.raises(ValueError, match="was made from another graph"):
            stored(data)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_features_are_features(layout, tmp_path):
    x, model = graph().x.relu(), nn.Linear(6, 3)
    call = lambda model, batch: batch["x"] @ model.weight.T  # noqa: E731
    for path in (None, tmp_path / "store"):
        cached = Cached(model, {"x": x.to_sparse(layout=layout)}, call=call, path=path)
        torch.testing.assert_close(logits(cached, {"x": x.to_sparse(layout=layout)}), x @ model.weight.detach().T)
        with pytest.raises(ValueError, match="was computed on another batch"):
            cached({"x": (2 * x).to_sparse(layout=layout)})


class _Product(nn.Module):
    """A linear map that takes sparse rows, of any layout."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(6, 3))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.weight)

    def forward(self, x):
        return x @ self.weight


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", ["kd", "glnn", "cpf_ind", "noisy_student"])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_methods_take_sparse_features(method, layout):
    data, found = graph(), []
    data.x = data.x.relu()
    sparse = data.clone()
    sparse.x, sparse.num_nodes = data.x.to_sparse(layout=layout), 30
    for each in (data, sparse):
        torch.manual_seed(0)
        student = None if method == "cpf_ind" else _Product()
        found.append(graphkd.distil(method, student, Cached(_Product(), each), each, epochs=2).model)
    if method != "cpf_ind":  # its dropout draws for the stored entries alone
        torch.testing.assert_close(*(model.weight for model in found))


def test_an_edge_index_of_pyg_is_an_edge_index(tmp_path):
    data, model = graph(), gcn(1)
    other = Data(x=data.x, edge_index=EdgeIndex(data.edge_index.clone(), sparse_size=(30, 30)))
    for path in (None, tmp_path / "store"):
        assert torch.equal(logits(Cached(model, data, path=path), other), logits(Frozen(model), data))
        assert torch.equal(logits(Cached(model, other, path=path), data), logits(Frozen(model), data))
    cached = Cached(model, other)
    cached(other)
    other.edge_index.fill_(3)
    torch.testing.assert_close(logits(cached, other), logits(Frozen(model), other))


# ------------------------------------------------------------- a disk
def test_a_folder_that_cannot_be_written_is_noticed_before_the_teacher_is_asked(tmp_path):
    (tmp_path / "file").write_text("in the way")
    asked = []
    cached = Cached(
        gcn(1), graph(), call=lambda *args: asked.append(1) or READ(*args), path=tmp_path / "file" / "store"
    )
    with pytest.raises(OSError, match="file"):
        cached(graph())
    assert asked == []
