"""Vectors of items beside the table that a model reads."""

from __future__ import annotations

import pytest
import torch

from recsys.models import GRU4Rec, SASRec
from recsys.models.item_vectors import folded, read_with, with_rows
from recsys.models.sequential import SequentialRecommender

HISTORIES = torch.tensor([[3, 4, 5], [8, 0, 0]]), torch.tensor([3, 1])


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec])
def test_a_model_reads_both_and_scores_by_its_table(kind):
    torch.manual_seed(0)
    model, vectors = kind(12, 4, max_length=3).eval(), torch.randn(12, 7)
    before, table = model(*HISTORIES), model.items().detach().clone()
    read_with(model, vectors, 0.5)
    assert torch.equal(model.items(), table)
    assert not torch.allclose(model(*HISTORIES), before)
    map_, ids = model.item.map, HISTORIES[0]
    torch.testing.assert_close(model.item(ids), table[ids] + 0.5 * (vectors[ids] @ map_.weight.T + map_.bias))
    small = folded(model)
    torch.testing.assert_close(small(*HISTORIES), model(*HISTORIES))
    assert "item.vectors" not in small.state_dict()
    again = with_rows(kind(12, 4, max_length=3)).eval()
    again.load_state_dict(small.state_dict())
    assert torch.equal(again(*HISTORIES), small(*HISTORIES))


def test_without_a_share_nothing_is_added_and_without_vectors_nothing_is_folded():
    torch.manual_seed(0)
    model = SASRec(12, 4, max_length=3).eval()
    before = model(*HISTORIES)
    assert torch.equal(folded(model)(*HISTORIES), before)
    assert torch.equal(with_rows(model)(*HISTORIES), before)
    read_with(model, torch.randn(12, 7), 0.0)
    assert torch.equal(model(*HISTORIES), before)


def test_errors():
    with pytest.raises(ValueError, match=r"'vectors' must be \(12, D\), a vector an item, got \(13, 2\)"):
        read_with(SASRec(12, 4, max_length=3), torch.zeros(13, 2), 0.5)
    with pytest.raises(ValueError, match="SequentialRecommender has none that is known"):
        read_with(SequentialRecommender(12, 3), torch.zeros(12, 2), 0.5)
