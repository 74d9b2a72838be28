"""Splits and labels, read into one form."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from graphkd.core.masks import check_rows, read_labels, read_mask, read_split


@given(st.integers(3, 40), st.data())
def test_a_mask_and_its_ids_are_the_same_split(rows, draw):
    mask = torch.tensor(draw.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    ids = mask.nonzero()[:, 0]
    if ids.numel() == rows:  # as many ids as rows could be a mask only where all are 0 or 1
        assert torch.equal(read_mask(ids, rows, "m"), mask)
    for form in (mask, ids, ids.int(), ids.short(), ids.flip(0)):
        assert torch.equal(read_mask(form, rows, "m"), mask)
    assert torch.equal(read_split(mask, rows, "m"), ids)
    assert torch.equal(read_mask(torch.stack([~mask, mask], 1), rows, "m", split=1), mask)


def test_ids_that_repeat_are_kept_as_rows():
    chosen = torch.tensor([3, 3, 1])
    assert check_rows(chosen, 5, "m") is chosen
    assert read_mask(chosen, 5, "m").tolist() == [False, True, False, True, False]


def test_a_mask_is_given_back_as_it_is():
    mask = torch.ones(4, dtype=torch.bool)
    assert read_mask(mask, 4, "m") is mask


def test_ids_are_looked_at_anew_when_they_were_written_to():
    chosen = torch.tensor([0, 2])
    check_rows(chosen, 3, "m")
    chosen[0] = 7
    with pytest.raises(ValueError, match="'m' must hold node ids from 0 to 2, got 2 to 7"):
        check_rows(chosen, 3, "m")


def test_no_ids_select_nothing():
    assert not read_mask(torch.zeros(0, dtype=torch.long), 4, "m").any()
    assert read_labels(torch.zeros(0)).shape == (0,)


def test_a_split_that_there_is_not():
    with pytest.raises(ValueError, match="'split' must be from 0 to 1, the splits of 'm', got 2"):
        read_mask(torch.ones(4, 2, dtype=torch.bool), 4, "m", split=2)
    with pytest.raises(ValueError, match="'split' must be from 0 to 1, the splits of 'm', got -1"):
        read_mask(torch.ones(4, 2, dtype=torch.bool), 4, "m", split=-1)


@given(st.lists(st.integers(-1, 9), min_size=1, max_size=20))
def test_labels_of_every_form_are_the_same(values):
    want = torch.tensor(values)
    for form in (want, want[:, None], want.double(), want.float()[:, None], want.int()):
        assert torch.equal(read_labels(form), want)
    holes = torch.where(want < 0, float("nan"), want.double())
    assert torch.equal(read_labels(holes), want)
