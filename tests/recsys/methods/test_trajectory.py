"""A trajectory is what shorter runs would have given, up to the epoch that is chosen."""

from __future__ import annotations

import pytest
import torch

from graphkd import Distiller, fit
from recsys.data.batches import RankingBatches
from recsys.losses import BPR
from recsys.methods._trajectory import trajectory
from recsys.models import MF, show
from tests.recsys.laws import toy


def parts():
    """A new model in a task, and its batches."""
    torch.manual_seed(0)
    task = Distiller(MF(30, 40, 4), None, 1.0 * BPR(), call=show)
    return task, RankingBatches(toy(), batch_size=50)


def weights(model):
    return torch.cat([table.detach().flatten() for table in model.tables()])


def after(epochs):
    return weights(fit(*parts(), epochs=epochs, progress=False))


def test_stages_are_shorter_runs():
    seen = []
    stages = trajectory(*parts(), (4, 1, 4, 9), epochs=6, log=seen.append, progress=False)
    assert [report["epoch"] for report in seen] == [1, 2, 3, 4, 5, 6]
    assert len(stages) == 3
    for stage, epochs in zip(stages, (1, 4, 6), strict=True):
        assert torch.equal(weights(stage), after(epochs))
        assert not stage.training


def test_the_student_is_the_last_and_stages_do_not_share_its_weights():
    task, batches = parts()
    first, last = trajectory(task, batches, [1], epochs=2, progress=False)
    assert last is task.student
    last.user.weight.data.zero_()
    assert first.user.weight.abs().min() > 0


def test_nothing_later_than_the_chosen_epoch_is_a_stage():
    values = iter([0.1, 0.2, 0.9, 0.3, 0.3])
    stages = trajectory(*parts(), range(1, 6), epochs=9, metric=lambda _: next(values), patience=2, progress=False)
    assert [torch.equal(weights(stage), after(n)) for n, stage in enumerate(stages, 1)] == [True, True, True]


def test_an_interrupted_trajectory_goes_on(tmp_path):
    trajectory(*parts(), [1, 2], epochs=2, checkpoint=tmp_path, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "last.pt", "stage-1.pt", "stage-2.pt"]
    stages = trajectory(*parts(), [1, 2, 3], epochs=4, checkpoint=tmp_path, resume=True, progress=False)
    assert all(torch.equal(weights(stage), after(n)) for n, stage in enumerate(stages, 1))
    assert len(stages) == 4


def test_a_folder_without_the_stages_is_named(tmp_path):
    fit(*parts(), epochs=3, checkpoint=tmp_path, progress=False)
    with pytest.raises(ValueError, match="went past epoch 2 and did not keep it"):
        trajectory(*parts(), [2], epochs=4, checkpoint=tmp_path, resume=True, progress=False)
