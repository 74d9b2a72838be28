"""Affinities of regions: moments and cosines one member and one component at a time."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch

from graphkd.losses import InterRegionAffinity, inter_region_affinity, louvain_regions
from graphkd.losses.relations.inter_region_affinity import (
    Membership,
    inter_region_affinity_method,
    region_affinity,
    region_moments,
)
from tests.kernels.graphs import normal
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import dot, norm
from tests.losses.methods import problem

NODES, REGIONS = 12, 4
S, T = (normal(NODES, width, dtype=torch.float64, seed=width) for width in (3, 4))
Y = torch.tensor([0, 1, 3, 0, 1, 1, 3, 0, 3, 3, 2, 0])  # of class 2 there is one
WEIGHTS = (normal(NODES, REGIONS, dtype=torch.float64, seed=9).abs() - 0.2).clamp_min(0)  # overlapping, some 0
HARD = torch.nn.functional.one_hot(Y, REGIONS).double()


def moments(x, weight, literal):
    """Of one region, (d,) each; None where it is too small."""
    members = [n for n in range(len(x)) if weight[n] != 0]
    if len(members) < (1 if literal else 3):
        return None
    nodes = range(len(x)) if literal else members
    found = []
    for k in range(len(x[0])):
        values = [float(weight[n]) * float(x[n][k]) for n in nodes]
        mean = sum(values) / len(members)
        second = sum((value - mean) ** 2 for value in values) / len(members)
        found.append((mean, second, sum(((value - mean) / second) ** 3 for value in values) / len(members)))
    return list(zip(*found, strict=True))


def affinities(x, weights, literal=False):
    """Of every moment, (R, R); 0 where a region is too small."""
    found = [moments(x, column, literal) for column in weights.t()]
    return [
        [[dot(a[r], b[r]) / norm(a[r]) / norm(b[r]) if a and b else 0.0 for b in found] for a in found]
        for r in range(3)
    ]


def error(weights, literal=False, valid_only=True, student=S, teacher=T):
    ours, theirs = affinities(student, weights, literal), affinities(teacher, weights, literal)
    valid = [moments(student, column, literal) is not None for column in weights.t()]
    total = sum(
        (a - b) ** 2
        for one, other in zip(ours, theirs, strict=True)
        for row, twin in zip(one, other, strict=True)
        for a, b in zip(row, twin, strict=True)
    )
    return total / 3 / max(sum(valid) if valid_only else len(valid), 1) ** 2


each_reading = pytest.mark.parametrize("literal", [False, True])


# ---------------------------------------------------------------- definitions
@each_reading
@pytest.mark.parametrize("valid_only", [False, True])
@pytest.mark.parametrize(
    ("regions", "weights"), [(Y, HARD), (HARD, HARD), (WEIGHTS, WEIGHTS)], ids=["of", "hard", "soft"]
)
def test_definition(regions, weights, literal, valid_only):
    """Literally, a region of one node is one: its features and the zeros of all others."""
    knobs = {"literal": literal, "valid_only": valid_only}
    want = error(weights, **knobs)
    torch.testing.assert_close(float(inter_region_affinity(S, T, regions, **knobs)), want, rtol=1e-9, atol=0)
    loss = InterRegionAffinity("given", **knobs)
    torch.testing.assert_close(
        float(loss(S, loss.digest(T, regions=regions), regions=regions)), want, rtol=1e-9, atol=0
    )


@each_reading
def test_moments(literal):
    members = Membership.of(Y)
    got = region_moments(S, members, literal=literal)
    for k in range(REGIONS):
        want = moments(S, HARD[:, k], literal)
        for r in range(3):
            torch.testing.assert_close(
                got[r, k].tolist(), [0.0] * 3 if want is None else list(want[r]), rtol=1e-9, atol=0
            )
    assert members.valid(literal=literal).tolist() == [moments(S, column, literal) is not None for column in HARD.t()]
    assert region_affinity(got).shape == (3, REGIONS, REGIONS)


def test_nodes_of_no_region():
    """Below 0, or a row of zeros."""
    chosen, weights = Y.clone(), HARD.clone()
    chosen[[0, 5]], weights[[0, 5]] = -1, 0
    value = inter_region_affinity(S, T, chosen)
    torch.testing.assert_close(float(value), error(weights), rtol=1e-9, atol=0)


# ---------------------------------------------------------------- regions
def test_labels_and_what_the_teacher_says():
    logits = 3 * normal(NODES, REGIONS, dtype=torch.float64, seed=5)
    entries = {"student": (S, -logits), "teacher": (T, logits)}
    ways = {
        "labels": (InterRegionAffinity(), (S, T), {"y": Y}, HARD),
        "teacher": (
            InterRegionAffinity("teacher"),
            tuple(entries.values()),
            {},
            torch.nn.functional.one_hot(logits.argmax(dim=1), REGIONS).double(),
        ),
        "soft": (InterRegionAffinity("soft"), tuple(entries.values()), {}, logits.softmax(dim=1)),
    }
    for loss, (student, teacher), facts, weights in ways.values():
        torch.testing.assert_close(float(loss(student, teacher, **facts)), error(weights), rtol=1e-9, atol=0)


def test_graphs_are_averaged():
    """Regions of different graphs are not compared; one without regions counts 0."""
    parts = [slice(0, 9), slice(9, 12)]
    batch = torch.tensor([0] * 9 + [1] * 3)
    chosen = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, -1, 1, 1, -1])
    weights = torch.nn.functional.one_hot(chosen.clamp_min(0), 2).double() * (chosen >= 0)[:, None]
    want = sum(error(weights[rows], student=S[rows], teacher=T[rows]) for rows in parts) / 2
    assert want > 0
    loss = InterRegionAffinity("given")
    torch.testing.assert_close(float(loss(S, T, regions=chosen, batch=batch)), want, rtol=1e-9, atol=0)


def test_louvain():
    """Two cliques and a bridge, named twice and in one direction; a node alone is a community."""
    cliques = [(i, j) for start, size in ((0, 5), (5, 4)) for i in range(start, start + size) for j in range(start, i)]
    edges = torch.tensor([*cliques, *cliques, (0, 5)]).t()
    assert louvain_regions(edges, 10).tolist() == [0] * 5 + [1] * 4 + [2]


# ---------------------------------------------------------------- small regions and flat features
def test_constant_features_stay_finite():
    student = S.clone()
    student[:, 1] = 2.0
    student.requires_grad_()
    (slope,) = torch.autograd.grad(inter_region_affinity(student, T, Y), student)
    assert slope.isfinite().all()


def test_no_region_is_large_enough():
    student = S.clone().requires_grad_()
    value = inter_region_affinity(student, T, torch.arange(NODES))
    assert value == 0
    assert not torch.autograd.grad(value, student)[0].any()


# ---------------------------------------------------------------- refusals
def test_refusals():
    with pytest.raises(ValueError, match="'regions' must say to which region each node belongs, got None"):
        inter_region_affinity(S, T)
    with pytest.raises(ValueError, match="regions='labels' needs 'y' from the batch, got None"):
        InterRegionAffinity()(S, T)
    with pytest.raises(ValueError, match="regions='given' needs 'regions' from the batch, got None"):
        InterRegionAffinity("given")(S, T)
    with pytest.raises(ValueError, match=r"regions='soft' reads the pair of entries \(hidden, logits\), got one entry"):
        InterRegionAffinity("soft", on="hidden")(S, T)
    with pytest.raises(ValueError, match=r"'y' must hold labels in \[0, 2\), got labels from 0 to 3"):
        InterRegionAffinity(num_regions=2)(S, T, y=Y)
    known = InterRegionAffinity().digest(T, y=Y)
    with pytest.raises(ValueError, match="'teacher' must be about 11 nodes, got a graph of 12"):
        inter_region_affinity(S[1:], known)


def test_the_method_reads_labels_of_labelled_nodes_alone():
    wanted = {"teacher": (("hidden", "logits"), None), "labels": ("hidden", "train_mask")}
    for regions, (on, where) in wanted.items():
        (_, _), (_, loss) = inter_region_affinity_method(problem(), regions=regions).parts()
        assert (loss.on, loss.where) == (on, where)


# ---------------------------------------------------------------- behaviour
def halves(graph, width):
    return {"y": torch.arange(graph.num_nodes) % 2, "regions": torch.arange(graph.num_nodes) % 2}


class TestInterRegionAffinity(Behaviour):
    cases: ClassVar = {
        "InterRegionAffinity": Case(partial(InterRegionAffinity, num_regions=2), (3, 5), facts=halves),
        "InterRegionAffinity_equal_widths": Case(
            partial(InterRegionAffinity, "given", num_regions=2), facts=halves, at_teacher="zero"
        ),
        "InterRegionAffinity_soft": Case(partial(InterRegionAffinity, "soft"), (3, 5)),
        "InterRegionAffinity_literal": Case(
            partial(InterRegionAffinity, num_regions=3, literal=True, valid_only=False), (3, 5)
        ),
    }
