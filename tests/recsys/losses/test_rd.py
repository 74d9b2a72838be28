"""RD against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.losses import RD
from recsys.losses.rd import _counted, _sorted, discrepancy_weights, position_weights, rd, rd_weights
from tests.recsys.losses.examples import log_sigma, scores


def test_position_weights() -> None:
    raw = [math.exp(-(r + 1) / 3.0) for r in range(5)]
    assert position_weights(5, 3.0).tolist() == pytest.approx([x / sum(raw) for x in raw])
    assert position_weights(600, 0.1).isfinite().all()


@pytest.mark.parametrize("first_rank", [0, 1])
def test_discrepancy_weights(first_rank: int) -> None:
    top, sampled = scores(4, 5), scores(4, 7)
    sampled[0, :3] = top[0, 0]  # equal scores do not count as above
    want = torch.zeros(4, 5, dtype=torch.float64)
    for u in range(4):
        for r in range(5):
            above = sum(float(x) > float(top[u, r]) for x in sampled[u])
            rank = math.floor(99 * (above / 7)) + first_rank
            want[u, r] = math.tanh(max(0.1 * (rank - r), 0.0))
    torch.testing.assert_close(discrepancy_weights(top, sampled, 100, 0.1, first_rank), want)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("length", "samples"), [(3, 7), (3, 300), (0, 7), (3, 0), (200, 7)])
def test_ranks_are_counted_as_they_are_sorted(dtype: torch.dtype, length: int, samples: int) -> None:
    torch.manual_seed(0)
    top, sampled = (torch.randn(5, width).mul(2).round().to(dtype) for width in (length, samples))  # with ties
    want = (sampled[:, None] > top[:, :, None]).sum(dim=2)
    assert torch.equal(_counted(top, sampled), want)
    assert torch.equal(_sorted(top, sampled), want)
    assert discrepancy_weights(top, sampled, 100).dtype == dtype


@pytest.mark.parametrize("weighting", ["static", "dynamic", "hybrid"])
@pytest.mark.parametrize("renormalise", [False, True])
def test_rd_is_its_formula(weighting: str, renormalise: bool) -> None:
    top, sampled = scores(4, 5), scores(4, 7)
    static, dynamic = position_weights(5, 2.0), discrepancy_weights(top, sampled, 100, 0.1)
    weight = {"static": static.expand(4, 5), "dynamic": dynamic, "hybrid": static * dynamic}[weighting]
    if renormalise:
        weight = weight / weight.sum(dim=1, keepdim=True)
    total = sum(-float(weight[u, r]) * log_sigma(top[u, r]) for u in range(4) for r in range(5))
    loss = RD(100, weighting=weighting, decay=2.0, start_epoch=3, renormalise=renormalise)  # type: ignore[arg-type]
    loss.set_epoch(3, 10)
    entries = (top,) if weighting == "static" else (top, sampled)
    assert float(loss(entries)) == pytest.approx(total / 4)


def test_rd_is_hybrid_from_its_start_epoch_on() -> None:
    top, sampled = scores(4, 5), scores(4, 7)
    loss = RD(100, start_epoch=2)
    static, hybrid = (rd_weights(top, sampled, weighting=w, num_items=100).weight for w in ("static", "hybrid"))
    for epoch, want in enumerate([static, static, hybrid, hybrid]):
        loss.set_epoch(epoch, 4)
        torch.testing.assert_close(loss.weights(top, sampled).weight, want)


def test_rd_weights_are_constants() -> None:
    top, sampled = scores(4, 5).requires_grad_(), scores(4, 7).requires_grad_()
    weights = rd_weights(top, sampled, num_items=100)
    assert not any(each.requires_grad for each in weights)
    grad_top, grad_sampled = torch.autograd.grad(rd(top, weights.weight), [top, sampled], allow_unused=True)
    torch.testing.assert_close(grad_top, -weights.weight * torch.sigmoid(-top) / 4)
    assert grad_sampled is None


def test_rd_unkd_averages_over_items() -> None:
    top, sampled = scores(4, 5), scores(4, 7)
    ours = RD(100, start_epoch=0, first_rank=1)
    torch.testing.assert_close(RD.unkd(100, start_epoch=0)((top, sampled)), ours((top, sampled)) / 5)


def test_rd_items_that_the_student_ranks_well_weigh_nothing() -> None:
    top, sampled = torch.full((2, 4), 5.0), torch.zeros(2, 9)
    assert rd_weights(top, sampled, num_items=100, renormalise=True).weight.abs().max() == 0


def test_rd_errors() -> None:
    with pytest.raises(ValueError, match="estimates the student's ranks: give 'sampled', got None"):
        rd_weights(scores(4, 5), num_items=100)
    with pytest.raises(ValueError, match="give 'num_items', got None"):
        rd_weights(scores(4, 5), scores(4, 7))
    with pytest.raises(ValueError, match="'weighting' must be one of"):
        rd_weights(scores(4, 5), weighting="mixed")  # type: ignore[arg-type]
