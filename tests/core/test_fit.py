from __future__ import annotations

import random
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from graphkd import Cached, Distiller, fit, load
from graphkd.core import checkpoint
from graphkd.core.rng import rng_state, seeded, set_rng_state
from graphkd.losses import CE, KL
from graphkd.tasks import accuracy
from tests.core.models import Match, gcn, graph

HARD = CE(where="train_mask")


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_denormal_numbers_are_zero_in_training_and_themselves_outside():
    tiny, seen = torch.tensor(1e-39), []

    def look(_):
        seen.append(float(tiny * 1))

    assert float(tiny * 1) > 0
    fit(Distiller(gcn(1), losses=HARD), graph(), epochs=2, log=look)
    assert seen == [0.0, 0.0]
    assert float(tiny * 1) > 0


def test_fit_is_the_plain_loop():
    data = graph()
    got = fit(Distiller(gcn(1), losses=HARD), data, epochs=5)
    want = gcn(1)
    optimizer = torch.optim.Adam(want.parameters(), lr=1e-2)
    for _ in range(5):
        loss = torch.nn.functional.cross_entropy(
            want(data.x, data.edge_index)[data.train_mask], data.y[data.train_mask]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(weights(got), weights(want), rtol=1e-5, atol=1e-6)
    assert not got.training


def test_losses_with_parameters_train_with_the_student_and_taps_are_removed():
    loss, student = Match(), gcn(1)
    fit(Distiller(student, gcn(2), loss, taps={"hidden": "convs.0"}), graph(), epochs=2)
    assert loss.scale != 1
    assert not student.convs[0]._forward_hooks


def test_the_same_seed_gives_the_same_bits_and_the_generators_are_left_alone():
    data = graph()
    torch.manual_seed(11)
    random.seed(11)
    np.random.seed(11)  # noqa: NPY002
    before = rng_state()
    one, two, other = (
        fit(Distiller(gcn(1, dropout=0.5), losses=HARD), data, epochs=4, seed=seed) for seed in (5, 5, 6)
    )
    assert same(weights(one), weights(two))
    assert not same(weights(one), weights(other))
    set_rng_state(before)  # gcn() seeds torch itself: compare with what fit alone leaves
    fit(Distiller(one, losses=HARD), data, epochs=1)
    assert torch.equal(torch.get_rng_state(), before["torch"])
    assert random.getstate()[1] == tuple(before["random"][1])
    assert np.random.get_state()[2] == before["numpy"][1]  # noqa: NPY002


def test_seeded_states_survive_a_checkpoint(tmp_path):
    from graphkd import save

    with seeded(3):
        save(rng_state(), tmp_path / "rng.pt")
        want = (torch.rand(2), np.random.rand(2), random.random())  # noqa: NPY002
        set_rng_state(load(tmp_path / "rng.pt"))
        got = (torch.rand(2), np.random.rand(2), random.random())  # noqa: NPY002
    assert torch.equal(want[0], got[0])
    assert (want[1] == got[1]).all()
    assert want[2] == got[2]


def test_the_best_epoch_is_restored_and_patience_stops():
    data, values, reports = graph(), iter([0.1, 0.5, 0.4, 0.5, 0.2, 0.3, 0.1, 0.9]), []
    student = gcn(1)
    states = []

    def metric(model):
        assert not model.training
        states.append(weights(model))
        return next(values)

    fit(Distiller(student, losses=HARD), data, epochs=8, metric=metric, patience=3, log=reports.append)
    assert len(states) == 7  # 0.9 is never reached
    assert same(weights(student), states[3])  # of equals the latest
    assert [report["epoch"] for report in reports] == list(range(1, 8))
    assert list(reports[0]) == ["epoch", "loss", "ce", "metric"]


def test_of_several_metrics_the_first_chooses_and_any_keeps_the_run_alive():
    first, second = iter([3, 1, 1, 1, 1, 9]), iter([1, 2, 3, 3.5, 0, 0])
    reports, kept = [], []

    def metric(model):
        kept.append(weights(model))
        return {"first": next(first), "second": next(second)}

    model = fit(Distiller(gcn(1), losses=HARD), graph(), epochs=9, metric=metric, patience=1, log=reports.append)
    assert [report["second"] for report in reports] == [1, 2, 3, 3.5, 0]
    assert same(weights(model), kept[0])


def test_the_metric_may_be_measured_every_few_epochs_and_at_the_end():
    epochs = []
    fit(
        Distiller(gcn(1), losses=HARD),
        graph(),
        epochs=7,
        metric=lambda _: 0.0,
        metric_every=3,
        log=lambda report: epochs.append(report["epoch"]) if "metric" in report else None,
    )
    assert epochs == [3, 6, 7]


def test_mini_batches_from_a_loader_and_from_a_list():
    data = graph()
    rows = [{"x": data.x[i], "y": data.y[i]} for i in range(30)]
    task = partial(Distiller, losses=CE(), call=lambda model, batch: model(batch["x"]))
    loader = DataLoader(rows, batch_size=10, shuffle=True)
    model = torch.nn.Linear(6, 3)
    start = weights(model)
    reports = []
    fit(task(model), loader, epochs=20, log=reports.append)
    assert not same(start, weights(model))
    assert reports[-1]["loss"] < reports[0]["loss"]
    fit(task(model), [{"x": data.x, "y": data.y}], epochs=1)


def test_a_neighbour_batch_takes_the_teachers_rows():
    data, teacher = graph(), gcn(2)
    parts = [
        {"x": data.x[i], "edge_index": torch.zeros(2, 0, dtype=torch.long), "n_id": i}
        for i in torch.arange(30).split(10)
    ]
    fit(Distiller(gcn(1), Cached(teacher, data), KL()), parts, epochs=2)


def test_resume_ends_with_the_same_bits(tmp_path):
    data = graph()
    metric = partial(accuracy, data=data, mask="val_mask")
    run = partial(fit, data=data, metric=metric, save_every=3, checkpoint=tmp_path / "run")

    def task():
        return Distiller(gcn(1, dropout=0.5), gcn(2), {"ce": HARD, "m": Match()}, taps={"hidden": "convs.0"})

    whole = fit(task(), data, epochs=10, metric=metric)
    run(task(), epochs=5)
    resumed = run(task(), epochs=10, resume=True)
    assert same(weights(whole), weights(resumed))
    assert same(weights(whole), load(tmp_path / "run" / "best.pt"))
    again = run(task(), epochs=10, resume=True)
    assert same(weights(whole), weights(again))


SCRIPT = """
import os, signal, sys
from functools import partial
from graphkd import Distiller, fit, save
from graphkd.losses import CE
from tests.core.models import gcn, graph
kill, folder = int(sys.argv[1]), sys.argv[2]
def log(report):
    if report["epoch"] == kill:
        os.kill(os.getpid(), signal.SIGKILL)
student = fit(Distiller(gcn(1, dropout=0.5), losses=CE(where="train_mask")), graph(), epochs=12, seed=7,
              checkpoint=folder, save_every=2, resume=True, log=log)
save(student.state_dict(), folder + "/end.pt")
"""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path):
    root = Path(__file__).parents[2]

    def run(kill, folder):
        return subprocess.run([sys.executable, "-c", SCRIPT, str(kill), str(folder)], cwd=root, check=False).returncode

    assert run(7, tmp_path / "killed") == -signal.SIGKILL
    assert load(tmp_path / "killed" / "last.pt")["progress"]["epoch"] == 6
    assert run(0, tmp_path / "killed") == 0
    assert run(0, tmp_path / "whole") == 0
    assert same(load(tmp_path / "killed" / "end.pt"), load(tmp_path / "whole" / "end.pt"))


