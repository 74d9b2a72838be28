"""Rows group by group: how many of which, and that a loss sees them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd import Distiller, fit
from graphkd.losses import CC, CE
from graphkd.schemes import GroupBatches
from tests.core.models import gcn, graph


@given(st.integers(0, 30), st.integers(1, 3), st.integers(1, 25))
def test_equally_many_rows_of_different_groups(seed, count, rows):
    torch.manual_seed(seed)
    groups = torch.randint(3, (40,))
    groups[::5] = -1
    groups[1:4] = torch.arange(3)
    (batch,) = GroupBatches({"x": torch.zeros(40, 1)}, groups, count=count, rows=rows)
    drawn = batch["drawn"]
    assert drawn.shape == (count * rows,)
    found = groups[drawn].reshape(count, rows)
    assert (found >= 0).all()
    assert (found == found[:, :1]).all()
    assert len(set(found[:, 0].tolist())) == count
    for group, part in zip(found[:, 0].tolist(), drawn.reshape(count, rows), strict=True):
        times = part.bincount(minlength=40)[groups == group]
        assert times.max() - times.min() <= 1


def test_every_step_draws_anew_and_the_data_stay():
    data = graph()
    batches = GroupBatches(data, data.y, count=2, rows=4, steps=3)
    assert len(batches) == 3
    first, *others = (batch.drawn for batch in batches)
    assert any(not torch.equal(first, other) for other in others)
    assert "drawn" not in data


def test_a_loss_of_relations_sees_the_drawn_rows():
    data, seen = graph(), []
    task = Distiller(gcn(1), gcn(2), CE(where="train_mask") + CC(where="drawn"), taps={"hidden": "convs.0"})
    fit(task, GroupBatches(data, data.y, count=3, rows=4, steps=2), epochs=5, log=seen.append)
    assert {"ce", "cc"} < set(seen[0])


@pytest.mark.parametrize("knobs", [{"count": 4}, {"count": 0}, {"rows": 0}, {"steps": 0}])
def test_wrong_numbers(knobs):
    with pytest.raises(ValueError, match="'count' must be from 1 to the 3 groups"):
        GroupBatches(graph(), graph().y, **{"count": 2, "rows": 4, **knobs})
