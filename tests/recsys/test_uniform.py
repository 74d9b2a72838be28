"""KDCRec's models and schedules."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
import torch

from graphkd import Distiller, fit
from recsys.losses import CausalPull, Decay, LearnedConfidence, RatingError
from recsys.ratings import AutoRec, BiasedMF, Ratings, rated, rating_logits
from recsys.rows import show
from recsys.uniform import Alternating, BlockBatches, Concat, PairBatches, dense, initialise

USERS, ITEMS = 12, 9


def ratings(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randperm(USERS * ITEMS, generator=generator)[:count]
    users, items = pairs // ITEMS, pairs % ITEMS
    return Ratings(users, items, torch.where((users + items) % 2 == 0, 1.0, -1.0))


def mf(seed=0, **options):
    torch.manual_seed(seed)
    model = BiasedMF(USERS, ITEMS, 3, std=0.5, **options)
    for table in (model.user_bias, model.item_bias):
        torch.nn.init.normal_(table.weight)
    return model


def autoencoder(seed=0):
    torch.manual_seed(seed)
    return AutoRec(ITEMS, (4,))


class TestModels:
    @torch.no_grad()
    def test_factorisation(self):
        model = mf()
        batch = {"users": torch.tensor([3, 3, 5]), "items": torch.tensor([1, 2, 1])}
        view = model(batch)
        for n, (u, i) in enumerate(((3, 1), (3, 2), (5, 1))):
            inner = float(model.user.weight[u] @ model.item.weight[i])
            want = inner + float(model.user_bias.weight[u, 0]) + float(model.item_bias.weight[i, 0])
            assert float(view["output"][n]) == pytest.approx(want, abs=1e-6)
        rows = [model.user.weight[[3, 5]], model.item.weight[[1, 2]]]  # each once
        torch.testing.assert_close(view["decay"], sum(part.square().sum() for part in rows) / 2)
        assert set(view) == {"output", "decay"}
        more = model({**batch, "random_users": torch.tensor([0]), "random_items": torch.tensor([4])})
        torch.testing.assert_close(more["random"], model.score(torch.tensor([0]), torch.tensor([4])))

    def test_copies(self):
        model = mf(copies=True)
        view = model({"users": torch.tensor([0, 1]), "items": torch.tensor([2, ITEMS + 4])})
        torch.testing.assert_close(view["copy"], model.item.weight[[ITEMS + 2, ITEMS + 4]])
        torch.testing.assert_close(view["item"], model.item.weight[[2, ITEMS + 4]])

    @pytest.mark.parametrize("widths", [(4,), (6, 4)])
    def test_autoencoder(self, widths):
        model = AutoRec(ITEMS, widths)
        x = torch.randn(5, ITEMS)
        hidden = x
        for layer in model.encoder:
            hidden = (hidden @ layer.weight.T + layer.bias).relu()
        view = model({"ratings": x})
        torch.testing.assert_close(view["code"], hidden)
        for layer in model.decoder[:-1]:
            hidden = (hidden @ layer.weight.T + layer.bias).relu()
        last = model.decoder[-1]
        torch.testing.assert_close(view["output"], hidden @ last.weight.T + last.bias)
        weights = [layer.weight for layer in (*model.encoder, *model.decoder)]
        torch.testing.assert_close(view["decay"], sum(weight.square().sum() for weight in weights) / 2)

    def test_outputs_of_pairs_and_their_logits(self):
        pairs, model = ratings(30), autoencoder()
        rows = dense(pairs, USERS, ITEMS)
        got = rated(model, pairs, rows)
        torch.testing.assert_close(got, model({"ratings": rows})["output"][pairs.users, pairs.items].detach())
        torch.testing.assert_close(rated(mf(), pairs), mf().score(pairs.users, pairs.items).detach())
        p = rating_logits(torch.tensor([-3.0, 0.0, 0.5, 9.0])).sigmoid()
        torch.testing.assert_close(p, torch.tensor([0.01, 0.5, 0.75, 0.99]))


class TestPairBatches:
    def test_union(self):
        logged, uniform = ratings(30), ratings(10, seed=1)
        torch.manual_seed(0)
        batches = list(PairBatches(logged, uniform, batch_size=8))
        joined = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
        assert len(batches) == len(PairBatches(logged, uniform, batch_size=8)) == 5
        assert torch.equal(joined["entries"].sort().values, torch.arange(40))
        assert torch.equal(joined["logged"], joined["entries"] < 30)
        assert torch.equal(joined["users"], torch.cat([logged.users, uniform.users])[joined["entries"]])
        assert torch.equal(joined["ratings"], torch.cat([logged.values, uniform.values])[joined["entries"]])

    def test_copies_are_further_items(self):
        (batch,) = PairBatches(ratings(30), ratings(10, seed=1), how="copies", num_items=ITEMS)
        assert torch.equal(batch["items"] >= ITEMS, ~batch["logged"])

    def test_delay_puts_uniform_batches_in_between(self):
        logged, uniform = ratings(30), ratings(10, seed=1)
        batches = PairBatches(logged, uniform, how="delay", step=2, batch_size=8)
        epoch = list(batches)
        assert ["logged" in batch for batch in epoch] == [False, True, True, False, True, True]
        assert len(batches) == 6
        of = Counter(zip(uniform.users.tolist(), uniform.items.tolist(), strict=True))
        drawn = Counter(zip(epoch[0]["users"].tolist(), epoch[0]["items"].tolist(), strict=True))
        assert sum(drawn.values()) == 8
        assert drawn <= of

    def test_random_pairs(self):
        torch.manual_seed(0)
        batches = list(PairBatches(ratings(100), batch_size=50, random=(USERS, ITEMS)))
        users = torch.cat([batch["random_users"] for batch in batches])
        assert len(users) == 100
        assert set(users.tolist()) == set(range(USERS))
        assert set(torch.cat([batch["random_items"] for batch in batches]).tolist()) == set(range(ITEMS))

    def test_unknown_ways(self):
        with pytest.raises(ValueError, match=r"'how' must be one of .*, got 'both'"):
            PairBatches(ratings(3), how="both")


class TestBlockBatches:
    def test_union(self):
        logged, uniform = dense(ratings(60), USERS, ITEMS), dense(ratings(20, seed=1), USERS, ITEMS)
        batches = list(BlockBatches(logged, uniform, batch_size=5))
        users = torch.cat([batch["entries"] for batch in batches])
        assert torch.equal(users.sort().values, torch.arange(USERS))
        for batch in batches:
            few = uniform[batch["entries"]]
            assert torch.equal(batch["ratings"], torch.where(few != 0, few, logged[batch["entries"]]))
            assert torch.equal(batch["logged"], (batch["ratings"] != 0) & (few == 0))

    def test_delay_takes_whole_epochs(self):
        logged, uniform = dense(ratings(60), USERS, ITEMS), dense(ratings(20, seed=1), USERS, ITEMS)
        batches, counts = BlockBatches(logged, uniform, how="delay", step=3), []
        for epoch in range(4):
            batches.set_epoch(epoch, 4)
            counts.append(int(sum((batch["ratings"] != 0).sum() for batch in batches)))
        assert counts == [20, 60, 60, 20]

    def test_coins_are_fair_and_redrawn(self):
        batches = BlockBatches(torch.zeros(400, 50), sampled=True, batch_size=400)
        torch.manual_seed(0)
        one, other = (next(iter(batches))["sampled"] for _ in range(2))
        assert float(one.mean()) == pytest.approx(0.5, abs=0.02)
        assert not torch.equal(one, other)


class TestSchedules:
    @pytest.mark.parametrize("make", [mf, autoencoder])
    @pytest.mark.parametrize("sides", [["item"], ["user"], ["user", "item"]])
    def test_initialise(self, make, sides):
        student, source, before = make(0), make(1), make(0)
        initialise(student, source, sides)
        for side in ("user", "item"):
            wanted = source if side in sides else before
            for ours, theirs in zip(student.sides()[side], wanted.sides()[side], strict=True):
                assert all(torch.equal(*both) for both in zip(ours.parameters(), theirs.parameters(), strict=True))

    def test_alternating_trains_three_epochs_of_one_side_and_one_of_the_other(self):
        student = mf()
        task = Alternating(Distiller(student, None, RatingError() + 1e-3 * Decay(), call=show), "user")
        batches, changed = PairBatches(ratings(60), batch_size=20), []
        kept = {}

        def log(_):
            now = {
                side: [p.clone() for m in modules for p in m.parameters()] for side, modules in student.sides().items()
            }
            if kept:
                moved = [s for s in now if not all(torch.equal(*both) for both in zip(now[s], kept[s], strict=True))]
                changed.append(moved)
            kept.update(now)

        fit(task, batches, epochs=6, log=log, progress=False)
        assert changed == [["user"], ["user"], ["item"], ["user"], ["user"]]
        assert all(p.requires_grad for p in student.parameters())
        with pytest.raises(ValueError, match="'first' must be one of"):
            Alternating(task.task, "both")
        with pytest.raises(ValueError, match="'passes' must be at least 1, got 0"):
            Alternating(task.task, "user", 0)

    @pytest.mark.parametrize("make", [mf, autoencoder])
    def test_concat_adds_a_frozen_model(self, make):
        source = make(1)
        model = Concat(make(0), source)
        pairs = ratings(40)
        batch = {**pairs._asdict(), "ratings": pairs.values} if make is mf else {"ratings": dense(pairs, USERS, ITEMS)}
        both = model(batch)["output"]
        torch.testing.assert_close(both, model.student(batch)["output"] + source(batch)["output"])
        before = [p.clone() for p in source.parameters()]
        fit(Distiller(model, None, RatingError(), call=show), batch, epochs=2, progress=False)
        assert all(torch.equal(*each) for each in zip(before, source.parameters(), strict=True))
        assert not any(p.requires_grad for p in source.parameters())

    def test_concat_starts_with_the_biases_of_the_source(self):
        assert all(not bias.any() for bias in Concat(mf(0), mf(1)).student.biases())

    def test_a_factorisation_learns(self):
        model, train, test = mf(), ratings(80), ratings(100)
        task = Distiller(model, None, RatingError() + 1e-3 * Decay(), call=show)
        adam = partial(torch.optim.Adam, lr=0.05)
        fit(task, PairBatches(train, batch_size=16), epochs=30, optimizer=adam, progress=False)
        assert float(((rated(model, test) > 0) == (test.values > 0)).float().mean()) > 0.8

    def test_confidences_only_fall_and_copies_are_pulled_to(self):
        torch.manual_seed(0)
        batches = PairBatches(ratings(40), ratings(20, seed=1), how="copies", num_items=ITEMS, batch_size=16)
        loss = LearnedConfidence(60)
        task = Distiller(mf(copies=True), None, loss + 0.1 * CausalPull(), call=show)
        fit(task, batches, epochs=3, progress=False)
        assert bool((loss.table[:40] < 0.3).all())
        assert bool((loss.table[40:] == torch.tensor(0.3)).all())