def test_wrong_arguments_are_named(tmp_path):
    data, task = graph(), partial(Distiller, losses=HARD)
    cases = [
        ({"epochs": -1}, "'epochs' must be at least 0, got -1"),
        ({"epochs": 1, "patience": 2}, "'patience' counts epochs without a better 'metric'"),
        ({"epochs": 1, "save_every": 0}, "'save_every' must be at least 1, got 0"),
        ({"epochs": 1, "resume": True}, "'resume' needs the folder of the run"),
        ({"epochs": 1, "metric": lambda _: float("nan")}, "'metric' must return numbers, got nan at epoch 1"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            fit(task(gcn(1)), data, **options)
    with pytest.raises(ValueError, match=r"'trainable' must have parameters to train, Distiller has none"):
        fit(Distiller(torch.nn.Identity(), losses=HARD, call=lambda m, batch: batch.x), data, epochs=1)
    with pytest.raises(ValueError, match=r"'data' must give at least one batch an epoch, got none"):
        fit(task(gcn(1)), iter([data]), epochs=2)
    fit(task(gcn(1)), data, epochs=1, seed=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"'seed' must be 1, that of the run in .*, got 2"):
        fit(task(gcn(1)), data, epochs=2, seed=2, checkpoint=tmp_path, resume=True)


def test_a_loss_that_is_no_longer_finite_stops_the_run():
    data = graph()
    data.x[0, 0] = float("inf")
    with pytest.raises(ValueError, match=r"the loss must stay finite, got at epoch 1"):
        fit(Distiller(gcn(1), losses=HARD), data, epochs=3)


def test_set_epoch_is_announced_to_task_and_data():
    class Batches(list):
        seen: list = []  # noqa: RUF012

        def set_epoch(self, epoch, epochs):
            self.seen.append((epoch, epochs))

    batches = Batches([graph()])
    fit(Distiller(gcn(1), losses=HARD), batches, epochs=2)
    assert batches.seen == [(0, 2), (1, 2)]


def test_data_with_a_state_is_resumed_with_the_run(tmp_path):
    class Batches(list):
        drawn = 0

        def __iter__(self):
            self.drawn += 1
            return super().__iter__()

        def state_dict(self):
            return {"drawn": self.drawn}

        def load_state_dict(self, state):
            self.drawn = state["drawn"]

    fit(Distiller(gcn(1), losses=HARD), Batches([graph()]), epochs=3, checkpoint=tmp_path)
    batches = Batches([graph()])
    fit(Distiller(gcn(1), losses=HARD), batches, epochs=5, checkpoint=tmp_path, resume=True)
    assert batches.drawn == 5


def test_a_bar_is_shown_when_asked_for(capsys):
    fit(Distiller(gcn(1), losses=HARD), graph(), epochs=2, progress=True)
    assert "2/2" in capsys.readouterr().err


def test_a_scheduler_steps_every_epoch_and_resumes(tmp_path):
    def rates(epochs: int, **options) -> nn.Module:
        schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.1)
        adam = partial(torch.optim.Adam, lr=0.01)
        task = Distiller(gcn(1), losses=CE(where="train_mask"))
        return fit(task, graph(), epochs=epochs, optimizer=adam, scheduler=schedule, **options)

    whole = rates(6)
    rates(3, checkpoint=tmp_path)
    assert checkpoint.load(tmp_path / "last.pt")["scheduler"]["last_epoch"] == 3
    again = rates(6, checkpoint=tmp_path, resume=True)
    pairs = zip(whole.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    plain = fit(Distiller(gcn(1), losses=CE(where="train_mask")), graph(), epochs=6)
    assert not torch.equal(plain.convs[0].bias, whole.convs[0].bias)


def test_gradients_are_clipped():
    def moved(**options) -> float:
        model = gcn(1)
        before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        sgd = partial(torch.optim.SGD, lr=1.0)
        fit(Distiller(model, losses=100 * CE(where="train_mask")), graph(), epochs=1, optimizer=sgd, **options)
        after = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
        return float((after - before).norm())

    assert moved(clip=0.1) == pytest.approx(0.1, rel=1e-4)
    assert moved() > 1
