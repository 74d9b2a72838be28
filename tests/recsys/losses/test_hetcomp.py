"""HetComp against its formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys import Interactions
from recsys.losses import HetComp
from recsys.losses.hetcomp import Phase, hetcomp_overall, hetcomp_rank, list_ndcg, stage_discrepancy
from recsys.models import Lists

ROWS, ITEMS = 3, 40


def example() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(ROWS, ITEMS, dtype=torch.float64, generator=generator)
    scores[0, 0] = 50.0  # beyond the clamp
    orders = torch.stack([torch.randperm(ITEMS, generator=generator) for _ in range(ROWS)])
    observed = torch.zeros(ROWS, ITEMS, dtype=torch.bool).scatter(1, orders[:, :6], True)
    return scores, orders[:, :3], orders[:, 6:26], observed


def rest(row: list[float], observed: Tensor, apart: list[int]) -> float:
    return sum(math.exp(row[i]) for i in range(ITEMS) if not observed[i] and i not in apart)


def ranking(row: list[float], listed: list[int], beyond: float, floor: float) -> float:
    value = 0.0
    for k, item in enumerate(listed):
        value -= row[item] - math.log(max(beyond + sum(math.exp(row[i]) for i in listed[k:]), floor))
    return value


@pytest.mark.parametrize("floor", [1e-5, 1e4])
def test_overall_is_its_formula(floor: float) -> None:
    scores, positives, tops, observed = example()
    total = 0.0
    for u in range(ROWS):
        row = scores[u].clamp(-40, 40).tolist()
        beyond = rest(row, observed[u], tops[u].tolist())
        total += sum(ranking(row, [i], beyond, floor) for i in [*positives[u].tolist(), *tops[u].tolist()])
    assert float(hetcomp_overall(scores, positives, tops, observed, floor=floor)) == pytest.approx(total)


@pytest.mark.parametrize("floor", [1e-5, 1e4])
def test_rank_is_its_formula(floor: float) -> None:
    scores, positives, tops, observed = example()
    total = 0.0
    for u in range(ROWS):
        row = scores[u].clamp(-40, 40).tolist()
        half, tenth = tops[u].tolist()[:10], tops[u].tolist()[:2]
        beyond = {len(part): rest(row, observed[u], part) for part in (half, tenth)}
        total += ranking(row, positives[u].tolist(), beyond[10], floor)
        total += (ranking(row, half, beyond[10], floor) + ranking(row, tenth, beyond[2], floor)) / 2
    assert float(hetcomp_rank(scores, positives, tops, observed, floor=floor)) == pytest.approx(total)


@pytest.mark.parametrize("loss", [hetcomp_overall, hetcomp_rank])
def test_gradients(loss: Callable[..., Tensor]) -> None:
    scores, *lists = example()
    scores[0, 0] = 1.0  # gradients jump at the clamp
    assert torch.autograd.gradcheck(lambda x: loss(x, *lists), scores.requires_grad_())


@pytest.mark.parametrize(
    ("phase", "function", "weight"), [("overall", hetcomp_overall, 1), ("rank", hetcomp_rank, 0.5)]
)
@pytest.mark.parametrize("given", [False, True])
def test_the_class_builds_scores_and_mask(
    phase: Phase, function: Callable[..., Tensor], weight: float, given: bool
) -> None:
    _, positives, tops, observed = example()
    user, item = torch.randn(5, 4), torch.randn(ITEMS, 4)
    users = torch.tensor([4, 0, 3])
    rows, items = observed.nonzero().unbind(1)
    pairs = Interactions.from_pairs(users[rows], items, 5, ITEMS)
    lists = {"tops": Lists(users, tops), "known": Lists(users, positives)}
    got = (
        HetComp(pairs)((user, item), **lists, phase=phase)
        if given
        else HetComp(pairs, phase=phase)((user, item), **lists)
    )
    torch.testing.assert_close(got, weight * function(user[users] @ item.T, positives, tops, observed))
    with pytest.raises(ValueError, match="'known' must be about the users of 'tops'"):
        HetComp(pairs)((user, item), tops=Lists(users, tops), known=Lists(users.flip(0), positives))


@pytest.mark.parametrize("phase", ["overall", "rank"])
def test_padding_is_no_candidate(phase: Phase) -> None:
    user, item = torch.randn(4, 3), torch.randn(ITEMS, 3)
    users, tops = torch.tensor([1, 3]), torch.arange(5, 25).expand(2, -1)
    pairs = Interactions.from_pairs(torch.tensor([1, 3]), torch.tensor([1, 2]), 4, ITEMS, padding=True)
    lists = {"tops": Lists(users, tops), "known": Lists(users, torch.tensor([[1], [2]]))}
    values = []
    for score in (0.0, 100.0):
        item[0] = score
        values.append(HetComp(pairs, phase=phase)((user, item), **lists))
    assert torch.equal(*values)


def test_everything_observed_but_the_tops_is_finite() -> None:
    scores, positives, tops, _ = example()
    observed = torch.ones(ROWS, ITEMS, dtype=torch.bool).scatter(1, tops, False)
    scores.requires_grad_()
    hetcomp_overall(scores, positives, tops, observed).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_list_ndcg_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(1)
    student = torch.stack([torch.randperm(30, generator=generator) for _ in range(2)])
    teacher = torch.stack([torch.randperm(30, generator=generator)[:12] for _ in range(2)])
    observed = torch.tensor([[0, 1, 2], [5, 5, 9]])
    for u in range(2):
        kept = [i for i in student[u].tolist() if i not in observed[u].tolist()][:8]
        gain = [(2 ** math.exp(-r / 4) - 1) / math.log2(r + 2) for r in range(8)]
        found = sum(g for g, i in zip(gain, kept, strict=True) if i in teacher[u, :8].tolist())
        got = list_ndcg(student, teacher, observed, k=8, decay=4.0)
        assert float(got[u]) == pytest.approx(found / sum(gain))
    rounded = list_ndcg(student, teacher, k=8, decimals=2)
    torch.testing.assert_close(rounded * 100, (rounded * 100).round())


def test_agreement_is_no_discrepancy() -> None:
    teacher = torch.randperm(60)[None, :50]
    assert float(stage_discrepancy(teacher, teacher)) == pytest.approx(0)
    assert float(stage_discrepancy(teacher + 100, teacher)) == pytest.approx(1)


def test_errors() -> None:
    scores, positives, tops, observed = example()
    with pytest.raises(ValueError, match="'observed' must have the shape of 'scores'"):
        hetcomp_overall(scores, positives, tops, observed[:, :5])
    with pytest.raises(ValueError, match="'tops' must have the rows of 'scores', 3"):
        hetcomp_rank(scores, positives, tops[:2], observed)
    pairs = Interactions.from_pairs(tops[0], tops[0], 50, 50)
    with pytest.raises(ValueError, match="'phase' must be one of"):
        HetComp(pairs, phase="last")  # type: ignore[arg-type]
    lists = {"tops": Lists(torch.arange(3), tops), "known": Lists(torch.arange(3), positives)}
    with pytest.raises(ValueError, match="'phase' must be one of"):
        HetComp(pairs)((torch.randn(50, 2), torch.randn(50, 2)), **lists, phase="last")  # type: ignore[arg-type]
