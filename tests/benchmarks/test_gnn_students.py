"""Students of their own: each trains and classifies the whole graph, at the settings of what it is given."""

from __future__ import annotations

import pytest
import torch

from benchmarks.graph.recipes import TEACHERS
from benchmarks.graph.students import METHODS
from graphkd.tasks import predict
from tests.benchmarks.scenes import mlp_lesson
from tests.core.models import graph


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_a_student_that_classifies_the_graph_and_does_so_again(name):
    data = graph()
    answers = [predict(METHODS[name](mlp_lesson(data)), data) for _ in range(2)]
    assert answers[0].shape == (30,)
    assert torch.equal(*answers)


def test_positions_are_those_of_one_graph():
    data = graph()
    student = METHODS["nosmog"](mlp_lesson(data, epochs=1))
    with pytest.raises(ValueError, match="positions are those of 30 nodes, got 29: this is the transductive setting"):
        student(data.x[1:])


def test_the_gcn_teacher_is_that_of_cpf():
    recipe = TEACHERS["gcn"]
    assert (recipe.hidden, recipe.dropout, recipe.lr, recipe.weight_decay) == (64, 0.8, 0.01, 0.001)
    assert recipe.options(0)["epochs"] == 499
    assert TEACHERS["sage"].options(0)["epochs"] == 200
