"""Tri-training: whose votes count, and that nothing but the three learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkd
from graphkd.core.problem import Problem
from graphkd.schemes import agreed_labels
from tests.core.models import CLASSES, gcn, graph


def test_agreed_labels():
    votes = torch.tensor([[0, 1, 2, 1], [0, 1, 0, 2], [1, 1, 2, 2]])
    logits = nn.functional.one_hot(votes, CLASSES).float()
    rows = torch.tensor([0, 2, 3])
    for k, (chosen, labels) in enumerate(agreed_labels(logits, rows)):
        one, other = (votes[j] for j in range(3) if j != k)
        want = [int(i) for i in rows if one[i] == other[i]]
        assert chosen.tolist() == want
        assert labels.tolist() == [int(one[i]) for i in want]
    with pytest.raises(ValueError, match=r"'logits' must have shape \(3, N, C\)"):
        agreed_labels(logits[:2], rows)


@pytest.fixture
def stages(monkeypatch):
    """What every stage trained on: name -> (seed, labels, rows)."""
    seen, train = {}, Problem.train

    def watched(problem, task, name, data, *, seed):
        seen[name] = seed, data["y"], data["chosen"]
        return train(problem, task, name, data, seed=seed)

    monkeypatch.setattr(Problem, "train", watched)
    return seen


def test_three_models_start_on_samples_of_the_labelled_rows(stages):
    data = graph()
    labelled = data.train_mask.nonzero()[:, 0]
    result = graphkd.distil("tri_training", gcn(1), None, data, rounds=1, epochs=40, seed=4)
    assert list(stages) == [f"{part}-{k}" for part in ("start", "round-1") for k in (1, 2, 3)]
    assert [seed for seed, _, _ in stages.values()] == [4, 5, 6] * 2
    for k in (1, 2, 3):
        _, labels, rows = stages[f"start-{k}"]
        assert rows.numel() == labelled.numel()
        assert set(rows.tolist()) < set(labelled.tolist())
        assert torch.equal(labels[labelled], data.y[labelled])
        assert not labels[~data.train_mask].any()
        _, labels, rows = stages[f"round-1-{k}"]
        assert torch.equal(rows[: labelled.numel()], labelled)
        assert torch.equal(labels[labelled], data.y[labelled])
        others = rows[labelled.numel() :]
        assert others.unique().numel() == others.numel() > 0
        assert not data.train_mask[others].any()
    hits = (result.model(data.x, data.edge_index).argmax(dim=1) == data.y)[data.train_mask].float().mean()
    assert hits > 0.6


def test_rounds_end_where_no_set_of_agreed_rows_changes(stages):
    """Models that do not learn agree as before."""
    still = lambda parameters: torch.optim.SGD(parameters, lr=0.0)  # noqa: E731
    graphkd.distil("tri_training", gcn(1), None, graph(), rounds=5, epochs=1, optimizer=still)
    assert [name for name in stages if name.startswith("round")] == [f"round-1-{k}" for k in (1, 2, 3)]


def test_peers_are_two():
    result = graphkd.distil("tri_training", gcn(1), None, graph(), peers=[gcn(2, width=4), gcn(3, width=6)], epochs=2)
    assert result.model.hidden_channels == 8
    with pytest.raises(ValueError, match="'peers' must be two models besides the student, got 1"):
        graphkd.distil("tri_training", gcn(1), None, graph(), peers=[gcn(2)], epochs=1)
