"""Teachers that follow a student: what they hold, when they are renewed, and that runs resume with them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.nn import MLP

from graphkd import Distiller, distil, fit
from graphkd.core.moving import EMA, Snapshot
from graphkd.losses import CE, KL, Consistency
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph

HARD = CE(where="train_mask")
KINDS = {"ema": lambda student: EMA(student, 0.9), "snapshot": lambda student: Snapshot(student, 2)}


def moved(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))


def logits(model, data):
    return model.eval()(data.x, data.edge_index)


@pytest.mark.parametrize("decay", [0.7, 1.0])
def test_the_average_is_that_of_the_formula(decay):
    data, student = graph(), gcn(1)
    ema = EMA(student, decay)
    student.train()
    want = {name: value.clone() for name, value in student.state_dict().items()}
    for step in range(5):
        if step:
            moved(student, step)
        share = min(1 - 1 / (step + 1), decay)
        want = {name: share * want[name] + (1 - share) * value for name, value in student.state_dict().items()}
        view = ema(data)
        torch.testing.assert_close(dict(ema.model.state_dict()), want)
    twin = gcn(2)
    twin.load_state_dict(want)
    torch.testing.assert_close(view["logits"], logits(twin, data).detach())


def test_it_is_renewed_while_the_student_trains_only():
    data, student = graph(), gcn(1).eval()
    ema = EMA(student, 0.0)
    before = ema(data)["logits"]
    moved(student, 1)
    assert torch.equal(ema(data)["logits"], before)
    student.train()
    torch.testing.assert_close(ema(data)["logits"], logits(student, data).detach())


def test_batch_statistics_are_the_students():
    student = MLP([FEATURES, 4, CLASSES], norm="batch_norm").train()
    ema = EMA(student, 0.9)
    student(torch.randn(NODES, FEATURES) * 3 + 1)
    moved(student, 1)
    ema.update()
    ema.update()
    torch.testing.assert_close(ema.model.norms[0].module.running_mean, student.norms[0].module.running_mean)
    assert int(ema.model.norms[0].module.num_batches_tracked) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_of_the_state_and_of_nobodys_parameters(kind):
    student = gcn(1)
    teacher = KINDS[kind](student)
    task = Distiller(student, teacher, HARD + KL())
    assert not list(teacher.model.parameters())
    assert {id(p) for p in task.parameters()} == {id(p) for p in student.parameters()}
    assert {name for name in task.state_dict() if name.startswith("moving.model.")} == {
        f"moving.model.{name}" for name in student.state_dict()
    }
    task.double()
    assert {value.dtype for value in teacher.model.state_dict().values()} == {torch.float64}
    assert set(student.state_dict()) == set(gcn(1).state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_resumes_to_the_same_bits(tmp_path, kind):
    data = graph()

    def run(**options):
        student = gcn(1, dropout=0.5)
        task = Distiller(student, KINDS[kind](student), HARD + KL())
        return fit(task, data, **options).state_dict(), task.state_dict()

    whole = run(epochs=7)
    run(epochs=3, checkpoint=tmp_path)
    resumed = run(epochs=7, checkpoint=tmp_path, resume=True)
    for one, other in zip(whole, resumed, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items() if isinstance(value, torch.Tensor))
    assert whole[1]["moving._extra_state"] == resumed[1]["moving._extra_state"] > 0


def test_a_snapshot_is_the_student_of_the_last_cycle():
    data, student = graph(), gcn(1).train()
    snapshot = Snapshot(student, every=2)
    seen, states = [], []
    for epoch in range(6):
        snapshot.set_epoch(epoch, 6)
        states.append(copy.deepcopy(student))
        seen.append(snapshot(data)["logits"])
        student.train()
        moved(student, epoch)
    for epoch, shown in enumerate([0, 1, 2, 2, 4, 4]):
        torch.testing.assert_close(seen[epoch], logits(states[shown], data).detach())


def test_the_first_cycle_teaches_nothing():
    data, student = graph(), gcn(1)
    task = Distiller(student, Snapshot(student, every=3), {"soft": KL()})
    seen = []
    fit(task, data, epochs=6, log=lambda report: seen.append(report["soft"]))
    assert seen[:3] == pytest.approx([0.0] * 3, abs=1e-6)


def test_mean_teacher_trains():
    data, student = graph(), gcn(1, dropout=0.5)
    ema = EMA(student, 0.9)
    losses = {"label": HARD, "consistency": 10 * Consistency(ramp=0.15)}
    seen = []
    fit(Distiller(student, ema, losses), data, epochs=20, log=seen.append)
    assert seen[-1]["label"] < seen[0]["label"]
    assert seen[0]["consistency"] < seen[3]["consistency"]
    assert ema.kept().get_extra_state() == 20


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(ValueError, match=r"'decay' must be in \[0, 1\], got 1.1"):
        EMA(gcn(), 1.1)
    with pytest.raises(ValueError, match="'every' must be at least 1 and whole, got 0"):
        Snapshot(gcn(), 0)
    with pytest.raises(ValueError, match="'decay' must be a finite number, got nan"):
        EMA(gcn(), float("nan"))
    with pytest.raises(TypeError, match="'decay' must be a number, got Parameter"):
        EMA(gcn(), nn.Parameter(torch.tensor(0.9)))
    with pytest.raises(ValueError, match=r"'every' must be at least 1 and whole, got 2.5"):
        Snapshot(gcn(), 2.5)
    with pytest.raises(TypeError, match=r"'student' must be an nn.Module, got str"):
        EMA("student")
    with pytest.raises(ValueError, match="'student' must know its widths before it is followed"):
        EMA(nn.LazyLinear(3))


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_is_now_is_a_model_of_parameters(kind):
    data, student = graph(), gcn(1).train()
    follower = KINDS[kind](student)
    follower(data)
    moved(student, 1)
    still = follower.still()
    assert len(list(still.model.parameters())) == len(list(student.parameters()))
    assert torch.equal(still(data)["logits"], logits(follower.model, data))
    moved(student, 2)
    assert torch.equal(still(data)["logits"], logits(follower.model, data))


def test_a_run_refuses_a_teacher_that_follows_the_student_it_copies():
    student = gcn(1)
    for follower in (EMA(student), Snapshot(student)):
        with pytest.raises(ValueError, match=r"'teacher' must not follow the 'student' .* 'mean_teacher' or"):
            distil("kd", student, follower, graph(), epochs=1)
    assert distil("kd", student, EMA(gcn(2)), graph(), epochs=1).scores
