"""Ordinal regression where its paper has it: no label, and a rough detector whose ranking is right at its ends."""

from __future__ import annotations

import torch
from torch import Tensor

import graphkd
from graphkd.tasks import AnomalyDetection, area_under_curve
from tests.schemes.regimes.scene import mean_of, net

METHODS = ("ordinal",)
ROWS, ODD, WIDTH = 300, 20, 8


def scene(seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Odd rows lie elsewhere; the first detector sees them through much noise."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(ROWS, WIDTH, generator=generator)
    y = (torch.arange(ROWS) < ODD).long()
    x[y == 1] += 1.5
    return {"x": x, "y": y}, y + 0.6 * torch.randn(ROWS, generator=generator)


def gained(seed: int, informed: bool) -> float:
    """Area under the curve of the student, beyond that of the first detector, in %."""
    data, scores = scene(seed)
    first = area_under_curve(scores, data["y"])
    if not informed:
        scores = scores[torch.randperm(ROWS, generator=torch.Generator().manual_seed(seed))]
    options = {"task": AnomalyDetection(), "epochs": 20, "seed": seed, "progress": False, "high": 0.1}
    found = graphkd.distil("ordinal", net(WIDTH, 32, 1, seed=seed), None, data, scores=scores, **options)
    return 100 * (found.scores["test"]["auc"] - first)


def test_the_ends_of_a_rough_ranking_make_a_better_one(seed_offset):
    def holds(informed: bool) -> bool:
        return mean_of(lambda seed: gained(seed, informed), 3, seed_offset) > 3

    assert holds(True)
    assert not holds(False)  # of a ranking that tells nothing
