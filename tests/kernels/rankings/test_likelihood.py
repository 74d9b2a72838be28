"""Rankings whose scores are far apart, with a floor below some or all of the sums."""

from __future__ import annotations

import pytest
import torch

from graphkd.kernels.rankings.likelihood import ranking_log_likelihood, ranking_log_likelihood_reference


@pytest.mark.parametrize("floor", [0.0, 1e-5])
@pytest.mark.parametrize(
    "scores",
    [
        [1311.9, -2081.4, 1117.1, 415.2, -505.6],  # the last sum alone is below the floor
        [-50.0, -60.0, -70.0],  # all are
        [3.0, -60.0, 1.0, -70.0],
        [0.3, 0.1, -0.2],  # the control: none is
    ],
)
def test_gradients_are_those_of_the_formula(scores, floor):
    found = []
    for function in (ranking_log_likelihood, ranking_log_likelihood_reference):
        x = torch.tensor([scores], dtype=torch.float64, requires_grad=True)
        rest = torch.tensor([-100.0], dtype=torch.float64, requires_grad=True)
        value = function(x, rest, floor)
        found.append([value, *torch.autograd.grad(value.sum(), (x, rest))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-9)
