"""What all losses on score matrices have in common: rows, ranges, empty lists, errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from recsys.losses.bpr import bpr
from recsys.losses.cd import cd
from recsys.losses.hetcomp import hetcomp_overall, hetcomp_rank
from recsys.losses.log_loss import log_loss
from recsys.losses.rd import position_weights, rd
from recsys.losses.rrd import rrd
from recsys.losses.unkd import unkd

Losses = Callable[[Tensor, Tensor], Tensor]

# Each takes two (R, M) matrices and sums or averages over rows.
SUMS: dict[str, Losses] = {
    "bpr": bpr,
    "rrd": rrd,
    "rrd_squash": partial(rrd, squash=True),
    "cd_sum": partial(cd, reduction="sum"),
    "unkd_sum": partial(unkd, reduction="sum"),
    "log_loss_sum": partial(log_loss, reduction="sum"),
    "rd_sum": lambda s, _: rd(s, position_weights(s.size(1), like=s), reduction="sum"),
}
MEANS: dict[str, Losses] = {
    "bpr_mean": partial(bpr, reduction="mean"),
    "rrd_mean": partial(rrd, reduction="mean"),
    "cd": cd,
    "unkd": unkd,
    "log_loss": log_loss,
    "rd": lambda s, _: rd(s, position_weights(s.size(1), like=s)),
}
ALL = SUMS | MEANS


def matrices(rows: int = 5, columns: int = 4, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [scale * torch.randn(rows, columns, dtype=dtype, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("name", ALL)
def test_rows_are_exchangeable(name: str) -> None:
    a, b = matrices()
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(ALL[name](a[order], b[order]), ALL[name](a, b))


@pytest.mark.parametrize("name", ALL)
def test_a_repeated_batch_counts_twice_in_sums_and_once_in_means(name: str) -> None:
    a, b = matrices()
    factor = 2 if name in SUMS else 1
    torch.testing.assert_close(ALL[name](torch.cat([a, a]), torch.cat([b, b])), factor * ALL[name](a, b))


@pytest.mark.parametrize("name", ALL)
def test_large_scores_are_finite_in_float32(name: str) -> None:
    ours, others = matrices(dtype=torch.float32)
    a, b = (200 * ours.sign()).requires_grad_(), (200 * others.sign()).requires_grad_()
    loss = ALL[name](a, b)
    loss.backward()
    assert loss.isfinite()
    assert a.grad is not None
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_nothing_to_compare_is_zero(name: str, shape: tuple[int, int]) -> None:
    a = torch.zeros(shape, requires_grad=True)
    loss = ALL[name](a, torch.zeros(shape))
    loss.backward()
    assert float(loss.detach()) == 0


@pytest.mark.parametrize("name", ALL)
def test_gradients(name: str) -> None:
    a, b = matrices(3, 3)
    assert torch.autograd.gradcheck(lambda x: ALL[name](x, b), a.requires_grad_())


@pytest.mark.parametrize("loss", [bpr, log_loss, unkd, rrd])
def test_lists_of_other_users_are_an_error(loss: Losses) -> None:
    with pytest.raises(ValueError, match=r"must have the rows of .*, 5, got shapes"):
        loss(torch.zeros(5, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"must hold scores of shape \(lists, length\), got \(5,\)"):
        loss(torch.zeros(5), torch.zeros(5))


def test_unknown_reductions_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"'reduction' must be one of .*, got 'median'"):
        bpr(torch.zeros(5, 1), torch.zeros(5, 1), reduction="median")  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", [hetcomp_overall, hetcomp_rank])
def test_hetcomp_is_finite_in_float32(loss: Callable[..., Tensor]) -> None:
    scores = (200 * matrices(2, 40, dtype=torch.float32)[0].sign()).requires_grad_()
    observed = torch.zeros(2, 40, dtype=torch.bool)
    observed[:, :3] = True
    value = loss(scores, torch.arange(3).expand(2, 3), torch.arange(3, 23).expand(2, 20), observed)
    value.backward()
    assert value.isfinite()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
