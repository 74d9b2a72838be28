"""Which rows of a batch a trainable reads labels of."""

from __future__ import annotations

import pytest
import torch

from graphkd.schemes._rows import chosen_rows

CPU = torch.device("cpu")


def test_masks_row_numbers_and_all_rows():
    mask = torch.tensor([True, False, True, False])
    for entry in (mask, torch.tensor([0, 2])):
        assert torch.equal(chosen_rows({"train_mask": entry}, "train_mask", 4, CPU), mask)
    assert chosen_rows({"x": mask}, None, 4, CPU).tolist() == [True] * 4


def test_what_is_missing_or_ambiguous_is_told():
    with pytest.raises(KeyError, match=r"where='train_mask' must name .* it has \['x'\]: give where=None if all rows"):
        chosen_rows({"x": torch.zeros(4)}, "train_mask", 4, CPU)
    with pytest.raises(TypeError, match="'train_mask' must be a boolean mask or node ids"):
        chosen_rows({"train_mask": torch.tensor([0, 1, 1, 0])}, "train_mask", 4, CPU)
    with pytest.raises(ValueError, match=r"'train_mask' must hold node ids from 0 to 3, got 0 to 9"):
        chosen_rows({"train_mask": torch.tensor([0, 9])}, "train_mask", 4, CPU)
