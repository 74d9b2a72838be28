"""DLLM2Rec against its formula as loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from recsys.losses.dllm2rec import dllm2rec, importance, robust
from tests.recsys.losses.examples import log_sigma

SHARES = (0.3, 0.5, 0.1)


def example(**knobs: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(5)
    return {
        "x": torch.randn(4, 9, dtype=torch.float64, generator=generator),
        "targets": torch.tensor([0, 3, 8, 2]),
        "negatives": torch.tensor([1, 1, 4, 7]),
        "candidates": torch.stack([torch.randperm(9, generator=generator)[:3] for _ in range(4)]),
        "distances": torch.rand(4, 3, dtype=torch.float64, generator=generator),
        "item_weights": torch.rand(9, dtype=torch.float64, generator=generator),
        **knobs,
    }


def weights_of(facts: dict[str, Any], row: int) -> list[float]:
    k = 3
    first = set(sorted(range(9), key=lambda item: -facts["x"][row, item].item())[:k])
    sure = [math.exp(-delta) + 1e-8 for delta in facts["distances"][row].tolist()]
    place = [math.exp(-rank) for rank in range(1, k + 1)]
    listed = facts["candidates"][row].tolist()
    each = [
        SHARES[0] * place[n] / sum(place) + SHARES[1] * sure[n] / sum(sure) + SHARES[2] * ((listed[n] in first) + 1e-8)
        for n in range(k)
    ]
    return [weight / sum(each) for weight in each]


def dros_term(facts: dict[str, Any], row: int, item: int, beta: float) -> float:
    x, m = facts["x"][row].tolist(), facts["item_weights"].tolist()
    total = sum(math.exp(x[i] ** 2 * m[i] / beta) for i in range(9) if i != item)
    return math.log(total + math.exp((x[item] - 1) ** 2 * m[item] / beta) + 1e-24)


@pytest.mark.parametrize("row_wise", [False, True])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_it_is_its_formula(shift: float, row_wise: bool) -> None:
    facts = example()
    x, rows = facts["x"], range(4)
    weight = [weights_of(facts, row) for row in rows]
    target, other = facts["targets"].tolist(), facts["negatives"].tolist()
    supervised = -sum(log_sigma(x[b, target[b]]) + log_sigma(-x[b, other[b]]) for b in rows) / 8
    robust_part = sum(dros_term(facts, b, target[b], 2.0) for b in rows) / 4
    pull, listed = 0.0, 0.0
    for k in range(3):
        items = facts["candidates"][:, k].tolist()
        pull -= sum(weight[b][k] * (log_sigma(x[b, items[b]]) + log_sigma(shift - x[b, other[b]])) for b in rows) / 4
        terms = [dros_term(facts, b, items[b], 2.0) for b in rows]
        if row_wise:
            listed += sum(weight[b][k] * terms[b] for b in rows) / 4
        else:
            listed += sum(weight[b][k] for b in rows) / 4 * sum(terms) / 4
    found = dllm2rec(**facts, lam=0.7, dros=0.4, temperature=2.0, negative_shift=shift, row_wise=row_wise)
    torch.testing.assert_close(found.weights, torch.tensor(weight, dtype=torch.float64))
    assert found.supervised.item() == pytest.approx(supervised)
    assert found.distillation.item() == pytest.approx(pull + 0.4 * listed)
    assert found.loss.item() == pytest.approx(supervised + 0.4 * robust_part + 0.7 * (pull + 0.4 * listed))


def test_without_the_teacher_it_is_the_supervised_loss_whatever_the_list() -> None:
    facts = example()
    found = [
        dllm2rec(**facts | {"candidates": each}, lam=0.0) for each in (facts["candidates"], facts["candidates"] * 0)
    ]
    assert found[0].loss == found[1].loss == found[0].supervised
    one, other = (dllm2rec(**facts | {"candidates": each}) for each in (facts["candidates"], facts["candidates"] * 0))
    assert one.loss != other.loss


def test_weights_are_constants_and_sum_to_one() -> None:
    facts = example()
    x = facts["x"].requires_grad_()
    weights = importance(x, facts["candidates"], facts["distances"], SHARES)
    assert not weights.requires_grad
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(4, dtype=torch.float64))
    alike = importance(x, facts["candidates"], facts["distances"] * 0, (0.0, 1.0, 0.0))
    torch.testing.assert_close(alike, torch.full((4, 3), 1 / 3, dtype=torch.float64))


def test_the_robust_term_is_finite_where_its_powers_overflow() -> None:
    x = torch.tensor([[40.0, -30.0, 1.0]], requires_grad=True)
    value = robust(x, torch.tensor([[1, 2]]), torch.full((3,), 0.65))
    value.sum().backward()
    torch.testing.assert_close(value, torch.full((1, 2), 1600 * 0.65))
    assert bool(x.grad.isfinite().all())


def test_errors() -> None:
    facts = example()
    with pytest.raises(
        ValueError, match="'item_weights' must hold a weight for each of 9 items beside 'dros', got none"
    ):
        dllm2rec(**facts | {"item_weights": None}, dros=0.5)
    with pytest.raises(ValueError, match=r"'x' must be \(B, I\), 'targets' and 'negatives' \(B,\)"):
        dllm2rec(**facts | {"targets": facts["targets"][:3]})
    with pytest.raises(ValueError, match=r"'candidates' and 'distances' must be \(4, K\)"):
        dllm2rec(**facts | {"distances": facts["distances"][:, :2]})
    with pytest.raises(ValueError, match="'candidates' must list at most the 9 items, got 10"):
        dllm2rec(**facts | {"candidates": torch.zeros(4, 10, dtype=torch.long), "distances": torch.zeros(4, 10)})
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        dllm2rec(**facts, temperature=0)
