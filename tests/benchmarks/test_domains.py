"""The benchmark of two domains: which rows are whose, and its table."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import domains
from datasets.digits import digits, turned

KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value", "parameters", "train_seconds"}


def test_images_turn_about_their_middle():
    pixels = digits().x[:5]
    torch.testing.assert_close(turned(pixels, 0.0), pixels)
    quarter = turned(pixels, 90.0).view(5, 8, 8)
    assert any(torch.allclose(quarter, pixels.view(5, 8, 8).rot90(k, (1, 2)), atol=1e-5) for k in (1, 3))


def test_half_stand_upright_and_are_labelled():
    data, found = domains.halves(30.0, 0)
    assert torch.equal(data.train_mask, found == 0)
    assert torch.equal(data.test_mask, ~data.train_mask)
    assert torch.equal(data.x[data.train_mask], digits().x[data.train_mask])
    assert torch.equal(data.x[data.test_mask], turned(digits().x[data.test_mask], 30.0))
    assert set(found.tolist()) == {0, 1, 2}
    assert "val_mask" not in data


@pytest.mark.slow
def test_every_method_has_a_row(tmp_path):
    out = tmp_path / "rows.jsonl"
    rows = domains.main(["--epochs", "2", "--seeds", "1", "--out", str(out), "--runs", str(tmp_path / "runs")])
    assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    assert {row["method"] for row in rows} == {*domains.METHODS}
    assert all(row.keys() >= KEYS and 0 <= row["value"] <= 1 for row in rows)
