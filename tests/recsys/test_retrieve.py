"""Retrieval is exact."""

from __future__ import annotations

import pytest
import torch

from recsys.models import MF, tables_of
from recsys.models.rankings import top_items
from recsys.retrieve import Retriever
from tests.recsys.laws import toy


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)


class TestRetriever:
    @pytest.mark.parametrize("padding", [False, True])
    @pytest.mark.parametrize(("queries", "items"), [(1, 1), (4, 7), (1000, 1000)])
    def test_it_is_exact(self, model, padding, queries, items):
        pairs = toy(padding=padding)
        retriever = Retriever(tables_of(model), pairs, block_queries=queries, block_items=items)
        users = torch.tensor([3, 0, 29, 3, 7])
        best = retriever.users(users, 9)
        assert torch.equal(best.items, top_items(model, pairs, 9)[users].long())
        user, item = model.tables()
        torch.testing.assert_close(best.scores, (user[users] * item[best.items].transpose(0, 1)).sum(-1).T)

    def test_queries(self, model):
        tables = tables_of(model)
        vectors = torch.randn(6, 4)
        best = Retriever(tables, block_queries=6, block_items=11).queries(vectors, 40)
        assert torch.equal(best.items, (vectors @ tables.item.T).argsort(dim=1, descending=True))

    @pytest.mark.parametrize(("queries", "blocks"), [(1, [40]), (2, [22, 18]), (4, [11, 11, 11, 7])])
    def test_few_queries_go_through_more_items_at_once(self, model, monkeypatch, queries, blocks):
        tables, seen = tables_of(model), []
        whole = type(tables).scores_of

        def watched(self, rows, start, stop):
            seen.append(stop - start)
            return whole(self, rows, start, stop)

        monkeypatch.setattr(type(tables), "scores_of", watched)
        vectors = torch.randn(queries, 4)
        best = Retriever(tables, block_queries=4, block_items=11).queries(vectors, 5)
        assert seen == blocks
        assert torch.equal(best.items, (vectors @ tables.item.T).argsort(dim=1, descending=True)[:, :5])

    def test_what_is_refused(self, model):
        retriever = Retriever(tables_of(model), toy())
        with pytest.raises(ValueError, match="'users' must hold ids from 0 to 29, got 30 at position 1"):
            retriever.users(torch.tensor([0, 30]), 3)
        with pytest.raises(ValueError, match="'k' must be from 1 to 40, the number of items, got 41"):
            retriever.users(torch.tensor([0]), 41)
        short = retriever.users(torch.tensor([0]), 40).items[0]
        assert int((short == -1).sum()) == int(toy().degrees()[0])  # what was seen leaves a shorter list
        with pytest.raises(ValueError, match="'model' must score 30 users × 41 items, got 30 × 40"):
            Retriever(tables_of(model), toy(num_items=41))
