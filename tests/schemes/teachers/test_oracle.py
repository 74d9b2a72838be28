"""Who teaches in an oracle: the loss of a step, and rows about which nobody is right."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.core.batches import changed
from graphkd.losses import cross_entropy
from graphkd.schemes import oracle_kd
from tests.core.models import gcn, graph
from tests.methods import scene
from tests.schemes.runs import resumes


def test_an_oracle_teaches_as_its_loss_says():
    data, student, teachers, seen = graph(), gcn(1), [gcn(2), gcn(3)], []
    graphkd.distil("oracle", student, teachers, data, weight=0.7, temperature=2.0, epochs=1, log=seen.append)
    rows = data.train_mask
    each = torch.stack([Frozen(teacher)(data)["logits"][rows] for teacher in teachers])
    want = oracle_kd(Frozen(student)(data)["logits"][rows], each, data.y[rows], 2.0, weight=0.7)
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)


def test_where_nobody_is_right_labels_teach_alone():
    data, student, teachers, seen = graph(), gcn(1), [gcn(2), gcn(3)], []
    wrong = torch.stack([Frozen(teacher)(data)["logits"].argmax(dim=1) for teacher in teachers])
    y = torch.tensor([next(c for c in range(3) if c not in row) for row in wrong.t().tolist()])
    graphkd.distil("oracle", student, teachers, changed(data, y=y), epochs=1, log=seen.append)
    rows = data.train_mask
    want = cross_entropy(Frozen(student)(data)["logits"][rows], y[rows])
    assert seen[0]["loss"] == pytest.approx(float(want), rel=1e-5)
    assert "oracle" not in seen[0]


def test_a_student_is_trained():
    data = graph()
    student = graphkd.distil("oracle", gcn(1), [gcn(2), gcn(3)], data, epochs=20).model
    logits = student(data.x, data.edge_index)
    assert (logits.argmax(1) == data.y)[data.train_mask].float().mean() > 0.6


# ---------------------------------------------------------------- search
def searched(*widths, **settings):
    """What is found among a student of width 4 and others, and the stages of the search."""
    seen = []
    options = {"trials": 6, "early": 2, "epochs": 3, "log": seen.append, **settings}
    candidates = [gcn(4 + place, width) for place, width in enumerate(widths)]
    found = graphkd.distil("oracle", gcn(1, 4), [gcn(2), gcn(3)], graph(), candidates=candidates, **options)
    return found.model, list(dict.fromkeys(report["stage"] for report in seen))


def test_a_search_draws_and_trains_the_one_that_scores_best():
    model, stages = searched(12, 16)
    assert stages == [*(f"trial-{number}" for number in range(1, 7)), "student"]
    assert model.hidden_channels in (4, 12, 16)


def test_rewards_move_the_policy_to_what_scores_well(monkeypatch):
    from graphkd.core.problem import Problem

    monkeypatch.setattr(Problem, "score", lambda _, model, part="val": float(model.hidden_channels == 12))
    assert searched(12, 16, trials=12)[0].hidden_channels == 12


def test_what_is_over_the_budget_is_not_drawn():
    sizes = [sum(4 * p.numel() for p in gcn(1, width).parameters()) for width in (4, 12)]
    assert searched(12, budget=sizes[0])[0].hidden_channels == 4
    with pytest.raises(ValueError, match=rf"'budget' must hold one of the models, of \[{sizes[0]}, {sizes[1]}\] bytes"):
        searched(12, budget=sizes[0] - 1)


@pytest.mark.parametrize("settings", [{"trials": 0}, {"early": 0}])
def test_a_search_has_trials(settings):
    with pytest.raises(ValueError, match="'trials' and 'early' must be at least 1"):
        searched(12, **settings)


def test_a_broken_search_goes_on(tmp_path):
    resumes("oracle", tmp_path, candidates=[scene.gcn(4, 8)], trials=3, epochs=2)
