"""Rows made up from real ones: the algorithm by loops, what can come out, and who labels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from graphkd import Frozen
from graphkd.schemes import compressed_student, is_discrete, munge, munged, nearest_rows
from tests.core.models import CLASSES, FEATURES, gcn, graph


def table(rows=12, seed=0):
    """Three real columns, two of flags."""
    torch.manual_seed(seed)
    return torch.cat([torch.randn(rows, 3), torch.randint(2, (rows, 2)).float()], dim=1).double()


def test_nearest_rows():
    x = table()
    for row, found in enumerate(nearest_rows(x).tolist()):
        others = {j: float((x[row] - x[j]).norm()) for j in range(12) if j != row}
        assert found == min(others, key=others.get)
    with pytest.raises(ValueError, match=r"'x' must have shape \(N, d\), N above 1"):
        nearest_rows(x[:1])


def test_discrete_columns():
    assert is_discrete(table()).tolist() == [False, False, False, True, True]


def test_munge_is_the_paper_s_loop():
    x = table()
    got = munge(x, chance=0.4, spread=3.0, generator=torch.Generator().manual_seed(3))
    made, generator, flags = x.clone(), torch.Generator().manual_seed(3), is_discrete(x)
    for row, other in enumerate(nearest_rows(x).tolist()):
        mixed = torch.rand(5, generator=generator) < 0.4
        noise = torch.randn(2, 5, generator=generator, dtype=x.dtype)
        for a in range(5):
            e, f = float(made[row, a]), float(made[other, a])
            if mixed[a]:
                deviation = 0.0 if flags[a] else abs(e - f) / 3.0
                made[row, a] = f + float(noise[0, a]) * deviation
                made[other, a] = e + float(noise[1, a]) * deviation
    torch.testing.assert_close(got, made)
    assert not torch.equal(got, x)


@given(st.integers(0, 50), st.floats(0, 1))
def test_flags_stay_flags_and_are_as_many(seed, chance):
    x = table(seed=seed)
    made = munge(x, chance=chance, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(made[:, 3:].sum(dim=0), x[:, 3:].sum(dim=0))
    assert set(made[:, 3:].unique().tolist()) <= {0.0, 1.0}
    assert chance > 0 or torch.equal(made, x)


def test_new_values_are_drawn_around_the_other_row_s():
    x = torch.tensor([[0.0], [1.0], [50.0], [53.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    nearest = torch.tensor([1, 0, 3, 2])
    firsts = torch.stack([munge(x, chance=1.0, spread=4.0, nearest=nearest, generator=generator) for _ in range(2000)])
    # Two exchanges each: every row is drawn around its own place again, more widely.
    torch.testing.assert_close(firsts.mean(dim=0), x, atol=0.1, rtol=0)
    assert 0.25 < float(firsts[:, 0].std()) < 0.5


def test_copies_keep_their_edges_and_differ():
    data = graph()
    batches = munged(data, 2, seed=1)
    assert batches[0] is data
    assert all(torch.equal(batch.edge_index, data.edge_index) for batch in batches)
    assert not torch.equal(batches[1].x, batches[2].x)
    assert torch.equal(munged(data, 1, seed=2)[1].x, batches[2].x)
    assert munged(data, 0) == [data]


@pytest.mark.parametrize("knobs", [{"chance": 1.5}, {"spread": 0.0}])
def test_wrong_knobs(knobs):
    with pytest.raises(ValueError, match=r"'chance' must be in \[0, 1\] and 'spread' above 0"):
        munge(table(), **knobs)


def test_a_compressed_student_agrees_with_the_ensemble_without_labels():
    data, teachers = graph(), [gcn(1), gcn(2)]
    del data.y
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, CLASSES))
    found = compressed_student(Flat(student), teachers, data, copies=2, knobs={"chance": 0.1}, epochs=80)
    want = torch.stack([Frozen(one)(data)["logits"].softmax(dim=1) for one in teachers]).mean(dim=0).argmax(dim=1)
    assert (Frozen(found)(data)["logits"].argmax(dim=1) == want).float().mean() > 0.85


class Flat(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)
