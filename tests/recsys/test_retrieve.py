"""Deployment: files that hold the tables, and retrieval that is exact."""

from __future__ import annotations

import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from recsys.interactions import Split
from recsys.models import MF, LightGCN, Tables, tables_of
from recsys.rankings import top_items
from recsys.retrieve import Retriever, export, faiss_index, load_export
from tests.recsys.laws import toy
from tests.recsys.test_models import Pairwise

TOKENS = tuple(f"u{number}" for number in range(30)), tuple(f"i{number}" for number in range(40))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)


class TestExport:
    def test_the_file_is_plain_safetensors(self, model, tmp_path):
        path = tmp_path / "deep" / "student.safetensors"
        export(model, path, Split(toy(), toy(), toy(), *TOKENS))
        assert set(load_file(path)) == {"user", "item"}
        found = load_export(path)
        for one, other in zip(found.tables.tables(), model.tables(), strict=True):
            assert torch.equal(one, other)
        assert (found.user_tokens, found.item_tokens) == TOKENS
        assert [each.name for each in path.parent.iterdir()] == ["student.safetensors"]

    def test_without_tokens_and_propagated(self, tmp_path):
        model = LightGCN(toy(), 4)
        export(model, tmp_path / "tables")
        found = load_export(tmp_path / "tables")
        assert torch.equal(found.tables.item, model.tables()[1])
        assert found.user_tokens is None

    def test_a_failed_export_leaves_the_old_file(self, model, tmp_path, monkeypatch):
        path = tmp_path / "tables"
        export(model, path)
        before = path.read_bytes()

        def fail(*_):
            raise OSError("disk full")

        monkeypatch.setattr("safetensors.torch.save_file", fail)
        with pytest.raises(OSError, match="disk full"):
            export(MF(30, 40, 2), path)
        assert path.read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 1

    def test_what_is_refused(self, model, tmp_path):
        with pytest.raises(TypeError, match="Pairwise scores without tables"):
            export(Pairwise(), tmp_path / "tables")
        with pytest.raises(ValueError, match="'split' must name 30 rows in its user_tokens, got 2"):
            export(model, tmp_path / "tables", Split(toy(), toy(), toy(), ("a", "b"), TOKENS[1]))
        save_file({"user": torch.ones(2, 2)}, tmp_path / "half")
        with pytest.raises(ValueError, match=r"must hold the tables 'user' and 'item', but lacks \['item'\]"):
            load_export(tmp_path / "half")


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
        best = Retriever(tables, block_items=11).queries(vectors, 40)
        assert torch.equal(best.items, (vectors @ tables.item.T).argsort(dim=1, descending=True))

    def test_what_is_refused(self, model):
        retriever = Retriever(tables_of(model), toy())
        with pytest.raises(ValueError, match="'users' must hold ids from 0 to 29, got 30 at position 1"):
            retriever.users(torch.tensor([0, 30]), 3)
        with pytest.raises(ValueError, match="'k' must be from 1 to 40, the number of items, got 41"):
            retriever.users(torch.tensor([0]), 41)
        with pytest.raises(ValueError, match="must have k = 40 items that were not seen"):
            retriever.users(torch.tensor([0]), 40)
        with pytest.raises(ValueError, match="'model' must score 30 users × 41 items, got 30 × 40"):
            Retriever(tables_of(model), toy(num_items=41))


class TestFaiss:
    def test_an_index_is_exact(self, model):
        pytest.importorskip("faiss", reason="FAISS is not installed")
        tables = tables_of(model)
        _, found = faiss_index(tables).search(tables.user.numpy(), 5)
        assert torch.equal(torch.from_numpy(found), Retriever(tables).users(torch.arange(30), 5).items)

    def test_the_missing_package_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "faiss", None)
        with pytest.raises(ImportError, match="needs the package faiss-cpu"):
            faiss_index(Tables(torch.ones(1, 1), torch.ones(2, 1)))
