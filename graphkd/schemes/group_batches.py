"""Rows drawn group by group, so that relations within a class and between classes are in every step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from graphkd.core.view import Batch
from graphkd.schemes.augment import changed


class GroupBatches:
    """A batch ``steps`` times an epoch, with ``drawn``: row numbers, ``rows`` of each of ``count`` random groups.

    The samplers of correlation congruence, Peng et al., ICCV 2019, arXiv:1904.01802. Choose it for losses that compare
    rows with rows, ``CC(where="drawn")``, where rows at random are seldom alike: groups are the classes (class-uniform
    sampling) or clusters of the teacher's features (superclass sampling), those that are negative belong to none.
    A group with fewer rows repeats some. groups: (N,) integers. Draws come from torch's generator, which ``fit`` seeds.
    """

    def __init__(self, data: Batch, groups: Tensor, *, count: int, rows: int, steps: int = 1) -> None:
        self.members = [(groups == group).nonzero()[:, 0] for group in groups[groups >= 0].unique()]
        if not 1 <= count <= len(self.members) or rows < 1 or steps < 1:
            raise ValueError(
                f"'count' must be from 1 to the {len(self.members)} groups, 'rows' and 'steps' at least 1, "
                f"got {count}, {rows} and {steps}"
            )
        self.data, self.count, self.rows, self.steps = data, count, rows, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self.steps):
            chosen = torch.randperm(len(self.members))[: self.count].tolist()
            yield changed(self.data, drawn=torch.cat([self._some(self.members[group]) for group in chosen]))

    def _some(self, members: Tensor) -> Tensor:
        order = torch.randperm(members.numel(), device=members.device)
        return members[order[torch.arange(self.rows, device=members.device) % members.numel()]]
