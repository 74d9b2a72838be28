"""An index of FAISS is exact."""

from __future__ import annotations

import sys

import pytest
import torch

from recsys.models import MF, Tables, tables_of
from recsys.retrieve import Retriever
from recsys.serving.faiss_index import faiss_index


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)


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
