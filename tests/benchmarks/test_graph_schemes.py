"""Every scheme of the table trains the student it is given, and leaves the teacher."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch

from benchmarks.graph import ensembles, objectives, teachers
from benchmarks.graph.lessons import Lesson
from graphkd.gnn import accuracy
from tests.core.models import gcn, graph

METHODS = {
    **teachers.METHODS,
    **ensembles.METHODS,
    **objectives.METHODS,
}
OF_THEIR_OWN = {"tmkd", "multimodal_expansion"}  # what they give back is more than the student, or another


@pytest.mark.parametrize("name", METHODS)
def test_a_scheme_runs_by_name(name):
    data, teacher, student = graph(), gcn(1, width=6), gcn(2, width=4)
    before = copy.deepcopy((teacher.state_dict(), student.state_dict()))
    options = {
        "epochs": 2,
        "patience": 50,
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "seed": 0,
        "metric": partial(accuracy, data=data, mask="val_mask"),
    }
    found = METHODS[name](Lesson(student, teacher, data, ("convs.0", "convs.0"), options))
    assert (found is student) == (name not in OF_THEIR_OWN)
    assert not found.training
    assert 0 <= accuracy(found, data) <= 1
    assert all(torch.equal(value, before[0][key]) for key, value in teacher.state_dict().items())
    if name != "multimodal_expansion":
        assert any(not torch.equal(value, before[1][key]) for key, value in student.state_dict().items())
