from __future__ import annotations

import pytest
import torch

from graphkd.core.where import Rows, read_where

MASK = torch.tensor([True, False, True, False])


@pytest.mark.parametrize("where", ["train_mask", "~train_mask", "seed", "all", ("seed", "train_mask")], ids=str)
def test_names_are_kept(where):
    assert read_where(where) == where


def test_one_name_is_no_tuple_and_a_list_is_one():
    assert read_where(("train_mask",)) == "train_mask"
    assert read_where(["seed", "m"]) == ("seed", "m")


def test_all_rows_are_the_very_tensor():
    x = torch.randn(4, 2)
    for where in (None, "all", ("all",)):
        rows = Rows(where if where is None else read_where(where), {"x": x})
        assert rows.all
        assert rows.of(x) is x
        assert rows.reads() == []


def test_rows_are_found_once_for_each_number_of_them():
    rows = Rows("m", {"m": MASK})
    x, y = torch.randn(4, 2), torch.arange(4)
    assert torch.equal(rows.of(x), x[MASK])
    assert rows._found.keys() == {4}
    assert torch.equal(rows.of(y), y[MASK])
    assert rows.reads() == [MASK]


def test_what_decides_on_seeds_is_their_number():
    for where in (None, "seed"):
        rows = Rows(where, {"batch_size": 3})
        assert not rows.all
        assert torch.equal(rows.of(torch.arange(5)), torch.arange(3))
        assert [entry.tolist() for entry in rows.reads()] == [3]
    assert [entry.tolist() for entry in Rows(("seed", "m"), {"batch_size": 3, "m": MASK}).reads()] == [MASK.tolist(), 3]


def test_a_mask_on_its_own_does_not_ask_for_seeds():
    rows = Rows("m", {"batch_size": 1, "m": MASK})
    assert torch.equal(rows.of(torch.arange(4)), torch.tensor([0, 2]))
