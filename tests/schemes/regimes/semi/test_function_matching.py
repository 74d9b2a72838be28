"""Function matching where its paper has it: few rows, time for many epochs, and inputs mixed anew at every step.

What is to be learnt is the teacher's function, which a hundred rows do not show and mixtures of them do.
"""

from __future__ import annotations

import torch
from torch_geometric.data import Data

import graphkd
from graphkd.core.batches import changed
from tests.schemes.regimes.scene import blobs, mean_of, net

METHODS = ("function_matching",)


def mixed(batch: Data) -> Data:
    """Each row and another, in shares that are drawn anew: mixup, as in the paper."""
    x = batch["x"]
    share = torch.rand(len(x), 1)
    return changed(batch, x=share * x + (1 - share) * x[torch.randperm(len(x))])


def agreement(seed: int, noise) -> float:
    """How many new rows a student answers as its teacher does, in %."""
    new = blobs(seed, rows=800, labels=100, spread=1.5)
    teacher = graphkd.distil("none", net(16, 64, 4, seed=seed), None, new, epochs=40, seed=seed, progress=False).model
    few = Data(x=new.x[:40], y=new.y[:40], train_mask=torch.ones(40, dtype=torch.bool))
    options = {"epochs": 150, "seed": seed, "progress": False, "noise": noise}
    student = graphkd.distil("function_matching", net(16, 64, 4, seed=seed + 1), teacher, few, **options).model
    with torch.no_grad():
        said, told = (model.eval()(new.x).argmax(dim=1) for model in (student, teacher))
    return 100 * float((said == told)[~new.train_mask].float().mean())


def test_rows_mixed_anew_show_the_function(seed_offset):
    plain = mean_of(lambda seed: agreement(seed, lambda batch: batch), 4, seed_offset)

    def holds(noise) -> bool:
        return mean_of(lambda seed: agreement(seed, noise), 4, seed_offset) > plain + 1

    assert holds(mixed)
    assert not holds(lambda batch: changed(batch, x=batch["x"].clone()))  # the same rows at every step
