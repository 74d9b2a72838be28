"""What limits are measured by."""

from __future__ import annotations

import itertools

import pytest
import torch

from benchmarks.measure import bandwidth, product_rate


def test_rates_are_work_over_the_clocks_time(monkeypatch):
    """On a clock that gives two seconds to every call: half of the bytes, and of the operations, a second."""
    ticks = itertools.count(0, 2)
    monkeypatch.setattr(torch, "ones", lambda *shape, device: torch.zeros(2, 2, device=device))
    cpu = torch.device("cpu")
    assert product_rate(cpu, lambda: next(ticks)) == pytest.approx(2 * 2048**3 / 2)
    assert bandwidth(cpu, lambda: next(ticks)) == pytest.approx(2 * 16 / 2)
