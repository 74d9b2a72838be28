"""A trajectory is what shorter runs would have given, up to the epoch that is chosen."""

from __future__ import annotations

import pytest
import torch

import recsys
from graphkd import Distiller, fit
from recsys.data.batches import RankingBatches
from recsys.losses import BPR
from recsys.methods.lists._trajectory import Trajectory
from recsys.models import MF, show
from tests.methods import contract, recommenders
from tests.recsys.laws import toy


def parts():
    """A new model in a distiller, and its batches."""
    torch.manual_seed(0)
    return Distiller(MF(30, 40, 4), None, 1.0 * BPR(), call=show), RankingBatches(toy(), batch_size=50)


def weights(model):
    return torch.cat([table.detach().flatten() for table in model.tables()])


def after(epochs):
    return weights(fit(*parts(), epochs=epochs, progress=False))


def trained(epochs, **options):
    distiller, batches = parts()
    trajectory = Trajectory(distiller)
    fit(trajectory, batches, epochs=epochs, serve=lambda student: student.model, progress=False, **options)
    return trajectory


@pytest.mark.parametrize(("count", "epochs"), [(4, (1, 2, 4, 6)), (3, (2, 4, 6)), (1, (6,)), (9, (1, 2, 4, 6))])
def test_stages_are_shorter_runs(count, epochs):
    stages = trained(6).stages(count)
    assert len(stages) == len(epochs)
    assert all(torch.equal(weights(stage), after(epoch)) for stage, epoch in zip(stages, epochs, strict=True))


def test_the_student_is_the_last_and_stages_do_not_share_its_weights():
    trajectory = trained(2)
    first, last = trajectory.stages(4)
    assert last is trajectory.student.model
    last.user.weight.data.zero_()
    assert first.user.weight.abs().min() > 0


def test_nothing_later_than_the_chosen_epoch_is_a_stage():
    values = iter([0.1, 0.2, 0.9, 0.3, 0.3])
    stages = trained(9, metric=lambda _: next(values), patience=2).stages(4)
    assert [torch.equal(weights(stage), after(n)) for stage, n in zip(stages, (1, 2, 3), strict=True)] == [True] * 3


def test_an_interrupted_trajectory_goes_on(tmp_path):
    trained(3, checkpoint=tmp_path)
    stages = trained(6, checkpoint=tmp_path, resume=True).stages(4)
    assert all(torch.equal(weights(stage), after(n)) for stage, n in zip(stages, (1, 2, 4, 6), strict=True))


class TestHetComp:
    """The method that trains its teachers on the way."""

    def run(self, **options):
        row = next(row for row in recsys.methods() if row.name == "hetcomp")
        return recommenders.run(row, **options)

    def test_every_teacher_is_a_stage_of_the_run(self, tmp_path):
        result = self.run(checkpoint=tmp_path)
        stages = dict.fromkeys(report["stage"] for report in result.history)
        assert list(stages) == ["teacher-1", "teacher-2", "student"]

    def test_teachers_may_be_given_as_lists_of_stages(self):
        lists = [[recommenders.mf(2, 6), recommenders.mf(3, 6)], [recommenders.mf(4, 5)]]
        assert {report["stage"] for report in self.run(teachers=lists).history} == {"student"}

    def test_one_teacher_has_one_stage(self):
        teacher = recommenders.mf(2, 6)
        alone, listed = (
            self.run(teachers=None, teacher=teacher),
            self.run(teachers=[[teacher]]),
        )
        assert contract.same(contract.weights(alone), contract.weights(listed))

    def test_without_any_it_says_how_they_are_given(self):
        with pytest.raises(ValueError, match="'hetcomp' needs a teacher: give 'teacher', or models to be trained as"):
            self.run(teachers=None)
