"""Common parts of the losses on embedding tables: the triplets of a batch, and the constant tables of a teacher."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

Tables = tuple[Tensor, Tensor]  # users, items


class Triplets(NamedTuple):
    """Users, positive items and negative items of a batch: (B,) ids each."""

    users: Tensor
    positives: Tensor
    negatives: Tensor

    def entities(self) -> tuple[Tensor, Tensor]:
        """Return the sorted distinct users, and the sorted distinct items, positive or negative."""
        return self.users.unique(), torch.cat([self.positives, self.negatives]).unique()


def constant_tables(teacher: Tables, student: Tables) -> Tables:
    """Return the teacher's tables without gradient; ValueError unless they have the rows of the student's."""
    for side, ours, theirs in zip(("user", "item"), student, teacher, strict=True):
        if ours.size(0) != theirs.size(0):
            raise ValueError(
                f"the teacher's '{side}' table must have the {ours.size(0)} rows of the student's, got {theirs.size(0)}"
            )
    user, item = teacher  # under no_grad, too, a table is a parameter of its model
    return user.detach(), item.detach()
