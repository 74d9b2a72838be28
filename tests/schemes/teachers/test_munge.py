"""Rows made up from real ones: the algorithm by loops, what can come out, and who labels."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import graphkd
from graphkd import Frozen
from graphkd.schemes import is_discrete, munge, nearest_rows
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


def shown(data, **settings):
    """The rows that a student saw in an epoch, batch by batch."""
    seen = []

    class Watched(Flat):
        def forward(self, x, edge_index):
            if self.training:
                seen.append((x.detach().clone(), edge_index))
            return super().forward(x)

    torch.manual_seed(0)
    model = Watched(nn.Linear(FEATURES, CLASSES))
    graphkd.distil("munge", model, [gcn(1), gcn(2)], data, epochs=1, **settings)
    return seen


def test_copies_keep_their_edges_and_differ():
    data = graph()
    seen = shown(data, copies=2, seed=1, chance=0.5)
    assert len(seen) == 3
    assert torch.equal(seen[0][0], data.x)
    assert all(torch.equal(edges, data.edge_index) for _, edges in seen)
    assert not torch.equal(seen[1][0], seen[2][0])
    want = munge(data.x, chance=0.5, generator=torch.Generator().manual_seed(2))
    assert torch.equal(shown(data, copies=1, seed=2, chance=0.5)[1][0], want)
    assert torch.equal(seen[2][0], want)
    assert len(shown(data, copies=0)) == 1


def test_batches_of_a_loader_are_mixed_within_themselves():
    data = graph()
    parts = [data.subgraph(rows) for rows in torch.arange(30).split(29)]  # of the second, a single row
    for part, rows in zip(parts, torch.arange(30).split(29), strict=True):
        part.n_id = rows
    seen = [x for x, _ in shown(parts, copies=1)]
    assert [len(x) for x in seen] == [29, 29, 1, 1]
    assert torch.equal(seen[1], munge(parts[0].x, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(seen[3], parts[1].x)


@pytest.mark.parametrize("settings", [{"chance": 1.5}, {"spread": 0.0}])
def test_wrong_settings(settings):
    with pytest.raises(ValueError, match=r"'chance' must be in \[0, 1\] and 'spread' above 0"):
        munge(table(), **settings)
    with pytest.raises(ValueError, match="'copies' must be at least 0, got -1"):
        shown(graph(), copies=-1)


def test_a_student_agrees_with_the_ensemble_without_labels():
    data, teachers = graph(), [gcn(1), gcn(2)]
    data.y.zero_()
    del data.val_mask
    torch.manual_seed(0)
    student = Flat(nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, CLASSES)))
    adam = partial(torch.optim.Adam, lr=0.01)
    found = graphkd.distil("munge", student, teachers, data, copies=2, chance=0.1, epochs=80, optimizer=adam).model
    want = torch.stack([Frozen(one)(data)["logits"].softmax(dim=1) for one in teachers]).mean(dim=0).argmax(dim=1)
    assert (Frozen(found)(data)["logits"].argmax(dim=1) == want).float().mean() > 0.85


class Flat(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)
