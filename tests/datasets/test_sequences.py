"""Datasets of sequences: their sizes, and the checks of targets and items that came with the files."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from datasets.mirror import available
from datasets.sequences import FILES, load_sequences
from recsys.data import SequenceSplit

CHECKS = {  # of test targets, validation targets and all items, in the order of users, ids from 0
    "toys": (19412, 11924, 167597, "ad503eb0598a", "19b05d174a42", "a5f963b0ab5d"),
    "yelp": (30431, 20033, 316354, "5ca8d2713d11", "f09e41b0b620", "20014f4fd4e7"),
}


def check(ids):
    return hashlib.sha256((ids.numpy() - 1).astype(np.dtype("<i8")).tobytes()).hexdigest()[:12]


@pytest.mark.parametrize("name", CHECKS)
def test_files_of_the_mirror_have_the_targets_that_came_with_them(name):
    if not available(FILES[name][0]):
        pytest.skip("the mirror is not at hand")
    users, items, events, test, valid, every = CHECKS[name]
    data = load_sequences(name)
    assert (data.num_users - 1, data.num_items - 1, len(data)) == (users, items, events)
    split = SequenceSplit.leave_one_out(data, 20)
    assert (len(split.test), len(split.valid)) == (users, users)
    assert check(split.test.targets) == test
    assert check(split.valid.targets) == valid
    assert check(data.items) == every


def test_ml_100k_is_that_of_recboles_wheel():
    pytest.importorskip("recbole")
    data = load_sequences("ml-100k")
    assert (data.num_users - 1, data.num_items - 1, len(data)) == (943, 1682, 100_000)
    split = SequenceSplit.leave_one_out(data, 50)
    assert (len(split.train), len(split.valid), len(split.test)) == (97_171, 943, 943)


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="name must be one of"):
        load_sequences("beauty")
