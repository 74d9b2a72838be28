"""Peers under a rule, trained for a while."""

from __future__ import annotations

from graphkd import fit
from graphkd.losses import CE
from graphkd.schemes import Peers
from tests.core.models import gcn, graph


def peers_trained(rule, count=3):
    """Terms of peers under a rule, which gives every parameter a gradient, and trains."""
    task = Peers([gcn(seed) for seed in range(count)], rule, labels=CE(where="train_mask"), hidden="convs.0")
    loss, terms = task(graph())
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in task.parameters())
    fit(task, graph(), epochs=3)
    return terms


def all_parts_train(task):
    """Every peer learns, and so does the rule."""
    seen: list = []
    task(graph()).loss.backward()
    assert all(parameter.grad is not None for parameter in task.parameters())
    assert all(parameter.grad.any() for parameter in task.student.parameters())
    # a bias before batch norm, and one that softmax over peers cancels, learn nothing
    assert any(parameter.grad.any() for parameter in task.rule.parameters())
    peers = fit(task, graph(), epochs=30, log=seen.append)
    assert len(peers) == len(task.student)
    assert seen[-1]["label_0"] < seen[0]["label_0"]
