"""How long a list is: as asked for, as usual, or as a small data set allows."""

from __future__ import annotations

import logging

import pytest
import torch

from recsys.data import lists
from recsys.data.lists import among, list_length


def test_what_is_asked_for_or_usual(caplog):
    with caplog.at_level(logging.WARNING):
        assert list_length("k", 3, 40, 10, "all") == 3
        assert list_length("k", None, 40, 40, "all") == 40
    assert not caplog.text


def test_a_usual_length_shrinks_and_says_so(caplog):
    with caplog.at_level(logging.WARNING):
        assert list_length("k", None, 40, 7, "all there are") == 7
    assert "'k' is 7 here, all there are, not 40" in caplog.text


@pytest.mark.parametrize(("asked", "most"), [(8, 7), (0, 7), (None, 0)])
def test_what_cannot_be_is_refused(asked, most):
    with pytest.raises(
        ValueError, match=f"'k' must be from 1 to {most}, all there are, got {40 if asked is None else asked}"
    ):
        list_length("k", asked, 40, most, "all there are")


@pytest.mark.parametrize("budget", [1, 70, 2**22])  # a row at a time, some, all
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_what_is_among_lists(budget, dtype, monkeypatch):
    monkeypatch.setattr(lists, "_MARKS", budget)
    torch.manual_seed(0)
    items, one, other = (torch.randint(30, (11, width), dtype=dtype) for width in (6, 9, 4))
    for got, listed in zip(among(items, one, other), (one, other), strict=True):
        assert torch.equal(got, (items[:, :, None] == listed[:, None]).any(dim=2))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_is_among_nothing(shape):
    (found,) = among(torch.zeros(shape, dtype=torch.long), torch.zeros(shape[0], 2, dtype=torch.long))
    assert found.shape == shape
