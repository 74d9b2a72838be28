from __future__ import annotations

import copy
import os

import pytest
import torch
from torch import nn
from torch_geometric.loader import RandomNodeLoader

from graphkd import Cached, Distiller, Frozen, fit
from graphkd.losses import KL, LSP
from tests.core.models import Labels, Match, gcn, graph

TAPS = {"hidden": "convs.0"}
ROWS = torch.tensor([7, 3, 3, 29])
STORED = [None, torch.float16, torch.bfloat16, torch.float32]


class Counting(nn.Module):
    """Counts how often a model is called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.calls = model, 0

    def forward(self, x, edge_index):
        self.calls += 1
        return self.model(x, edge_index)


def test_a_frozen_teacher_is_in_eval_without_gradient_and_never_trained():
    data, teacher = graph(), gcn(1, dropout=0.5)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    task = Distiller(gcn(2), teacher, {"a": Match(), "b": Labels(where="train_mask")}, taps=TAPS)
    teacher.train()
    view = task.teacher(data)
    assert torch.equal(view["logits"], task.teacher(data)["logits"])
    assert teacher.training  # as it was
    assert not view["logits"].requires_grad
    fit(task, data, epochs=3)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_teacher_is_moved_but_not_registered():
    task = Distiller(gcn(1), gcn(2), Match(), taps=TAPS).double()
    assert task.teacher.model.convs[0].lin.weight.dtype == torch.float64
    assert not any(name.startswith("teacher") for name in task.state_dict())
    assert len(list(task.parameters())) == len(list(gcn().parameters())) + 1


def test_a_cached_teacher_is_called_once_and_digested_once():
    data, teacher = graph(), Counting(gcn(1))
    loss = Match()
    fit(Distiller(gcn(2), Cached(teacher), loss, taps={"hidden": ("convs.0", "model.convs.0")}), data, epochs=5)
    assert teacher.calls == 1
    assert loss.digests == 1


def test_a_cached_view_equals_the_frozen_one_and_is_sliced_by_node_id():
    data, teacher = graph(), gcn(1)
    frozen, cached = Frozen(teacher)(data)["logits"], Cached(teacher, data)
    rows = torch.tensor([7, 3, 3])
    assert torch.equal(cached({"n_id": rows})["logits"], frozen[rows])
    assert torch.equal(cached(data)["logits"], frozen)


def test_a_cached_teacher_knows_its_graph_by_content():
    data = graph()
    cached = Cached(gcn(1))
    first = cached(data)["logits"]
    assert torch.equal(cached(data.clone())["logits"], first)
    other = data.clone()
    other.x = other.x + 1
    with pytest.raises(
        ValueError, match=r"computed on another batch than this one.*as 'n_id' .*; for another graph, use Frozen"
    ):
        cached(other)


def test_a_part_needs_the_whole():
    with pytest.raises(ValueError, match=r"give the whole, Cached\(model, data\)"):
        Cached(gcn(1))({"n_id": torch.tensor([0])})


def test_a_teacher_that_shows_its_parameters_gets_no_gradient():
    teacher = torch.nn.Embedding(3, 2)
    view = Frozen(teacher, call=lambda model, batch: {"user": model.weight})({})
    assert not view["user"].requires_grad


def test_a_nan_teacher_is_refused():
    teacher = gcn(1)
    with torch.no_grad():
        teacher.convs[1].bias[0] = float("nan")
    for make in (Frozen, Cached):
        with pytest.raises(ValueError, match=r"the teacher's 'logits' must be finite, got 30 NaN or infinite of 90"):
            make(teacher)(graph())


def test_a_teacher_must_be_a_module():
    with pytest.raises(TypeError, match=r"'model' must be an nn.Module, got dict"):
        Frozen({})  # type: ignore[arg-type]


# ------------------------------------------------------------- on disk
@pytest.mark.parametrize("dtype", STORED)
def test_a_teacher_on_disk_shows_the_rows_of_the_one_in_memory_and_is_called_once_ever(tmp_path, dtype):
    data, model = graph(), gcn(1)
    want = Cached(model, data)
    for calls in (1, 0):
        teacher = Counting(gcn(1))
        found = Cached(teacher, data, path=f"{tmp_path}/store/", dtype=dtype)
        for batch in ({"n_id": ROWS}, data, data.clone(), {"n_id": ROWS.flip(0)}):
            for name, tensor in want(batch, TAPS).items():
                got = found(batch, {"hidden": "model.convs.0"})[name]
                assert got.dtype == tensor.dtype
                assert torch.equal(got, tensor if dtype is None else tensor.to(dtype).float())
        assert teacher.calls == calls


def test_training_on_a_stored_teacher_is_training_on_the_teacher(tmp_path):
    data, losses = graph(), {"kd": KL(), "lsp": LSP(), "match": Match()}
    students = []
    for teacher in (gcn(2), Cached(gcn(2), path=tmp_path / "store"), Cached(gcn(2), path=tmp_path / "store")):
        task = Distiller(gcn(1), teacher, copy.deepcopy(losses), taps=TAPS)
        students.append(fit(task, data, epochs=3).state_dict())
        assert task.losses[2].digests == (3 if isinstance(teacher, nn.Module) else 1)
    for other in students[1:]:
        assert all(torch.equal(value, students[0][name]) for name, value in other.items())


def test_an_open_store_survives_copies_and_moves(tmp_path):
    data = graph()
    task = Distiller(gcn(1), Cached(gcn(2), data, path=tmp_path / "store"), KL() + LSP(), taps=TAPS)
    want = task(data)
    torch.testing.assert_close(copy.deepcopy(task)(data), want)
    torch.testing.assert_close(task.to("cpu")(data), want)


def test_another_teacher_graph_tap_or_dtype_is_noticed(tmp_path):
    def cached(model=None, data=None, taps=TAPS, path=tmp_path / "store", **options):
        made = Cached(model or gcn(1), data or graph(), path=path, **options)
        return made({"n_id": ROWS}, taps)

    assert sorted(cached(dtype=torch.float16)) == ["hidden", "logits"]
    assert sorted(cached(taps={})) == ["logits"]
    assert sorted(cached(taps={"other": "convs.0"})) == ["logits", "other"]
    other = graph()
    other.edge_index = other.edge_index.flip(0)
    cases = [
        ({"model": gcn(2)}, "by a teacher of other classes or another state"),
        ({"model": gcn(1).double(), "data": graph()}, "by a teacher of other classes or another state"),
        ({"data": other}, "from another graph"),
        ({"data": other, "model": gcn(2)}, "by a teacher of other classes or another state and from another graph"),
        ({"taps": {"hidden": "convs.1"}}, r"without the layers \['convs.1'\]"),
        ({"taps": {**TAPS, "more": "convs.1"}}, r"without the layers \['convs.1'\]"),
        ({"dtype": torch.float32}, "with another dtype than torch.float32"),
    ]
    for options, reason in cases:
        with pytest.raises(ValueError, match=rf"store' was made {reason}; remove the folder and it is made anew, or"):
            cached(**options)
    other = graph()
    other.train_mask = ~other.train_mask  # which the teacher does not read
    assert sorted(cached(data=other)) == ["hidden", "logits"]
    with pytest.raises(ValueError, match=r"from another graph"):  # nobody knows what `call` reads
        cached(data=other, call=lambda model, batch: model(batch["x"], batch["edge_index"]))


def test_a_damaged_store_is_refused_by_the_teacher_and_not_made_anew(tmp_path):
    data = graph()
    Cached(gcn(1), data, path=tmp_path / "store")(data)
    (tmp_path / "store" / "0.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"is damaged: 0.npy"):
        Cached(gcn(1), data, path=tmp_path / "store")(data)


def test_a_loader_fills_a_store_and_draws_nothing_from_the_generators(tmp_path):
    data, teacher = graph(), Counting(gcn(1))
    data.n_id = torch.arange(30)
    loader = RandomNodeLoader(data, 4, shuffle=True)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = Cached(teacher, loader, path=tmp_path / "store")({"n_id": torch.arange(30)})["logits"]
    assert torch.equal(torch.get_rng_state(), before)
    assert teacher.calls == 4
    torch.manual_seed(0)
    want = torch.empty(30, 3)
    for part in loader:
        want[part.n_id] = Frozen(gcn(1))(part)["logits"]
    torch.manual_seed(0)
    assert torch.equal(found, want)


def test_of_batches_with_seeds_only_their_rows_are_stored(tmp_path):
    parts = [
        {"x": torch.tensor([[i, i], [9, 9]]).float(), "n_id": torch.tensor([i, 2 - i]), "batch_size": 1}
        for i in range(3)
    ]
    teacher = Cached(nn.Identity(), parts, path=tmp_path / "store", call=lambda model, batch: model(batch["x"]))
    assert teacher({"n_id": torch.arange(3)})["logits"].tolist() == [[0, 0], [1, 1], [2, 2]]


def test_what_a_loader_lacks_is_named(tmp_path):
    data = graph()
    with pytest.raises(ValueError, match=r"a RandomNodeLoader as 'data' is for a store on disk: give 'path', got None"):
        Cached(gcn(1), RandomNodeLoader(data, 3))
    with pytest.raises(ValueError, match=r"dtype=torch.float16 is for a store on disk: give 'path', got None"):
        Cached(gcn(1), data, dtype=torch.float16)
    with pytest.raises(
        ValueError, match=r"'dtype' must be torch.float16, torch.bfloat16 or torch.float32, got torch.int8"
    ):
        Cached(gcn(1), data, path=tmp_path / "store", dtype=torch.int8)
    with pytest.raises(
        ValueError, match=r"needs to know whose rows a batch has.*data.n_id = torch.arange\(data.num_nodes"
    ):
        Cached(gcn(1), RandomNodeLoader(data, 3), path=tmp_path / "store")({"n_id": ROWS})
    data.n_id = torch.arange(30)
    pooled = Cached(
        gcn(1), RandomNodeLoader(data, 3), path=tmp_path / "store", call=lambda m, b: m(b.x, b.edge_index).mean(0, True)
    )
    with pytest.raises(
        ValueError, match=r"'logits' must have a row for each of the 10 'n_id' of a batch, got \(1, 3\)"
    ):
        pooled({"n_id": ROWS})
    with pytest.raises(ValueError, match="'n_id' must not be negative, got -1"):
        Cached(gcn(1), [{**data.to_dict(), "n_id": data.n_id - 1}], path=tmp_path / "store")({"n_id": ROWS})
    some = list(RandomNodeLoader(data, 3))[1:]
    with pytest.raises(ValueError, match=r"got no row of 'logits' for 10 of 30: \[0, 1, 2, 3, 4\]"):
        Cached(gcn(1), some, path=tmp_path / "store")({"n_id": ROWS})
    stored = Cached(gcn(1), RandomNodeLoader(data, 3), path=tmp_path / "store")
    with pytest.raises(ValueError, match=r"computed on another batch than this one"):
        stored({"x": data.x, "edge_index": data.edge_index})
    assert os.listdir(tmp_path) == []  # noqa: PTH208
