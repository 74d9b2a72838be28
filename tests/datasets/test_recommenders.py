"""The datasets of recommenders are what their papers say, split without overlap."""

import importlib.util

import pytest
import torch

from datasets.recommenders import FILES, RECOMMENDERS, load_interactions, skewed


def assert_disjoint(split):
    parts = (split.train, split.valid, split.test)
    for one in parts:
        for other in parts:
            assert one is other or not one.contains(*other.pairs()).any()


@pytest.mark.parametrize(("name", "seen"), [("citeulike-derrd", 24_742), ("citeulike-td", 24_699)])
def test_citeulike(name, seen, needs):
    needs(f"recsys/citeulike_loo_{name.partition('-')[2]}.npz")
    split = load_interactions(name)
    assert (split.train.num_users, split.train.num_items) == (5220, 25182)
    assert (len(split.train), len(split.valid), len(split.test)) == (115_142, 5219, 5219)
    assert (int(split.train.degrees()[:-1].min()), int(split.train.degrees().max())) == (3, 1993)
    assert int((split.train.counts() > 0).sum()) == seen
    assert int(split.test.degrees().max()) == int(split.valid.degrees().max()) == 1
    assert_disjoint(split)


def test_gowalla(needs):
    needs("recsys/gowalla.npz")
    split = load_interactions("gowalla")
    assert (split.train.num_users, split.train.num_items) == (29_858, 40_981)
    assert (len(split.train), len(split.valid) + len(split.test)) == (810_128, 217_242)
    validate, test = (part.degrees() > 0 for part in (split.valid, split.test))
    assert not (validate & test).any()
    assert 0.18 < float(validate.sum() / (validate | test).sum()) < 0.22
    assert torch.equal(load_interactions("gowalla").valid.items, split.valid.items)
    assert not torch.equal(load_interactions("gowalla", seed=1).valid.items[:100], split.valid.items[:100])


@pytest.mark.skipif(importlib.util.find_spec("recbole") is None, reason="RecBole is not installed")
def test_ml_100k():
    split = load_interactions("ml-100k")
    assert sum(len(part) for part in (split.train, split.valid, split.test)) == 100_000
    assert split.train.padding
    assert_disjoint(split)


class TestSkewed:
    def test_facts(self):
        split = skewed(500, 300, 20.0, skew=1.0, seed=3)
        assert_disjoint(split)
        assert int(split.train.degrees().min()) >= 1
        pairs = sum(len(part) for part in (split.train, split.valid, split.test))
        assert 5000 < pairs <= 10_500
        assert len(split.valid) == len(split.test)
        assert 0.08 < len(split.test) / pairs < 0.13
        counts = split.train.counts().sort(descending=True).values
        assert counts[:30].sum() > 0.4 * counts.sum()
        assert counts.argmax() == 0
        assert split.train.counts().argmax() != 0  # ids say nothing about popularity

    def test_without_skew_and_loyalty(self):
        counts = skewed(3000, 30, 20.0, skew=0.0, loyalty=0.0, tastes=1).train.counts().double()
        assert float(counts.std() / counts.mean()) < 0.05

    def test_tastes(self):
        split = skewed(300, 300, 30.0, tastes=3, loyalty=1.0, skew=0.0)
        users, items = split.train.pairs()
        together = torch.zeros(300, 300)
        together[users, items] = 1
        common = together @ together.T
        assert (common == 0).float().mean() > 0.6  # users of different tastes share nothing

    def test_seeds(self):
        one, again, other = skewed(seed=1), skewed(seed=1), skewed(seed=2)
        assert torch.equal(one.train.items, again.train.items)
        assert len(one.train) != len(other.train) or not torch.equal(one.train.items, other.train.items)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_users": 0}, "num_users must be at least 1, got 0"),
            ({"num_items": 29}, "num_items must be at least three for each of 10 tastes, got 29"),
            ({"pairs_per_user": 3.0}, "pairs_per_user must be above 3, got 3.0"),
            ({"loyalty": 1.5}, "loyalty must be between 0 and 1, got 1.5"),
        ],
    )
    def test_bad_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            skewed(**options)


def test_unknown_names_are_named():
    with pytest.raises(ValueError, match=r"name must be one of \['ml-100k', 'citeulike-derrd', .* got 'netflix'"):
        load_interactions("netflix")
    assert set(RECOMMENDERS) == {"ml-100k", "citeulike-derrd", "citeulike-td", "gowalla", "skewed"}


class TestFiles:
    @pytest.fixture(autouse=True)
    def nothing(self, tmp_path, monkeypatch):
        monkeypatch.delenv("GRAPHKD_MIRROR", raising=False)
        monkeypatch.setenv("GRAPHKD_CACHE", str(tmp_path))

    def test_a_missing_file_says_where_it_comes_from(self):
        with pytest.raises(
            RuntimeError, match=r"recsys/gowalla.npz is published nowhere: set GRAPHKD_MIRROR to a folder"
        ):
            load_interactions("gowalla")

    def test_a_damaged_file_is_refused(self, tmp_path):
        (tmp_path / "recsys").mkdir()
        (tmp_path / "recsys" / "gowalla.npz").write_bytes(b"damaged")
        with pytest.raises(RuntimeError, match=f"wrong sha256: expected {FILES['gowalla.npz']}"):
            load_interactions("gowalla")
