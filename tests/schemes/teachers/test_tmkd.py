"""A head for each teacher: both stages by loops, and what comes back."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.losses import CE, LogitMSE, cross_entropy, logit_mse
from graphkd.schemes import TMKD, Together, soft_target
from tests.core.models import gcn, graph

TEACHERS = [gcn(11), gcn(12)]


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_the_sum_of_a_step(alpha):
    data, heads = graph(), [gcn(1), gcn(2)]
    step = TMKD(heads, TEACHERS, CE(where="train_mask"), LogitMSE(), alpha=alpha)(data)
    logits = [head(data.x, data.edge_index) for head in heads]
    taught = [Frozen(teacher)(data)["logits"] for teacher in TEACHERS]
    mask = data.train_mask
    hard = sum(cross_entropy(one[mask], data.y[mask]) for one in logits)
    soft = sum(logit_mse(one, other) for one, other in zip(logits, taught, strict=True))
    torch.testing.assert_close(step.loss, (1 - alpha) * hard + alpha * soft)
    assert set(step.terms) == {"soft_0", "soft_1"} | ({"label_0", "label_1"} if alpha < 1 else set())


def test_both_stages_and_what_serves():
    """Answers alone first, to the last epoch; then labels too. All heads stand on one trunk and answer together."""
    data, seen = graph(), []
    result = graphkd.distil("tmkd", gcn(1), TEACHERS, data, hidden="convs.0", epochs=20, patience=2, log=seen.append)
    stages = [[report for report in seen if report["stage"] == name] for name in ("answers", "answers-and-labels")]
    assert len(stages[0]) == 20
    assert not any("label_0" in report or "accuracy" in report for report in stages[0])
    assert all("label_1" in report and "accuracy" in report for report in stages[1])
    assert stages[0][-1]["soft_0"] < stages[0][0]["soft_0"]
    found = result.model
    assert isinstance(found, Together)
    one, other = found.models
    assert one.convs[0] is other.convs[0]
    assert not torch.equal(one.convs[1].lin.weight, other.convs[1].lin.weight)
    answers = torch.stack([Frozen(model)(data)["logits"] for model in (one, other)])
    torch.testing.assert_close(Frozen(found)(data)["logits"], soft_target(answers))


def test_heads_of_one_s_own():
    heads = [gcn(1), gcn(2)]
    before = heads[1].convs[0].lin.weight.clone()
    found = graphkd.distil("tmkd", gcn(3), TEACHERS, graph(), hidden="convs.0", heads=heads, epochs=2).model
    assert found.models[0].convs[0] is not found.models[1].convs[0]
    assert torch.equal(heads[1].convs[0].lin.weight, before)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="'heads' must be as many as the 2 teachers, got 1"):
        graphkd.distil("tmkd", gcn(1), TEACHERS, graph(), hidden="convs.0", heads=[gcn(1)], epochs=1)
    with pytest.raises(ValueError, match=r"'alpha' must be in \[0, 1\], got 2"):
        graphkd.distil("tmkd", gcn(1), TEACHERS, graph(), hidden="convs.0", alpha=2, epochs=1)
