"""BERT4Rec: masks see both sides, padding has no part."""

from __future__ import annotations

import pytest
import torch

from recsys.models import BERT4Rec


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BERT4Rec(12, 8, max_length=5, layers=2).eval()


def test_a_state_depends_on_both_sides_and_not_on_padding(model):
    whole = torch.tensor([[3, 4, 12, 6, 0, 0]])
    states = model.encode(whole)
    for place, moved in ((0, True), (3, True), (4, False)):
        other = whole.clone()
        other[0, place] = 9
        if place == 4:  # more padding alone
            other = torch.tensor([[3, 4, 12, 6]])
        assert torch.allclose(states[0, 2], model.encode(other)[0, 2], atol=1e-6) is not moved


def test_the_last_state_is_that_of_a_mask_behind_the_history(model):
    sequences, lengths = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 0, 0, 0]]), torch.tensor([5, 2])
    found = model.last(sequences, lengths)
    torch.testing.assert_close(found[0], model.encode(torch.tensor([[3, 4, 5, 6, 7, 12]]))[0, 5])
    torch.testing.assert_close(found[1], model.encode(torch.tensor([[8, 9, 12]]))[0, 2])
    assert model(sequences, lengths).shape == (2, 12)
    assert torch.equal(model.items(), model.item.weight[:12])


@pytest.mark.parametrize("change", [{"width": 0}, {"heads": 3}, {"layers": 0}, {"dropout": 1.0}])
def test_sizes_are_checked(change):
    with pytest.raises(ValueError, match="must be"):
        BERT4Rec(**{"num_items": 12, "width": 8, **change})
