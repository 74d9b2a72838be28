"""KDCRec's models."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from graphkd import Distiller, fit
from recsys.data.ratings import PairBatches, dense
from recsys.losses import CausalPull, Decay, LearnedConfidence, RatingError
from recsys.models.clicks import show
from recsys.models.ratings import AutoRec, Concat, initialise, rated, rating_logits
from tests.recsys.toy_ratings import ITEMS, USERS, autoencoder, mf, ratings


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


class TestBesideAnother:
    @pytest.mark.parametrize("make", [mf, autoencoder])
    @pytest.mark.parametrize("sides", [["item"], ["user"], ["user", "item"]])
    def test_initialise(self, make, sides):
        student, source, before = make(0), make(1), make(0)
        initialise(student, source, sides)
        for side in ("user", "item"):
            wanted = source if side in sides else before
            for ours, theirs in zip(student.sides()[side], wanted.sides()[side], strict=True):
                assert all(torch.equal(*both) for both in zip(ours.parameters(), theirs.parameters(), strict=True))

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


class TestTraining:
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
