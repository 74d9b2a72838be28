"""The methods that train click nets, on toy rows."""

from __future__ import annotations

import pytest
import torch

from graphkd import Distiller
from graphkd.core.cached import Cached
from recsys.data.rows import RowBatches, Rows
from recsys.evaluate.clicks import auc, held_out, predicted
from recsys.losses import ClickHint, Clicks, CrossDistil, Rocket, SoftClicks
from recsys.models.clicks import MultiTaskNet, RocketNet, Several, show
from tests.recsys.click_rows import FIELDS, net, toy, train


class TestTraining:
    def test_rocket_trains_both_and_the_light_net_serves(self):
        rows = toy()
        light = net()
        pair = RocketNet(light, net(1, hidden=(16, 8)))
        train(Distiller(pair, None, Rocket(0.1), call=show), rows, epochs=12)
        batches = RowBatches(rows, rows.test, shuffle=False)
        y = rows.columns["y"][rows.test]
        assert auc(predicted(light, batches), y) > 0.7
        assert auc(predicted(pair, batches, "booster"), y) > 0.7
        assert set(light.state_dict()) == set(net().state_dict())

    def test_several_stored_teachers_with_a_hint(self):
        rows = toy()
        teachers = [net(seed, 6, (12,)) for seed in (1, 2)]
        for teacher in teachers:
            train(Distiller(teacher, None, Clicks(), call=show), rows, epochs=8)
        student = net()
        losses = {"clicks": Clicks(), "soft": SoftClicks(teachers=2), "hint": 0.01 * ClickHint(8, 12)}
        taps = {"hidden": ("layers", "models.0.layers")}
        task = Distiller(student, Cached(Several(teachers), rows.take(), call=show), losses, taps=taps, call=show)
        valid = RowBatches(rows, rows.valid, batch_size=16, shuffle=False)
        metric = held_out(task, valid, "soft")
        task.eval()
        with torch.no_grad():
            terms = [task(batch).terms["soft"] * len(batch["y"]) for batch in valid]
        before = metric(student)
        assert before == pytest.approx(-float(sum(terms)) / 40, rel=1e-6)
        weights = [p.clone() for p in teachers[0].parameters()]
        reports = []
        train(task, rows, epochs=10, metric=metric, patience=5, log=reports.append)
        assert max(report["metric"] for report in reports) > before
        assert all(torch.equal(*both) for both in zip(weights, teachers[0].parameters(), strict=True))

    def test_two_tasks(self):
        rows = toy()
        y = rows.columns["y"]
        tasks = torch.stack([y, (rows.columns["user"] % 2).float()], dim=1)
        rows = Rows({**rows.columns, "y": tasks}, FIELDS, rows.train, rows.valid, rows.test)
        served = net()
        task = Distiller(MultiTaskNet(served), None, CrossDistil(start_epoch=1), call=show)
        train(task, rows, epochs=12)
        batches = RowBatches(rows, rows.train, shuffle=False)
        assert auc(predicted(served, batches), y[rows.train]) > 0.8
        ranking = predicted(task.student, batches, "ranking")
        assert auc(ranking[:, 0], y[rows.train]) > 0.8
        assert auc(ranking[:, 1], tasks[rows.train, 1]) > 0.8

    def test_a_resumed_run_ends_with_the_same_bits(self, tmp_path):
        rows = toy()

        def run(epochs, folder, resume=False):
            pair = RocketNet(net(), net(1, hidden=(16, 8)))
            train(Distiller(pair, None, Rocket(), call=show), rows, epochs, checkpoint=tmp_path / folder, resume=resume)
            return pair

        whole = run(4, "whole")
        run(2, "parts")
        resumed = run(4, "parts", resume=True)
        for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(one, other)
