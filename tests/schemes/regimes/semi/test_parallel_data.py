"""Parallel data where its paper has it: pairs of rows, clean for the teacher, and as the student will get them."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphkd.core.batches import changed
from graphkd.core.rng import seeded
from graphkd.schemes.augment import Change
from tests.schemes.regimes.scene import accuracy, mean_of
from tests.schemes.regimes.semi.scene import few_labels, informed, trained

METHODS = ("parallel_data",)


def far(batch: Data) -> Data:
    """The rows as they come from afar: each feature with an echo of its neighbour's, and noise drawn anew."""
    x = batch["x"]
    return changed(batch, x=0.5 * x + x.roll(1, dims=1) + 0.5 * torch.randn_like(x))


def surpassed(seed: int, noise: Change) -> float:
    """By how much a student is better than its teacher on rows from afar, in %."""
    data, teacher = few_labels(seed), informed(seed)
    student = trained("parallel_data", seed, data, teacher, noise=noise)
    with seeded(seed):
        heard = far(data)
    return accuracy(student, heard) - accuracy(teacher, heard)


def test_a_student_of_changed_rows_serves_where_its_teacher_does_not(seed_offset):
    def holds(noise: Change) -> bool:
        return mean_of(lambda seed: surpassed(seed, noise), 3, seed_offset) > 10

    assert holds(far)
    assert not holds(lambda batch: batch)  # taught on rows as the teacher sees them
