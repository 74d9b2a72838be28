"""A teacher stays as it is whoever trains, serves several students, and may be of any kind."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch_geometric.nn import GCN, MLP

import graphkd
from graphkd import EMA, Cached, Distiller, Ensemble, Frozen, Snapshot, fit
from graphkd.losses import CE, KL, RKD
from graphkd.schemes import Adversarial, Progressive, Stochastic
from tests.core.models import gcn, graph
from tests.door.test_identity import READ, is_right, logits


class _Shared(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.enc, self.head = encoder, nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.enc(x))


def _encoder(norm=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16) if norm else nn.Identity(), nn.Dropout(0.5))


ROWS = {"x": torch.randn(40, 8, generator=torch.Generator().manual_seed(0)) + 2, "y": torch.arange(40) % 3}
SHARING = {
    "a plain module": lambda net: net,
    "frozen": Frozen,
    "cached": lambda net: Cached(net, ROWS),
    "several": lambda net: Ensemble([Frozen(net)]),
}


# ------------------------------------------------------------- a model that somebody else trains
@pytest.mark.parametrize("kind", SHARING)
@pytest.mark.parametrize("how", ["statistics", "parameters", "one object"])
def test_a_teacher_that_shares_with_its_student_is_parted_from_it(kind, how, caplog):
    encoder = _encoder(norm=how == "statistics").requires_grad_(how != "statistics")
    net = _Shared(encoder)
    teacher = SHARING[kind](net)
    before = logits(Frozen(net), ROWS).clone()
    task = Distiller(net if how == "one object" else _Shared(encoder), teacher, CE() + KL())
    assert "the teacher shares ['enc." in caplog.text
    assert "give EMA(student, decay)" in caplog.text
    fit(task, [ROWS] * 3, epochs=2)
    for shown in (task.teacher, *([] if kind == "a plain module" else [teacher])):
        assert torch.equal(logits(shown, ROWS), before)


def test_what_training_leaves_alone_may_be_shared(caplog):
    encoder = _encoder(norm=False).requires_grad_(False)
    teacher = Frozen(_Shared(encoder))
    Distiller(_Shared(encoder), teacher, KL())
    assert teacher.model.enc is encoder
    for moving in (EMA, Snapshot):
        student = _Shared(_encoder())
        follower = moving(student)
        assert Distiller(student, follower, KL()).teacher is follower
    assert caplog.text == ""


@pytest.mark.parametrize("part", ["enc", "enc.1", "enc.2"])
def test_a_part_in_training_mode_is_asked_in_eval_mode(part):
    net = _Shared(_encoder())
    for teacher in (Frozen(net), Ensemble([net]), Cached(net, ROWS)):
        net.eval()
        before = logits(teacher, ROWS).clone()
        net.get_submodule(part).train()
        modes = [module.training for module in net.modules()]
        for _ in range(2):
            assert torch.equal(logits(teacher, ROWS), before)
        assert [module.training for module in net.modules()] == modes


def test_modes_are_as_before_also_after_an_exception():
    net = _Shared(_encoder()).train()
    net.enc[1].eval()
    modes = [module.training for module in net.modules()]

    def fails(model, batch):
        assert not any(module.training for module in model.modules())
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        Frozen(net, call=fails)(ROWS)
    assert [module.training for module in net.modules()] == modes


def test_an_adapting_teacher_goes_on_training():
    half = torch.arange(40) < 20
    data = {**ROWS, "source_mask": half, "target_mask": ~half}
    adapting = Adversarial(MLP([8, 16, 3], dropout=0.5), nn.Linear(3, 1), CE(where="source_mask"))
    task = Progressive(adapting, Distiller(MLP([8, 3]), Frozen(adapting.student), KL()))
    task.train()
    for _ in range(3):
        assert all(module.training for module in adapting.student.modules())
        task(data)


def test_a_student_as_its_own_teacher_goes_on_training():
    student = _Shared(_encoder()).train()
    for teacher in (Frozen(student), Stochastic(student), EMA(student), Snapshot(student)):
        teacher(ROWS)
        assert all(module.training for module in student.modules())


@pytest.mark.parametrize("moving", [EMA, Snapshot])
def test_an_average_is_in_eval_mode_whoever_trains(moving):
    student = _Shared(_encoder())
    teacher = moving(student)
    fit(Distiller(student, teacher, CE() + KL()), ROWS, epochs=2)
    assert not any(module.training for module in teacher.model.modules())


# ------------------------------------------------------------- several users of one teacher
KINDS = {
    "frozen": lambda model, data, path: Frozen(model),
    "cached": lambda model, data, path: Cached(model, data),
    "on disk": lambda model, data, path: Cached(model, data, path=path / "store"),
    "several": lambda model, data, path: Ensemble([Cached(model, data), Frozen(model)]),
    "several cached": lambda model, data, path: Ensemble([Cached(model, data), Cached(model, data)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_distillers_share_a_teacher_each_with_layers_of_its_own(kind, tmp_path):
    data, model = graph(), gcn(2)
    teacher, student = KINDS[kind](model, data, tmp_path), gcn(1)

    def task(teacher, pair):
        loss = KL(where="all") + RKD(on="hidden", where="all") if pair else KL(where="all")
        return Distiller(student, teacher, loss, taps={"hidden": pair} if pair else None)

    pairs = [("convs.0", "convs.0"), ("convs.0", "convs.1:in"), None]
    tasks = [task(teacher, pair) for pair in pairs]
    plain = Ensemble([model, model]) if kind.startswith("several") else model
    for _ in range(2):
        for shared, pair in zip(tasks, pairs, strict=True):
            torch.testing.assert_close(shared(data).loss, task(plain, pair)(data).loss)


def test_a_sweep_shares_a_cached_teacher_that_is_asked_once():
    calls = []
    data, model = graph(), gcn(2)
    cached = Cached(model, data, call=lambda model, batch: calls.append(1) or READ(model, batch))
    for path in ("convs.0", "convs.0", "convs.1:in", "convs.0"):
        fit(Distiller(gcn(1), cached, RKD(on="hidden", where="all"), taps={"hidden": path}), data, epochs=3)
    assert len(calls) == 2  # once more for a layer that nobody had asked for


def test_a_teacher_of_ones_own_needs_no_taps():
    class Own(Frozen):
        def __call__(self, batch):
            return super().__call__(batch)

    assert Distiller(gcn(1), Own(gcn(2)), KL(where="all"))(graph()).loss.isfinite()
    assert Ensemble([Own(gcn(2)), gcn(3)])(graph())["logits"].shape == (30, 3)


def test_teachers_can_be_copied_and_pickled(tmp_path):
    data, model = graph(), gcn(2)
    for kind in KINDS.values():
        teacher = kind(model, data, tmp_path)
        teacher(data)
        for other in (copy.deepcopy(teacher), pickle.loads(pickle.dumps(teacher))):
            torch.testing.assert_close(logits(other, data), logits(teacher, data))


# ------------------------------------------------------------- lazy models
def _lazy(seed=0):
    torch.manual_seed(seed)
    return GCN(-1, 8, 2, 3)


def test_a_lazy_teacher_is_stored(tmp_path):
    data = graph()
    first = Cached(_lazy(), data, path=tmp_path / "store")
    want = logits(first, data)
    assert is_right(first, first.model, data)
    assert torch.equal(logits(Cached(_lazy(), data, path=tmp_path / "store"), data), want)


def test_lazy_models_are_taken_or_said_to_be_lazy():
    data = graph()
    assert Ensemble([_lazy(), Cached(_lazy(1), data)])(data)["logits"].shape == (30, 3)
    for moving in (EMA, Snapshot):
        with pytest.raises(ValueError, match=r"'student' must know its widths .*: call the model once"):
            moving(_lazy())


@pytest.mark.parametrize("method", ["kd", "ban", "mean_teacher", "snapshot", "dml", "takd"])
def test_methods_take_lazy_models(method):
    needs = {row.name: row for row in graphkd.methods()}[method]
    options = {"assistants": [_lazy(3)]} if method == "takd" else {}
    teacher = _lazy(1) if needs.teacher else None
    found = graphkd.distil(method, _lazy(2), teacher, graph(), epochs=2, **options)
    assert found.model(graph().x, graph().edge_index).shape == (30, 3)


# ------------------------------------------------------------- teachers in the place of models
TEACHERS = {
    "frozen": lambda model, data: Frozen(model),
    "cached": Cached,
    "several": lambda model, data: Ensemble([model, Cached(model, data)]),
    "an average": lambda model, data: EMA(model),
}
METHODS = ["noisy_student", "parallel_data", "consistent_teaching", "function_matching", "kd", "ban", "takd"]


def test_a_teacher_is_no_model():
    with pytest.raises(TypeError, match=r"'model' must be an nn.Module, got a teacher, Cached: give it as it is"):
        Frozen(Cached(gcn(1)))
