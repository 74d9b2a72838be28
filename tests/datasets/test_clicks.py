"""Clicks with features, their second task, and the simulated uniform sample."""

import importlib.util

import pytest
import torch

from datasets.clicks import generated, keep_probability, load_clicks, thinned, with_tasks
from recsys.data.rows import Rows


@pytest.fixture(scope="module")
def clicks():
    return generated(seed=0)


def keys(rows, ids):
    return rows.columns["user_id"][ids] * 10_000 + rows.columns["item_id"][ids]


def test_generated(clicks):
    rows = clicks.rows
    assert (len(rows.train), len(rows.valid), len(rows.test)) == (9600, 1200, 1200)
    assert torch.cat([rows.train, rows.valid, rows.test]).unique().numel() == len(rows)
    assert keys(rows, torch.arange(len(rows))).unique().numel() == len(rows)  # distinct pairs
    for name, field in rows.fields.items():
        assert 1 <= int(rows.columns[name].min()) <= int(rows.columns[name].max()) < field.size
    assert set(rows.columns["rating"].unique().tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    again, other = (load_clicks("generated", seed=seed).rows.columns for seed in (0, 1))
    assert all(torch.equal(again[name], column) for name, column in rows.columns.items())
    assert not torch.equal(other["rating"], rows.columns["rating"])
    with pytest.raises(ValueError, match="at most half of 100 pairs, got 51"):
        generated(10, 10, 51)


def test_the_two_tasks(clicks):
    columns, train = clicks.rows.columns, clicks.rows.train
    for n in (0, 5000, 11_999):
        user, rating = columns["user_id"][n], columns["rating"][n]
        own = columns["rating"][train][columns["user_id"][train] == user]
        assert columns["tasks"][n].tolist() == [float(rating >= 4), float(rating > own.double().mean())]
    assert torch.equal(columns["y"], columns["tasks"][:, 0])
    classes = (2 * columns["tasks"][:, 0] + columns["tasks"][:, 1]).long().bincount(minlength=4)
    assert int(classes.min()) > 50  # neither task implies the other


def test_a_user_without_training_rows_has_the_mean_of_all():
    columns = {"user_id": torch.tensor([1, 1, 2]), "rating": torch.tensor([1.0, 5.0, 4.0])}
    ids = torch.arange(3)
    assert with_tasks(Rows(columns, {}, ids[:2], ids[:0], ids[2:])).columns["tasks"][2].tolist() == [1.0, 1.0]


def test_ml_100k():
    if importlib.util.find_spec("recbole") is None:
        pytest.skip("RecBole is not installed: pip install --no-deps recbole==1.2.1")
    clicks = load_clicks("ml-100k")
    rows = clicks.rows
    assert (len(rows.train), len(rows.valid), len(rows.test)) == (80_000, 10_000, 10_000)
    assert set(rows.fields) == {
        *("user_id", "age", "gender", "occupation", "zip_code"),
        *("item_id", "release_year", "class"),
    }
    assert rows.fields["user_id"].size == 944
    assert rows.fields["item_id"].size == 1683
    assert rows.fields["class"].sequence
    assert int(rows.columns["y"].sum()) == 55_375
    assert clicks.context is not None


class TestThinning:
    def test_probabilities_are_inverse_propensities(self):
        users, items = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 1, 2, 0, 1, 0])
        p = keep_probability(users, items, 1.5)
        propensity = [3 * 3, 3 * 2, 3 * 1, 2 * 3, 2 * 2, 1 * 3]
        c = 1.5 / sum(1 / x for x in propensity)
        assert p.tolist() == pytest.approx([c / x for x in propensity])
        full = keep_probability(users, items, 5.0)
        assert float(full.sum()) == pytest.approx(5.0)
        assert float(full.max()) == 1

    def test_the_sample_is_more_even_and_apart(self, clicks):
        split = thinned(clicks.rows, seed=0)
        uniform = [torch.cat(parts) for parts in zip(split.train, split.valid, split.test, strict=True)]
        count = len(uniform[0])
        assert count == pytest.approx(1200, abs=100)
        assert len(split.logged.users) + count == len(clicks.rows)
        assert len(split.train.users) == int(0.2 * count)
        seen = [users * 10_000 + items for users, items, _ in (split.logged, split.train, split.valid, split.test)]
        assert torch.cat(seen).unique().numel() == len(clicks.rows)
        assert set(uniform[2].unique().tolist()) == {-1.0, 1.0}
        shares = [
            torch.bincount(items, minlength=split.num_items)[1:].double() for items in (split.logged.items, uniform[1])
        ]
        spread = [float(share.std() / share.mean()) for share in shares]
        assert spread[1] < 0.7 * spread[0]

    def test_seeds(self, clicks):
        one, again, other = (thinned(clicks.rows, seed=seed).test.users for seed in (0, 0, 1))
        assert torch.equal(one, again)
        assert len(one) != len(other) or not torch.equal(one, other)

    @pytest.mark.parametrize(("share", "parts"), [(0.0, (0.2, 0.2)), (0.1, (0.5, 0.5)), (0.1, (0.0, 0.5))])
    def test_shares_are_checked(self, clicks, share, parts):
        with pytest.raises(ValueError, match="share must be between 0 and 1, and parts above 0"):
            thinned(clicks.rows, share=share, parts=parts)

    def test_unknown_names(self):
        with pytest.raises(ValueError, match=r"name must be one of \['ml-100k', 'generated'\], got 'criteo'"):
            load_clicks("criteo")
