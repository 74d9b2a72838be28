"""What was computed once belongs to what it was computed from: a graph, its masks, a teacher, ids."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCN, MLP, GCNConv
from torch_geometric.utils import k_hop_subgraph

from graphkd import Cached, Distiller, Ensemble, Frozen, Loss
from graphkd.losses import KL, LSP
from graphkd.tasks import hold_out
from tests.core.models import gcn, graph

NONE = torch.zeros(2, 0, dtype=torch.long)
READ = lambda model, batch: model(batch["x"], batch["edge_index"])  # noqa: E731


def logits(teacher, batch) -> torch.Tensor:
    return teacher(batch)["logits"]


def is_right(cached, model, batch) -> bool:
    """Whether a Cached teacher answers as its model does now."""
    return torch.equal(logits(cached, batch), logits(Frozen(model), batch))


# ------------------------------------------------------------- another graph
def _augmented(data):
    other = data.clone()
    other.x = other.x * 1.5
    return other


def _other_dtype(data):
    other = data.clone()
    other.x = data.x.view(torch.int32)
    return other


def _more_inputs(data):
    other = data.clone()
    other.edge_weight = torch.rand(other.num_edges)
    return other


OTHERS = {
    "an augmented clone": _augmented,
    "the same storage as another dtype": _other_dtype,
    "an input more": _more_inputs,
    "other edges": lambda data: Data(x=data.x, edge_index=data.edge_index.flip(0)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("call", [None, READ], ids=["by name", "call"])
def test_another_graph_is_refused_also_after_a_copy(other, call):
    data, model = graph(), gcn(1)
    cached = Cached(model, data, call=call)
    for _ in range(3):
        assert torch.equal(logits(cached, data.clone()), logits(cached, data))
        if call is not None and other is _more_inputs:
            continue  # what `call` reads is in the graph too
        with pytest.raises(ValueError, match="was computed on another batch than this one"):
            cached(other(data))


def test_a_transpose_of_one_storage_is_another_graph():
    x = torch.randn(5, 5)
    cached = Cached(MLP([5, 3]), {"x": x})
    assert logits(cached, {"x": x}).shape == (5, 3)
    with pytest.raises(ValueError, match="was computed on another batch"):
        cached({"x": x.T})


def test_new_tensors_at_old_addresses_are_told_apart():
    graphs = [Data(x=torch.randn(1000, 5), edge_index=NONE) for _ in range(2)]
    cached, found = Cached(MLP([5, 3]), graphs[0]), []
    for _ in range(4):
        for batch in DataLoader(graphs, 1):
            try:
                cached(batch)
                found.append("answered")
            except ValueError:
                found.append("refused")
            del batch
    assert found == ["answered", "refused"] * 4


def test_another_graph_of_node_types_is_refused():
    def hetero(seed):
        data = HeteroData()
        data["paper"].x = torch.randn(4, 6, generator=torch.Generator().manual_seed(seed))
        data["paper", "cites", "paper"].edge_index = torch.tensor([[0, 1], [1, 2]])
        return data

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(6, 3)

        def forward(self, x_dict, edge_index_dict):
            return self.lin(x_dict["paper"])

    data, model = hetero(0), Net()
    for call in (None, lambda model, batch: model(batch.x_dict, batch.edge_index_dict)):
        cached = Cached(model, data, call=call)
        assert torch.equal(logits(cached, hetero(0)), logits(Frozen(model, call=call), data))
        with pytest.raises(ValueError, match="was computed on another batch"):
            cached(hetero(1))
        assert set(data.node_types) == {"paper"}  # nothing was put into it
    part = hetero(0)
    part["paper"].n_id = torch.arange(4)
    with pytest.raises(ValueError, match="reads no parts of heterogeneous data, whose 'n_id' is of each node type"):
        cached(part)


def test_labels_and_splits_that_a_task_gave_another_form_are_no_other_graph():
    data = graph()
    data.y, data.train_mask = data.y[:, None], torch.stack([data.train_mask, data.val_mask], dim=1)
    data.val_mask = data.val_mask.nonzero()[:, 0]
    cached, plain = Cached(gcn(1), data, call=READ), graph()
    assert torch.equal(logits(cached, plain), logits(cached, data))
    plain.y = (plain.y + 1) % 3
    with pytest.raises(ValueError, match="was computed on another batch"):
        cached(plain)


# ------------------------------------------------------------- a graph or a teacher that changed
def _write_x(data):
    data.x.mul_(0.1)


def _write_rows(data):
    data.x[3] = 1.0


def _write_edges(data):
    data.edge_index.copy_(data.edge_index.flip(0))


def _write_behind_torch(data):
    data.x.data.mul_(0.1)


def _write_by_numpy(data):
    data.x.numpy()[:] = 2.0


def _replace(data):
    data.x = data.x * 2


CHANGES = [_write_x, _write_rows, _write_edges, _write_behind_torch, _write_by_numpy, _replace]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("call", [None, READ], ids=["by name", "call"])
def test_a_graph_that_changed_is_asked_about_anew(change, call):
    data, model = graph(), gcn(1)
    cached = Cached(model, data, call=call)
    copy_of_it = data.clone()
    cached(copy_of_it)
    change(data)
    assert is_right(cached, model, data)
    assert torch.equal(logits(cached, {"n_id": torch.tensor([3])}), logits(Frozen(model), data)[3:4])
    with pytest.raises(ValueError, match="was computed on another batch"):  # the copy is still the old graph
        cached(copy_of_it)


def test_a_batch_that_was_compared_and_then_written_to_is_compared_again():
    data, model = graph(), gcn(1)
    cached, other = Cached(model, data), data.clone()
    cached(other)
    other.x.add_(1)
    with pytest.raises(ValueError, match="was computed on another batch"):
        cached(other)


def _tune(model):
    with torch.no_grad():
        model.convs[0].lin.weight.mul_(3)


def _load(model):
    model.load_state_dict(gcn(2).state_dict())


def _tune_behind_torch(model):
    model.convs[0].lin.weight.data.mul_(3)


def _replace_layer(model):
    model.convs[0] = GCNConv(6, 8)


def _replace_weight(model):
    model.convs[0].lin.weight = nn.Parameter(torch.ones_like(model.convs[0].lin.weight))


def _self_loops(model):
    model.convs[0].add_self_loops = False


TUNINGS = [_tune, _load, _tune_behind_torch, _replace_layer, _replace_weight, _self_loops]


@pytest.mark.parametrize("tune", TUNINGS)
def test_a_teacher_that_changed_is_asked_anew_with_all_that_losses_derived(tune):
    data, model = graph(), gcn(1)
    cached, loss = Cached(model, data), KL(where="train_mask") + LSP(on="logits")
    task, student = Distiller(gcn(2), cached, loss), gcn(2)
    task(data)
    tune(model)
    assert is_right(cached, model, data)
    torch.testing.assert_close(task(data).loss, Distiller(student, Frozen(model), loss)(data).loss)


def test_batch_statistics_that_moved_change_the_teacher():
    data, model = graph(), GCN(6, 8, 2, 3, norm="batch_norm")
    cached = Cached(model, data)
    cached(data)
    model.train()
    model(data.x * 5, data.edge_index)
    assert is_right(cached, model, data)


@pytest.mark.parametrize("tune", TUNINGS)
def test_a_store_whose_teacher_changed_is_refused(tmp_path, tune):
    data, model = graph(), gcn(1)
    cached = Cached(model, data, path=tmp_path / "store")
    for batch in (data, {"n_id": torch.tensor([3])}):
        cached(batch)
    tune(model)
    for batch in (data, {"n_id": torch.tensor([3])}):
        with pytest.raises(ValueError, match=r"store' was made by a teacher .*; remove the folder and it is made anew"):
            cached(batch)


@pytest.mark.parametrize("change", CHANGES)
def test_a_store_whose_graph_changed_is_refused(tmp_path, change):
    data = graph()
    cached = Cached(gcn(1), data, path=tmp_path / "store")
    cached(data)
    change(data)
    with pytest.raises(ValueError, match="store' was made from another graph"):
        cached(data)


# ------------------------------------------------------------- masks and facts that changed
def _asked_anew(student, teacher, loss, data):
    return Distiller(student, Frozen(teacher), copy.deepcopy(loss))(data).loss


@pytest.mark.parametrize("kind", [Cached, lambda model, data: Ensemble([Cached(model, data)])], ids=["one", "several"])
def test_a_mask_written_in_place_gives_other_rows(kind):
    student, teacher, data, loss = gcn(1), gcn(2), graph(), KL(where="train_mask")
    task = Distiller(student, kind(teacher, data), loss)
    for mask in (data.val_mask.clone(), data.test_mask.clone()):
        task(data)
        data.train_mask.copy_(mask)
        torch.testing.assert_close(task(data).loss, _asked_anew(student, teacher, loss, data))


@pytest.mark.parametrize("where", ["ids", ("ids", "val_mask"), "~val_mask"])
def test_ids_written_in_place_give_other_rows(where):
    student, teacher, data, loss = gcn(1), gcn(2), graph(), KL(where=where)
    data.ids = torch.tensor([1, 2, 4])
    task = Distiller(student, Cached(teacher, data), loss)
    task(data)
    data.ids.copy_(torch.tensor([10, 13, 20]))
    data.val_mask.logical_not_()
    torch.testing.assert_close(task(data).loss, _asked_anew(student, teacher, loss, data))


class _ByClass(Loss):
    """A loss whose digest reads labels."""

    rows = ("y",)

    def digest(self, teacher, *, y):
        return torch.stack([teacher[y == label].sum(dim=0) for label in range(3)])

    def forward(self, student, teacher, *, y):
        return (student[y].sum() - teacher[0].sum()).square()


@pytest.mark.parametrize(
    ("loss", "change"),
    [
        (LSP(on="logits"), lambda data: data.edge_index.copy_(data.edge_index.roll(1, 1).flip(0))),
        (LSP(on="logits"), lambda data: data.edge_index.data.copy_(data.edge_index.roll(1, 1).flip(0))),
        (_ByClass(where="all"), lambda data: data.y.copy_(data.y.roll(1))),
    ],
    ids=["edges", "edges behind torch", "labels"],
)
def test_a_fact_written_in_place_gives_another_digest(loss, change):
    student, teacher, data = MLP([6, 3]).eval(), MLP([6, 3]), graph()
    task = Distiller(student, Cached(teacher, data), loss)
    before = task(data).loss
    change(data)
    torch.testing.assert_close(task(data).loss, _asked_anew(student, teacher, loss, data))
    assert not torch.equal(task(data).loss, before)


def test_equal_masks_and_facts_of_other_objects_keep_the_digest():
    data, loss = graph(), LSP(on="logits")
    cached, made = Cached(gcn(1), data), []
    digest = loss.digest
    loss.digest = lambda *args, **facts: made.append(1) or digest(*args, **facts)
    task = Distiller(gcn(2), cached, loss)
    for batch in (data, data.clone(), copy.copy(data), data.clone()):
        task(batch)
    assert len(made) == 1


# ------------------------------------------------------------- ids
def _part(data, mask):
    part = data.subgraph(mask)
    return part, mask.nonzero()[:, 0]


def _held_out(data):
    part, held = hold_out(data, share=0.5)
    return part, (~held).nonzero()[:, 0]


def _hops(data):
    ids, edges, _, _ = k_hop_subgraph(7, 1, data.edge_index, relabel_nodes=True)
    return Data(x=data.x[ids], edge_index=edges), ids


def _shuffled(data):
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    return Data(x=data.x[order], edge_index=torch.argsort(order)[data.edge_index]), order


PARTS = {
    "hold_out": _held_out,
    "subgraph": lambda data: _part(data, torch.arange(30) % 3 > 0),
    "k hops": _hops,
    "another order": _shuffled,
}


@pytest.mark.parametrize("part_of", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("stored", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("call", [None, READ], ids=["by name", "call"])
def test_a_part_with_numbers_of_its_own_is_refused_and_with_the_graphs_answered(part_of, stored, call, tmp_path):
    data, model = graph(), gcn(1)
    part, ids = part_of(data)
    cached = Cached(model, data, call=call, path=tmp_path / "store" if stored else None)
    part.n_id = torch.arange(part.num_nodes)
    with pytest.raises(
        ValueError, match=r"whose 'x' has other values in these rows: .*hold_out, subgraph.*part.n_id ="
    ):
        cached(part)
    part.n_id = ids
    assert torch.equal(logits(cached, part), logits(Frozen(model), data)[ids])
    part.n_id = torch.arange(part.num_nodes)
    with pytest.raises(ValueError, match="'n_id' must be ids of the graph that the Cached teacher was made for"):
        cached(part)  # also after batches that were right
    part.augmented = True  # on purpose
    assert torch.equal(logits(cached, part), logits(Frozen(model), data)[: part.num_nodes])


def test_a_graph_with_ids_of_its_own_is_read_by_them():
    whole, model = graph(), gcn(1)
    part, ids = _held_out(whole)
    part.n_id = ids
    cached, want = Cached(model, part), logits(Frozen(model), part)
    assert torch.equal(logits(cached, part), want)
    assert torch.equal(logits(cached, {"n_id": ids[[5, 2]], "x": part.x[[5, 2]]}), want[[5, 2]])
    missing = next(i for i in range(30) if i not in ids)
    with pytest.raises(ValueError, match=rf"'n_id' must be among the 'n_id' of the Cached .*, got \[{missing}\]"):
        cached({"n_id": torch.tensor([missing])})
    part.n_id = torch.zeros_like(ids)
    with pytest.raises(
        ValueError, match="'n_id' of the Cached teacher's graph must be one for each row, got some twice"
    ):
        Cached(model, part)({"n_id": ids[:2]})


WRONG_IDS = {
    "negative": ([-1, 2, 3], ValueError, "'n_id' must be from 0 to 29, the rows of .*, got -1 to 3"),
    "too large": ([1, 2, 30], ValueError, "'n_id' must be from 0 to 29, the rows of .*, got 1 to 30"),
    "bytes": (torch.tensor([1, 2, 3], dtype=torch.uint8), TypeError, "'n_id' must be ids, .*, got torch.uint8: give"),
    "flags": (torch.ones(30, dtype=torch.bool), TypeError, "'n_id' must be ids, .*, got torch.bool"),
    "floats": (
        torch.tensor([1.0, 2.0, 3.0]),
        TypeError,
        "'n_id' must be ids, a tensor of torch.long, got torch.float32",
    ),
    "a list": ((1, 2, 3), TypeError, "'n_id' must be ids, a tensor of torch.long, got tuple"),
    "columns": (torch.tensor([[1], [2], [3]]), ValueError, r"'n_id' must be \(n,\), got \(3, 1\)"),
    "too many": ([1, 2, 3, 4], ValueError, "'n_id' must be one for each of the 3 rows of the batch's 'x', got 4"),
    "too few": ([1, 2], ValueError, "'n_id' must be one for each of the 3 rows of the batch's 'x', got 2"),
}


@pytest.mark.parametrize(("ids", "error", "message"), WRONG_IDS.values(), ids=WRONG_IDS)
@pytest.mark.parametrize("stored", [False, True], ids=["memory", "disk"])
def test_wrong_ids_are_refused_by_name(ids, error, message, stored, tmp_path):
    data = graph()
    cached = Cached(gcn(1), data, path=tmp_path / "store" if stored else None)
    ids = torch.tensor(ids) if isinstance(ids, list) else ids
    with pytest.raises(error, match=message):
        cached({"x": data.x[[1, 2, 3]], "edge_index": NONE, "n_id": ids})


@pytest.mark.parametrize("kind", ["bytes", "flags", "floats", "a list", "columns"])
def test_wrong_ids_of_a_loader_are_refused_by_name(kind, tmp_path):
    ids, error, message = WRONG_IDS[kind]
    data = graph()
    parts = [{"x": data.x[: len(ids)], "edge_index": NONE, "n_id": ids}]
    with pytest.raises(error, match=message):
        Cached(gcn(1), parts, path=tmp_path / "store")({"n_id": torch.tensor([0])})
    assert list(tmp_path.iterdir()) == []


def test_ids_of_thirty_two_bits_are_ids():
    data, model = graph(), gcn(1)
    ids = torch.tensor([4, 2], dtype=torch.int32)
    assert torch.equal(logits(Cached(model, data), {"n_id": ids}), logits(Frozen(model), data)[[4, 2]])
