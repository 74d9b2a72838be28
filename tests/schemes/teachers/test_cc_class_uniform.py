"""Rows group by group: how many of which, and that a loss sees them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import graphkd
from graphkd import Distiller, fit
from graphkd.core.batches import changed
from graphkd.losses import CC, CE
from graphkd.schemes import GroupBatches
from tests.core.models import gcn, graph
from tests.methods import scene


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


@pytest.mark.parametrize("numbers", [{"count": 4}, {"count": 0}, {"rows": 0}, {"steps": 0}])
def test_wrong_numbers(numbers):
    with pytest.raises(ValueError, match="'count' must be from 1 to the 3 groups"):
        GroupBatches(graph(), graph().y, **{"count": 2, "rows": 4, **numbers})


def test_batches_of_a_loader_draw_among_their_own_rows():
    data = scene.graph()
    groups = torch.where(data.train_mask, data.y, -1)
    parts = [*scene.parts(data), changed(scene.parts(data)[0], n_id=torch.zeros(16, dtype=torch.long) + 47)]
    batches = GroupBatches(parts, groups, count=3, rows=2, steps=2)
    found = list(batches)
    assert len(batches) == len(found) == 8
    for batch in found[:6]:
        drawn = groups[batch.n_id[batch.drawn]]
        assert drawn.numel() == 2 * drawn.unique().numel()
        assert drawn.unique().numel() == groups[batch.n_id][groups[batch.n_id] >= 0].unique().numel()
    assert found[-1].drawn.numel() == 0
    assert found[-1].drawn.dtype == torch.long


def test_classes_are_drawn_in_equal_parts():
    data, seen = graph(), []
    from graphkd.schemes.teachers import cc_class_uniform

    class Watched(GroupBatches):
        def __init__(self, data, groups, **numbers):
            seen.append((groups, numbers))
            super().__init__(data, groups, **numbers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cc_class_uniform, "GroupBatches", Watched)
        graphkd.distil("cc_class_uniform", gcn(1), gcn(2), data, hidden="convs.0", epochs=1)
        graphkd.distil("cc_class_uniform", gcn(1), gcn(2), data, hidden="convs.0", epochs=1, rows=5, count=2, steps=3)
    (groups, numbers), (_, others) = seen
    assert torch.equal(groups, torch.where(data.train_mask, data.y, -1))
    assert numbers == {"count": 3, "rows": int(data.y[data.train_mask].bincount().min()), "steps": 1}
    assert others == {"count": 2, "rows": 5, "steps": 3}
