"""Rankings against a full sort, files against other models."""

from __future__ import annotations

import logging

import pytest
import torch

from recsys.models import MF, Tables
from recsys.models.rankings import top_items, top_users
from recsys.sources.unkd import popularity_groups, top_per_group
from tests.recsys.laws import Pairwise, as_sets, toy


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)


def sorted_items(scores, excluded):
    order = scores.argsort(descending=True).tolist()
    return [item for item in order if item not in excluded]


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("block", [1, 7, 512])
def test_top_items(model, padding, block):
    pairs = toy(padding=padding)
    top = top_items(model, pairs, 10, block_users=block)
    assert (top.dtype, top.shape) == (torch.int32, (30, 10))
    user, item = model.tables()
    scores = user @ item.T
    for row, taken in enumerate(as_sets(pairs)):
        assert top[row].tolist() == sorted_items(scores[row], taken | ({0} if padding else set()))[:10]


def test_top_items_of_all(model):
    user, item = model.tables()
    expected = (user @ item.T).argsort(dim=1, descending=True)[:, :6]
    assert torch.equal(top_items(model, None, 6).long(), expected)


@pytest.mark.parametrize("padding", [False, True])
def test_top_users(model, padding):
    pairs = toy(padding=padding)
    top = top_users(model, pairs, 8, block_items=9)
    assert (top.dtype, top.shape) == (torch.int32, (40, 8))
    user, item = model.tables()
    scores = item @ user.T
    for row, taken in enumerate(as_sets(pairs.transpose())):
        assert top[row].tolist() == sorted_items(scores[row], taken | ({0} if padding else set()))[:8]


def test_models_without_tables():
    torch.manual_seed(0)
    model, pairs = Pairwise(), toy(6, 9, 10)
    top = top_items(model, pairs, 3)
    model.eval()
    scores = model.score(torch.arange(6)[:, None], torch.arange(9)[None])
    for row, taken in enumerate(as_sets(pairs)):
        assert top[row].tolist() == sorted_items(scores[row], taken)[:3]
    assert top_users(model, pairs, 2).shape == (9, 2)


def test_too_long_lists_are_refused(model):
    pairs = toy()
    degrees = pairs.degrees()
    with pytest.raises(
        ValueError, match=r"'k' must be at most what is not excluded, got 39, but user \d+ has \d+ left, user"
    ):
        top_items(model, pairs, 39)
    assert int(degrees.max()) > 1
    with pytest.raises(ValueError, match="'k' must be from 1 to 40, got 41"):
        top_items(model, None, 41)
    with pytest.raises(ValueError, match="'model' must score 30 users × 41 items, got 30 × 40"):
        top_items(model, toy(num_items=41), 3)


class TestKeeping:
    def test_a_file_is_used_again(self, model, tmp_path, monkeypatch):
        path = tmp_path / "top.pt"
        first = top_items(model, toy(), 5, cache=path)
        monkeypatch.setattr("recsys.models.rankings._top", None)  # would fail if it were called
        assert torch.equal(top_items(model, toy(), 5, cache=path), first)

    def test_a_file_of_something_else_is_noticed(self, model, tmp_path, caplog):
        path = tmp_path / "top.pt"
        top_items(model, toy(), 5, cache=path)
        other = Tables(*(table.detach() + 1 for table in model.tables()))
        for arguments in ((other, toy(), 5), (model, toy(seed=1), 5), (model, toy(), 4), (model, None, 4)):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                kept = top_items(*arguments, cache=path)
            assert "it is made anew" in caplog.text
            assert torch.equal(kept, top_items(*arguments))
        top_users(model, None, 4, cache=path)

    def test_groups_are_kept(self, model, tmp_path):
        pairs = toy(pairs=500)
        group = popularity_groups(pairs.items.long(), 40, 4)
        first = top_per_group(model, pairs, group, 6, cache=tmp_path / "groups.pt")
        again = top_per_group(model, pairs, group, 6, cache=tmp_path / "groups.pt")
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
