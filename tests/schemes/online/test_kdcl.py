"""KDCL's four targets: the formulas by loops, and the linear one by what its optimum must satisfy."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import graphkd
from graphkd.schemes import (
    general_target,
    general_weights,
    linear_target,
    linear_weights,
    min_logit_target,
    naive_target,
)
from tests.core.models import gcn, graph
from tests.losses.example import CLASSES, LABELS, NODES, STUDENT, TEACHER, softmax

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])


def entropy(row, y):
    return -math.log(softmax(row)[int(y)])


def test_naive():
    for i in NODES:
        best = min(LOGITS, key=lambda peer, i=i: entropy(peer[i], LABELS[i]))
        assert torch.equal(naive_target(LOGITS, LABELS)[i], best[i])


def test_min_logit():
    for i in NODES:
        y = int(LABELS[i])
        want = [min(float(peer[i, c] - peer[i, y]) for peer in LOGITS) for c in CLASSES]
        torch.testing.assert_close(min_logit_target(LOGITS, LABELS)[i], torch.tensor(want, dtype=torch.float64))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5), st.integers(2, 7), st.sampled_from([0.01, 1.0, 10.0]), st.integers(0, 10_000))
def test_linear_is_the_best_convex_combination(count, classes, scale, seed):
    """Optimal weights are those where no peer's slope is below the mixture's: the duality gap is 0."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(count, 9, classes, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (9,), generator=generator)
    weights = linear_weights(logits, y)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(9, dtype=torch.float64))
    mixture = torch.einsum("nm,mnc->nc", weights, logits)
    slope = mixture.softmax(dim=1) - F.one_hot(y, classes)
    slopes = torch.einsum("nc,mnc->nm", slope, logits)
    gap = (weights * slopes).sum(dim=1) - slopes.amin(dim=1)
    assert gap.max() < 1e-8 * max(scale, 1)
    torch.testing.assert_close(linear_target(logits, y), mixture)


def test_steep_logits_are_mixed_no_worse_than_the_best_of_them():
    logits, y = 300 * LOGITS, LABELS
    weights = linear_weights(logits, y)
    mixed = F.cross_entropy(torch.einsum("nm,mnc->nc", weights, logits), y, reduction="none")
    assert (
        mixed <= torch.stack([F.cross_entropy(peer, y, reduction="none") for peer in logits]).amin(dim=0) + 1e-9
    ).all()


def test_equal_peers():
    same = STUDENT.expand(3, -1, -1)
    torch.testing.assert_close(linear_target(same, LABELS), STUDENT)
    torch.testing.assert_close(
        general_weights(same, LABELS), torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0, atol=1e-3
    )


def test_general():
    errors = [[[p - int(c == LABELS[i]) for c, p in enumerate(softmax(peer[i]))] for i in NODES] for peer in LOGITS]
    rows = [[sum(a * b for i in NODES for a, b in zip(x[i], y[i], strict=True)) / 5 for y in errors] for x in errors]
    solved = torch.linalg.inv(torch.tensor(rows, dtype=torch.float64)).sum(dim=1)
    want = solved / solved.sum()
    torch.testing.assert_close(general_weights(LOGITS, LABELS), want)
    target = sum(float(w) * peer for w, peer in zip(want, LOGITS, strict=True))
    torch.testing.assert_close(general_target(LOGITS, LOGITS, LABELS), target)


def test_general_of_peers_that_are_much_alike():
    generator = torch.Generator().manual_seed(0)
    apart = 0.02 * torch.randn(3, 40, 3, generator=generator, dtype=torch.float64)
    y = torch.arange(40) % 3
    errors = ((STUDENT[y] + apart).softmax(dim=-1) - torch.eye(3, dtype=torch.float64)[y]).flatten(1)
    solved = torch.linalg.inv(errors @ errors.t()).sum(dim=1)
    torch.testing.assert_close(general_weights(STUDENT[y] + apart, y), solved / solved.sum(), rtol=1e-9, atol=0)


def test_general_without_rows_weighs_peers_alike():
    found = general_weights(LOGITS[:, :0], LABELS[:0])
    torch.testing.assert_close(found, torch.full((3,), 1 / 3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["kdcl_naive", "kdcl_linear", "kdcl_min_logit", "kdcl_general"])
def test_peers_train(name):
    seen = graphkd.distil(name, gcn(1), None, graph(), count=2, epochs=10, progress=False).history
    assert seen[-1]["label_0"] < seen[0]["label_0"]
    assert seen[0]["soft_0"] > 0


def changed(data, rows):
    data.y[rows] = (data.y[rows] + 1) % 3
    return data


def run(data, **options):
    options = {"epochs": 3, "progress": False, **options}
    model = graphkd.distil("kdcl_general", gcn(1), None, data, **options).model
    return model.state_dict()


def test_general_weighs_by_held_out_labels():
    data = graph()
    data.val_mask[:] = False  # no epoch is chosen
    before, mask = run(data), data.test_mask
    torch.testing.assert_close(run(changed(data.clone(), ~data.train_mask)), before, rtol=0, atol=0)
    told = run(data.clone(), validation=mask)
    assert any(not torch.equal(told[name], value) for name, value in before.items())
    other = run(changed(data.clone(), mask), validation=mask)
    assert any(not torch.equal(told[name], value) for name, value in other.items())


def test_arguments():
    with pytest.raises(ValueError, match=r"'target' must be one of \('naive', 'linear', 'min_logit'\)"):
        graphkd.distil("kdcl_naive", gcn(), None, graph(), target="best")
    with pytest.raises(ValueError, match=r"'validation' must be a boolean mask over the nodes, \(30,\), got"):
        graphkd.distil("kdcl_general", gcn(), None, graph(), validation=torch.arange(3))
    with pytest.raises(ValueError, match=r"'teachers' must have shape \(K, N, C\)"):
        naive_target(STUDENT, LABELS)
