"""What the methods of peers share: who they are, and the one stage that trains them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed, mapped
from graphkd.core.loss import Loss
from graphkd.core.problem import Problem
from graphkd.schemes.online.peers import Peers, Rule


def peers_of(problem: Problem, peers: Sequence[nn.Module] | None, count: int) -> list[nn.Module]:
    """Put the student first and its peers after it: those that were given, else fresh ones of its kind, M in all."""
    if peers is None:
        return [problem.student, *(problem.fresh_student(number) for number in range(1, count))]
    return [problem.student, *(peer.to(problem.device) for peer in peers)]


def leader_last(models: list[nn.Module]) -> list[nn.Module]:
    """Put the student, which comes first, behind its peers, where their leader stands; two peers at least."""
    if len(models) < 3:
        raise ValueError(f"there must be two peers and the student that they lead to, at least, got {len(models)}")
    return [*models[1:], models[0]]


def one_width(problem: Problem, models: Sequence[nn.Module]) -> int:
    """Width of the peers' hidden layers, which must have the same."""
    widths = [problem.width_of(model) for model in models]
    if len(set(widths)) > 1:
        raise ValueError(f"hidden layers of peers must be of one width here, got {widths}: give 'peers' of such")
    return widths[0]


def with_known(problem: Problem, where: str, data: Any = None) -> Any:
    """Give data the entry ``known``, the labels of the rows that the mask ``where`` selects, 0 elsewhere.

    Batch by batch: labels of rows that are in no batch as its own are known too.
    """

    def known(batch: Any) -> Tensor:
        labels = problem.task.targets(batch)
        return torch.where(batch[where], labels, torch.zeros_like(labels))

    return mapped(problem.data if data is None else data, lambda batch: changed(batch, known=known(batch)))


def train_peers(
    problem: Problem,
    models: Sequence[nn.Module],
    rule: Rule,
    *,
    data: Any = None,
    labels: Loss | None = None,
    **options: Any,
) -> nn.Module:
    """Train peers in one stage, and give back the student, at the epoch of its own best validation.

    data: those of the problem by default. labels: its supervised loss. options go to ``Peers``.
    """
    kept = next(place for place, model in enumerate(models) if model is problem.student)
    hidden, calls = [problem.path_of(model) for model in models], [problem.call_of(model) for model in models]
    labels = problem.supervised() if labels is None else labels
    trainable = Peers(models, rule, labels=labels, hidden=hidden, call=calls, **options)
    trained: nn.Module = problem.train(trainable, "peers", data, serve=lambda peers: peers[kept])
    return trained
