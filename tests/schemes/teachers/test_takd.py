"""Assistants: which way is chosen, and how many trainings it takes."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Ensemble
from graphkd.core.batches import changed
from graphkd.core.problem import Problem
from tests.core.models import gcn, graph

ASSISTANTS = (6, 4)  # widths


@pytest.fixture
def watched(monkeypatch):
    """Models in the order in which they were measured, and those that became teachers; scores are given in advance."""
    seen: dict[str, list] = {"scores": [], "measured": [], "teachers": []}
    taught_by = Problem.taught_by

    def score(_, model):
        seen["measured"].append(model)
        return seen["scores"][len(seen["measured"]) - 1]

    def watch(problem, model):
        seen["teachers"].append(model)
        return taught_by(problem, model)

    monkeypatch.setattr(Problem, "score", score)
    monkeypatch.setattr(Problem, "taught_by", watch)
    return seen


def run(**settings):
    stages = {}
    given = [gcn(2 + place, width=width) for place, width in enumerate(ASSISTANTS)]
    options = {"assistants": given, "epochs": 1, "log": lambda row: stages.setdefault(row["stage"]), **settings}
    return graphkd.distil("takd", gcn(9, width=2), gcn(1), graph(), **options), list(stages)


def test_the_way_is_that_of_the_best_scores(watched):
    """Two assistants: 1 by the teacher; 2 by the teacher (.6) or 1 (.4); the student by the teacher, 1 or 2."""
    watched["scores"] = [0.6, 0.4, 0.1, 0.3, 0.7]
    result, stages = run()
    assert stages == [f"model-{n}-by-{k}" for n in (1, 2, 3) for k in range(n)]
    assert watched["measured"][0] in watched["teachers"]
    assert watched["measured"][1] not in watched["teachers"]
    assert result.model is watched["measured"][4]


def test_of_equals_the_shortest_way(watched):
    watched["scores"] = [0.4, 0.6, 0.7, 0.1, 0.7]
    result, _ = run()
    assert watched["measured"][1] in watched["teachers"]
    assert result.model is watched["measured"][2]


@pytest.mark.parametrize(("route", "teachers"), [("all", (0, 1, 2)), ("none", (0, 0, 0))])
def test_fixed_ways(route, teachers):
    assert run(route=route)[1] == [f"model-{n}-by-{k}" for n, k in enumerate(teachers, 1)]


def test_assistants_that_are_made():
    """One of the teacher's kind, an ensemble's too, and one of the student's."""
    seen = []
    taught_by, data = Problem.taught_by, graph()

    def watch(problem, model):
        seen.append(model.hidden_channels)
        return taught_by(problem, model)

    for teacher in (gcn(1, width=10), Ensemble([gcn(1, width=10), gcn(2, width=12)])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Problem, "taught_by", watch)
            graphkd.distil("takd", gcn(9, width=3), teacher, data, route="all", epochs=1)
    assert seen[-3:] == [10, 3, 3]
    assert seen[:-3] in ([10, 3, 3], [10, 10, 3, 3])  # a module is made a teacher too


def test_every_attempt_starts_from_the_weights_a_model_came_with():
    data, student = graph(), gcn(9, width=2)
    result = graphkd.distil("takd", student, gcn(1), data, assistants=[], epochs=3)
    alone = graphkd.distil("kd", student, gcn(1), data, epochs=3)
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, alone.model.state_dict()[name])


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"'route' must be one of .*got 'longest'"):
        run(route="longest")
    data = changed(graph(), val_mask=torch.zeros_like(graph().val_mask))
    with pytest.raises(ValueError, match="'route' must be 'all' or 'none' where the data have no validation rows"):
        graphkd.distil("takd", gcn(9), gcn(1), data, epochs=1)
    graphkd.distil("takd", gcn(9), gcn(1), data, route="none", epochs=1)
