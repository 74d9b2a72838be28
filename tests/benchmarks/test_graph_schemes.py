"""Every scheme of the table trains the student it is given, and leaves the teacher."""

from __future__ import annotations

import pytest
import torch

from benchmarks.graph import ensembles, objectives, teachers
from graphkd.tasks import accuracy
from tests.benchmarks.scenes import run

METHODS = {
    **teachers.METHODS,
    **ensembles.METHODS,
    **objectives.METHODS,
}
OTHERS = {"multimodal_expansion", "guided_search"}  # they train other students than the one they are given
OF_THEIR_OWN = {"tmkd", *OTHERS}  # what they give back is more than the student, or another


@pytest.mark.parametrize("name", METHODS)
def test_a_scheme_runs_by_name(name):
    given, found, before = run(METHODS[name])
    student = given.student
    assert (found is student) == (name not in OF_THEIR_OWN)
    assert 0 <= accuracy(found, given.data) <= 1
    if name not in OTHERS:
        assert any(not torch.equal(value, before[key]) for key, value in student.state_dict().items())
