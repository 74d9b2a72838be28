"""EHDM: heuristics by loops over neighbours, the gate, and ensembles of students that heuristics taught."""

from __future__ import annotations

import math

import pytest
import torch

import graphkd
from graphkd.gnn import ehdm_heuristics
from graphkd.gnn.ehdm import Gate, LinkEnsemble, mixed
from graphkd.gnn.ehdm_heuristics import Heuristic, link_heuristics, scaled
from graphkd.gnn.llp_predictor import LinkPredictor
from tests.methods.other_tasks import KINDS
from tests.methods.scene import FEATURES

EDGES = [(0, 1), (1, 2), (2, 3), (0, 2), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9)]  # 10 is alone
PAIRS = [(0, 3), (0, 2), (1, 3), (4, 6), (0, 8), (0, 9), (0, 10), (5, 5), (1, 2)]


def slow(pair, kind):
    neighbours = {node: {b for a, b in EDGES if a == node} | {a for a, b in EDGES if b == node} for node in range(11)}
    i, j = pair
    common = neighbours[i] & neighbours[j]
    degree = {node: len(found) for node, found in neighbours.items()}
    if kind == "cn":
        return len(common)
    if kind == "ra":
        return sum(1 / degree[k] for k in common)
    if kind == "aa":
        return sum(1 / math.log(degree[k]) if degree[k] > 1 else 0.0 for k in common)
    ring, length, seen = {i}, 0, {i}
    while ring and j not in ring:
        ring, length = set().union(*(neighbours[node] for node in ring)) - seen, length + 1
        seen |= ring
    return 999.0 if i == j else 1 / length if ring and length <= 6 else 1 / 999


@pytest.mark.parametrize("small", [False, True])
def test_heuristics(monkeypatch, small):
    if small:
        monkeypatch.setattr(ehdm_heuristics, "PAIRS", 2)
        monkeypatch.setattr(ehdm_heuristics, "SOURCES", 2)
    edges = torch.tensor([*EDGES, (1, 0), (0, 1)]).t()  # twice, and one way alone
    found = link_heuristics(edges, torch.tensor(PAIRS).t(), 11)
    for row, pair in zip(found, PAIRS, strict=True):
        assert row.tolist() == pytest.approx([slow(pair, kind) for kind in ("aa", "ra", "cn", "path")]), pair


def test_no_pairs_have_no_scores():
    assert link_heuristics(torch.tensor(EDGES).t(), torch.zeros(2, 0, dtype=torch.long), 11).shape == (0, 4)


def test_scaling_is_by_what_is_known():
    known = torch.tensor([[0.0, 2.0], [4.0, 2.0]])
    assert scaled(torch.tensor([[2.0, 2.0]]), known).tolist() == [[pytest.approx(0.5), 0.0]]


def test_a_gate_weighs_members():
    torch.manual_seed(0)
    for count in (0, 3):
        gate = Gate(4, 2, 5, heuristics=count)
        weights = gate(torch.randn(6, 4), torch.randn(6, count) if count else None)
        torch.testing.assert_close(weights.sum(1), torch.ones(6))
    chances = torch.tensor([[0.2, 0.6]])
    assert float(mixed(chances, torch.tensor([[0.25, 0.75]]))) == pytest.approx((0.5 + 1e-6) / 1.001)


def given():
    found = KINDS["link_prediction"]()
    return found["data"], found["task"]


@pytest.mark.parametrize("gated", [False, True])
def test_students_of_heuristics_answer_together(gated):
    data, task = given()
    options = {"task": task, "epochs": 2, "progress": False, "width": 6, "heuristics": ("cn", "path")}
    result = graphkd.distil("ehdm", None, None, data, gated=gated, **options)
    assert isinstance(result.model, LinkEnsemble)
    stages = list(dict.fromkeys(report["stage"] for report in result.history))
    assert stages == ["1-cn", "2-path", *(["gate"] if gated else [])]
    pairs, (one, other) = data.edge_label_index, result.model.members
    assert not torch.equal(one.encoder.lins[0].weight, other.encoder.lins[0].weight)
    got = result.model(data.x, pairs).sigmoid()
    want = torch.stack([member(data.x, pairs).sigmoid() for member in (one, other)]).mean(0)
    if not gated:
        torch.testing.assert_close(got, (want + 1e-6) / 1.001)
    else:
        assert not torch.allclose(got, (want + 1e-6) / 1.001)
    assert not result.model.training


def test_the_gate_alone_learns():
    data, task = given()
    options = {"task": task, "progress": False, "width": 6, "heuristics": ("cn", "aa"), "seed": 3}
    models = [
        graphkd.distil("ehdm", None, None, data, gated=gated, epochs=2, **options).model for gated in (False, True)
    ]
    members = [model.members.state_dict() for model in models]
    assert all(torch.equal(value, members[1][name]) for name, value in members[0].items())


def test_a_heuristic_teaches_llp():
    data, task = given()
    student = LinkPredictor(FEATURES, 6)
    result = graphkd.distil("llp", student, Heuristic("ra"), data, task=task, epochs=2, progress=False)
    assert math.isfinite(result.scores["test"]["auc"])


def test_what_is_wrong_is_named():
    data, task = given()
    with pytest.raises(ValueError, match="'kind' must be one of"):
        Heuristic("katz")
    with pytest.raises(ValueError, match="'heuristics' must be some of 'cn', 'aa', 'ra' and 'path', got 'cn'"):
        graphkd.distil("ehdm", None, None, data, task=task, epochs=1, heuristics="cn")
