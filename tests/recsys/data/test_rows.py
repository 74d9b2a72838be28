"""Rows and batches of them."""

from __future__ import annotations

import pytest
import torch

from recsys.data.rows import Field, RowBatches, Rows
from tests.recsys.click_rows import toy


class TestRows:
    def test_an_epoch_has_every_row_once(self):
        rows = toy()
        batches = RowBatches(rows, rows.train, batch_size=50)
        torch.manual_seed(0)
        seen = list(batches)
        assert [len(batch["n_id"]) for batch in seen] == [50, 50, 50, 10]
        assert len(batches) == 4
        ids = torch.cat([batch["n_id"] for batch in seen])
        assert not torch.equal(ids, rows.train)
        assert torch.equal(ids.sort().values, rows.train)
        assert all(torch.equal(batch["user"], rows.columns["user"][batch["n_id"]]) for batch in seen)
        (whole,) = RowBatches(rows, rows.valid, shuffle=False)
        assert torch.equal(whole["n_id"], rows.valid)
        assert len(rows.take()["y"]) == len(rows) == 240

    def test_errors(self):
        with pytest.raises(ValueError, match=r"'columns' must have one length, got \{'a': 2, 'b': 3\}"):
            Rows({"a": torch.zeros(2), "b": torch.zeros(3)}, {}, *3 * [torch.arange(1)])
        with pytest.raises(ValueError, match=r"'fields' must be columns, \['c'\] are not among \['a'\]"):
            Rows({"a": torch.zeros(2)}, {"c": Field(3)}, *3 * [torch.arange(1)])
        with pytest.raises(ValueError, match="'batch_size' must be at least 1, got 0"):
            RowBatches(toy(), torch.arange(3), batch_size=0)
