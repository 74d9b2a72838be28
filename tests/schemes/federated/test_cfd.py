"""CFD: soft labels in few bits."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.schemes.federated import quantise
from graphkd.schemes.federated.cfd import rule
from tests.core.models import gcn
from tests.kernels.graphs import QUICK
from tests.losses.example import STUDENT
from tests.schemes.federated.scene import apart, run


@QUICK
@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3), st.integers(1, 3))
def test_quantise_is_the_nearest_point(logits, bits):
    p, levels = torch.tensor(logits, dtype=torch.float64).softmax(dim=0), 2**bits - 1
    found = quantise(p[None], bits)[0]
    grid = [point for point in itertools.product(range(levels + 1), repeat=3) if sum(point) == levels]
    best = min(sum(abs(g / levels - float(q)) for g, q in zip(point, p, strict=True)) for point in grid)
    assert float((found - p).abs().sum()) == pytest.approx(best, abs=1e-12)
    assert float(found.sum()) == pytest.approx(1)


def test_one_bit_is_the_argmax():
    p = STUDENT.softmax(dim=1)
    assert torch.equal(quantise(p, 1), torch.nn.functional.one_hot(p.argmax(1), 3).double())
    with pytest.raises(ValueError, match="'bits' must be from 1 to 16, got 0"):
        quantise(p, 0)


def test_what_is_sent_takes_few_values():
    sent = rule(2).encode(STUDENT).exp()
    assert set((3 * sent).round(decimals=6).unique().tolist()) <= {0.0, 1.0, 2.0, 3.0}


def test_the_server_has_a_model_of_its_own():
    given_model = gcn(5, width=12)
    found = run("cfd", mixed=True, server=given_model).model
    assert found.convs[0].out_channels == 12
    assert apart(found, given_model) > 1e-4
    assert apart(run("cfd").model, run("cfd", bits=8).model) > 1e-5
