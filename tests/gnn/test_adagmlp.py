"""AdaGMLP: the boost and a whole step again by loops, and what its state holds."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd.gnn.adagmlp import AdaGMLP, Boosted, boost
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph
from tests.losses.example import NODES as FEW
from tests.losses.example import STUDENT, TEACHER, divergence, softmax

WEIGHTS = torch.tensor([0.1, 0.3, 0.2, 0.25, 0.15], dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.3, 4.0])
def test_boost(beta):
    error = [1 - math.exp(-beta * divergence(softmax(TEACHER[i]), softmax(STUDENT[i]))) for i in FEW]
    mean = sum(float(w) * e for w, e in zip(WEIGHTS, error, strict=True))
    alpha = max(math.log((1 - mean) / mean), 1e-16)
    raw = [float(w) * math.exp(alpha * e) for w, e in zip(WEIGHTS, error, strict=True)]
    found = boost(STUDENT, TEACHER, WEIGHTS, beta)
    assert float(found.alpha) == pytest.approx(alpha, rel=1e-9)
    assert found.weight.tolist() == pytest.approx([w / sum(raw) for w in raw], rel=1e-9)


def test_a_member_that_is_mostly_wrong_changes_nothing():
    found = boost(-9 * TEACHER, TEACHER, WEIGHTS, 50.0)
    assert float(found.alpha) == pytest.approx(1e-16)
    torch.testing.assert_close(found.weight, WEIGHTS)


def made(**options) -> AdaGMLP:
    torch.manual_seed(0)
    student = Boosted(2, [FEATURES, 7, 5, CLASSES])
    return AdaGMLP(student, NODES, **{"label_weight": 0.3, "output_share": 0.6, "mask_share": 0.25} | options)


def batch():
    data, teacher = graph(), gcn(1).eval()
    told = teacher(data.x, data.edge_index).detach()
    return {"x": data.x, "y": data.y, "told": told, "labelled": data.train_mask.nonzero()[:, 0]}


def test_the_terms_of_a_step():
    trainable, given = made(), batch()
    torch.manual_seed(0)
    step = trainable(given)
    again = made()
    torch.manual_seed(0)
    parts, weight = again.parts(given["labelled"]), torch.full((NODES,), 1 / NODES)
    want = dict.fromkeys(("label", "soft", "output", "hidden"), 0.0)
    q = (given["told"] / 0.4).softmax(1)
    for member, rows in zip(again.student.members, parts, strict=True):
        logits, hidden = member(given["x"])
        p, log = (logits / 0.4).softmax(1), logits.log_softmax(1)
        other, layers = member(again.masked(given["x"][rows]))
        want["label"] -= log[rows, given["y"][rows]].mean() / 2
        want["soft"] += (weight * (q * (q / p).log()).sum(1)).sum() / 2
        want["output"] += (log[rows] - other.log_softmax(1)).square().mean() / 2
        want["hidden"] += sum((h[rows] - m).square().mean() / 2 for h, m in zip(hidden, layers, strict=True)) / 2
        weight = boost(logits, given["told"], weight).weight
    for name, value in want.items():
        assert float(step.terms[name]) == pytest.approx(float(value.detach()), rel=1e-4), name
    total = 0.3 * want["label"] + 0.7 * want["soft"] + 0.6 * want["output"] + 0.4 * want["hidden"]
    assert float(step.loss.detach()) == pytest.approx(float(total.detach()), rel=1e-4)
    torch.testing.assert_close(trainable.weight, weight)


def test_weights_go_on_from_step_to_step_unless_they_are_reset():
    for reset in (False, True):
        trainable, given, seen = made(reset=reset), batch(), []
        for _ in range(2):
            trainable(given)
            seen.append(trainable.weight.clone())
        assert torch.allclose(*seen) is reset
    assert {"weight", "student.alpha"} <= trainable.state_dict().keys()


def test_labels_are_parted_without_repeats():
    parts = made().parts(torch.arange(7) + 10)
    assert [len(part) for part in parts] == [3, 3]
    assert len({*torch.cat(parts).tolist()}) == 6
    assert [part.tolist() for part in made().parts(torch.tensor([4]))] == [[4], [4]]


def test_masked_rows_of_counts_are_shares():
    trainable = made()
    counts = torch.rand(5, FEATURES) + 0.1
    found = trainable.masked(counts)
    torch.testing.assert_close(found.sum(1), torch.ones(5))
    assert ((found < 1e-30).sum(1) == FEATURES // 4).all()
    signed = counts - 0.5
    kept = trainable.masked(signed)
    assert (torch.isclose(kept, signed).sum(1) == FEATURES - FEATURES // 4).all()


def test_the_answer_is_the_weighed_mean_of_probabilities():
    student = Boosted(2, [FEATURES, 7, CLASSES])
    student.alpha.copy_(torch.tensor([0.25, 0.75]))
    x = torch.randn(4, FEATURES)
    one, other = (member(x)[0].softmax(1) for member in student.members)
    torch.testing.assert_close(student(x).exp(), 0.25 * one + 0.75 * other)


def test_the_best_epochs_alpha_is_served():
    result = graphkd.distil("adagmlp", None, gcn(1), graph(), epochs=4, members=2, width=6, progress=False)
    assert float(result.model.alpha.sum()) == pytest.approx(1.0)
    assert result.model(graph().x).shape == (NODES, CLASSES)


def test_what_is_wrong_is_named():
    for settings, message in (
        ({"members": 0}, "'members' must be at least 1, got 0"),
        ({"mask_share": 1.0}, "'output_share' and 'mask_share' must be shares, got 0.9 and 1.0"),
        ({"beta": 0.0}, "'beta' must be positive, got 0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            graphkd.distil("adagmlp", None, gcn(1), graph(), epochs=1, **settings)
