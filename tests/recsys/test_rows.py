"""Rows, click nets, and the schemes that train them."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from graphkd import Distiller, fit
from graphkd.core.teachers import Cached
from recsys.clicks import ClickNet, FieldEmbedding, MultiTaskNet, RocketNet, Several
from recsys.losses import ClickHint, Clicks, CrossDistil, Rocket, SoftClicks
from recsys.probabilities import auc, predicted
from recsys.rows import Field, RowBatches, Rows, held_out, show

FIELDS = {"user": Field(20), "item": Field(15), "tags": Field(6, sequence=True)}


def toy(count=240, seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = partial(torch.randint, generator=generator)
    user, item, tags = draw(1, 20, (count,)), draw(1, 15, (count,)), draw(0, 6, (count, 3))
    y = ((user % 3 + item % 2 + torch.rand(count, generator=generator)) > 1.5).float()
    columns = {"user": user, "item": item, "tags": tags, "y": y}
    ids = torch.arange(count)
    return Rows(columns, FIELDS, ids[:160], ids[160:200], ids[200:])


def net(seed=0, width=3, hidden=(8,)):
    torch.manual_seed(seed)
    return ClickNet(FIELDS, width, hidden)


def train(task, rows, epochs=3, lr=0.02, **options):
    batches = RowBatches(rows, rows.train, batch_size=32)
    adam = partial(torch.optim.Adam, lr=lr)
    return fit(task, batches, epochs=epochs, optimizer=adam, progress=False, **options)


class TestRows:
    def test_an_epoch_has_every_row_once(self):
        rows = toy()
        batches = RowBatches(rows, rows.train, batch_size=50)
        torch.manual_seed(0)
        seen = list(batches)
        assert [len(batch["n_id"]) for batch in seen] == [50, 50, 50, 10]
        assert len(batches) == 4
        ids = torch.cat([batch["n_id"] for batch in seen])
        assert not torch.equal(ids, rows.train)
        assert torch.equal(ids.sort().values, rows.train)
        assert all(torch.equal(batch["user"], rows.columns["user"][batch["n_id"]]) for batch in seen)
        (whole,) = RowBatches(rows, rows.valid, shuffle=False)
        assert torch.equal(whole["n_id"], rows.valid)
        assert len(rows.take()["y"]) == len(rows) == 240

    def test_errors(self):
        with pytest.raises(ValueError, match=r"'columns' must have one length, got \{'a': 2, 'b': 3\}"):
            Rows({"a": torch.zeros(2), "b": torch.zeros(3)}, {}, *3 * [torch.arange(1)])
        with pytest.raises(ValueError, match=r"'fields' must be columns, \['c'\] are not among \['a'\]"):
            Rows({"a": torch.zeros(2)}, {"c": Field(3)}, *3 * [torch.arange(1)])
        with pytest.raises(ValueError, match="'batch_size' must be at least 1, got 0"):
            RowBatches(toy(), torch.arange(3), batch_size=0)


class TestNets:
    def test_embeddings_are_looked_up_and_sequences_averaged_without_padding(self):
        embedding = FieldEmbedding(FIELDS, 2, std=1.0)
        batch = {"user": torch.tensor([4]), "item": torch.tensor([0]), "tags": torch.tensor([[5, 0, 2]])}
        table = embedding.table.weight
        want = torch.cat([table[4], table[20], (table[35 + 5] + table[35 + 2]) / 2])
        torch.testing.assert_close(embedding(batch), want[None])
        nothing = embedding({**batch, "tags": torch.zeros(1, 3, dtype=torch.long)})
        assert not nothing[0, 4:].any()

    def test_what_a_net_shows(self):
        view = net()(toy().take(torch.arange(7)))
        assert view["logits"].shape == (7,)
        assert view["hidden"].shape == (7, 8)
        with pytest.raises(ValueError, match="'hidden' must name the width of one layer at least"):
            ClickNet(FIELDS, 2, [])
        with pytest.raises(ValueError, match="'models' must hold one model at least"):
            Several([])

    def test_rocket_shares_modules(self):
        light, booster = net(0), net(1, hidden=(16, 8))
        pair = RocketNet(light, booster)
        assert booster.embedding is light.embedding
        assert len({id(p) for p in pair.parameters()}) == len(list(pair.parameters())) == 1 + 2 + 2 + 4 + 2
        with pytest.raises(ValueError, match="the booster's 'embedding' must have the shapes of the light net's"):
            RocketNet(net(), net(width=4))


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
