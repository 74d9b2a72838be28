"""The per-class split: a partition, drawn in the order that CPF fixed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.splits import per_class_split


def by_definition(labels, train, val, seed):
    """CPF's rule, word for word: first all training nodes class by class, then all validation nodes."""
    random = np.random.RandomState(seed)
    classes = sorted(set(labels.tolist()))
    train_ids, val_ids = [], []
    for label in classes:
        ids = [node for node in range(len(labels)) if labels[node] == label]
        train_ids.extend(random.choice(ids, train, replace=False))
    for label in classes:
        ids = [node for node in range(len(labels)) if labels[node] == label and node not in train_ids]
        val_ids.extend(random.choice(ids, val, replace=False))
    test_ids = [node for node in range(len(labels)) if node not in train_ids + val_ids]
    return train_ids, val_ids, test_ids


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(st.integers(5, 12), min_size=1, max_size=4),
    train=st.integers(0, 3),
    val=st.integers(0, 2),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_the_definition_and_partitions_the_nodes(sizes, train, val, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    split = per_class_split(labels, train, val, seed)
    for part, expected in zip(split, by_definition(labels, train, val, seed), strict=True):
        assert part.dtype == np.int64
        assert part.tolist() == expected
    assert sorted(np.concatenate(split)) == list(range(len(labels)))


def test_masks():
    masks = per_class_split(np.array([0, 1, 0, 1, 0, 1]), train=1, val=1, seed=0).masks()
    assert list(masks) == ["train_mask", "val_mask", "test_mask"]
    assert torch.equal(sum(mask.int() for mask in masks.values()), torch.ones(6, dtype=torch.int32))
    assert all(int(mask.sum()) == 2 for mask in masks.values())


def test_class_too_small():
    with pytest.raises(ValueError, match=r"class 7 must have at least 2 \+ 1 nodes to split, got 2"):
        per_class_split(np.array([3, 3, 3, 7, 7]), train=2, val=1, seed=0)


@pytest.mark.parametrize(("train", "val"), [(-1, 0), (0, -2)])
def test_negative_numbers(train, val):
    with pytest.raises(ValueError, match=f"train and val must not be negative, got {train} and {val}"):
        per_class_split(np.zeros(9, dtype=int), train, val, seed=0)
