"""Rows drawn group by group, so that relations within a class and between classes are in every step.

Peng, Jin, Liu, Zhou, Wu, Liu, Zhou and Zhang, "Correlation Congruence for Knowledge Distillation", ICCV 2019,
arXiv:1904.01802.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed, node_ids, own_rows
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.view import Batch
from graphkd.losses.relations.cc import CC
from graphkd.schemes.teachers._several import Expanded


class GroupBatches(Expanded):
    """Each batch ``steps`` times per epoch, with ``drawn``: row numbers, ``rows`` of each of ``count`` random groups.

    The samplers of correlation congruence, Peng et al., ICCV 2019, arXiv:1904.01802. Choose it for losses that compare
    rows with rows, ``CC(where="drawn")``, where random rows are seldom alike. groups: (N,) integers by node id, the
    classes (class-uniform sampling) or clusters of the teacher's features (superclass sampling); nodes with a negative
    one are never drawn. A group with fewer rows repeats some; a batch of a loader draws from its own rows and their
    groups. Raises ValueError unless ``count`` is from 1 to the number of groups, and ``rows`` and ``steps`` are at
    least 1. Draws come from torch's generator, which ``fit`` seeds.
    """

    def __init__(self, data: Batch | Iterable[Batch], groups: Tensor, *, count: int, rows: int, steps: int = 1) -> None:
        found = int(groups[groups >= 0].unique().numel())
        if not 1 <= count <= found or rows < 1 or steps < 1:
            raise ValueError(
                f"'count' must be from 1 to the {found} groups, 'rows' and 'steps' at least 1, got {count}, {rows} and "
                f"{steps}"
            )
        super().__init__(data, lambda batch: (self._drawn(batch) for _ in range(steps)), steps)
        self.groups, self.chosen, self.rows = groups, count, rows

    def _drawn(self, batch: Batch) -> Any:
        groups = self.groups[node_ids(batch)[: own_rows(batch)].to(self.groups.device)]
        members = [(groups == group).nonzero()[:, 0] for group in groups[groups >= 0].unique()]
        chosen = [self._some(members[group]) for group in torch.randperm(len(members))[: self.chosen].tolist()]
        return changed(batch, drawn=torch.cat([*chosen, torch.zeros(0, dtype=torch.long, device=groups.device)]))

    def _some(self, members: Tensor) -> Tensor:
        order = torch.randperm(members.numel(), device=members.device)
        return members[order[torch.arange(self.rows, device=members.device) % members.numel()]]


@method(
    "cc_class_uniform",
    family="teachers",
    paper="Peng et al., ICCV 2019",
    arxiv="1904.01802",
    survey=(61,),
    needs=("hidden",),
)
def cc_class_uniform(
    problem: Problem,
    *,
    weight: float = 0.003,
    temperature: float = 4.0,
    rows: int | None = None,
    count: int | None = None,
    steps: int = 1,
) -> nn.Module:
    """Match a kernel of pairs of labelled rows that are drawn class by class, beside labels and soft targets.

    Choose it over ``cc`` where classes are many or unequal: every step then has pairs within a class and between
    classes. rows: drawn of each class, by default as many as the smallest class has; count: classes per step, by
    default all; steps: per epoch and batch. The paper's ``weight`` is small for a mean over pairs: tune it upwards.
    """
    nodes = problem.labelled_nodes
    groups = torch.full_like(problem.targets, -1).index_copy(0, nodes, problem.targets[nodes])
    _, sizes = groups[groups >= 0].unique(return_counts=True)
    losses = {"labels": problem.supervised(), "soft": problem.soft(temperature), "cc": weight * CC(where="drawn")}
    data = GroupBatches(problem.data, groups, count=count or sizes.numel(), rows=rows or int(sizes.min()), steps=steps)
    return problem.train(problem.distiller(problem.student, problem.teacher, losses), data=data)
