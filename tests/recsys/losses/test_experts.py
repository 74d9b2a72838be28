"""Routed experts: the two cheaper forms against the one that is written in papers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recsys.losses import Annealing, RoutedExperts
from recsys.losses._experts import gumbel_like, route
from recsys.losses._routed import mixture, routed

WEIGHTS = ("w1", "b1", "w2", "b2")


def stack(experts: int = 4, student: int = 3, teacher: int = 6) -> RoutedExperts:
    torch.manual_seed(experts)
    return RoutedExperts(student, teacher, experts).double()


def naive(x: Tensor, z: Tensor, experts: RoutedExperts) -> Tensor:
    """Every expert on every row, weighted at the end: (n, d_t, M)."""
    w1, b1, w2, b2 = (getattr(experts, name) for name in WEIGHTS)
    each = [torch.relu(x @ w1[m].T + b1[m]) @ w2[m].T + b2[m] for m in range(len(w1))]
    return (torch.stack(each, dim=2) * z[:, None, :]).sum(dim=2)


def weights(experts: RoutedExperts) -> list[Tensor]:
    return [getattr(experts, name) for name in WEIGHTS]


def routings(kind: str, rows: int, experts: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    soft = torch.randn(rows, experts, dtype=torch.float64, generator=generator).softmax(dim=1)
    hard = torch.nn.functional.one_hot(soft.argmax(dim=1), experts).double()
    mixed = torch.where(torch.arange(rows)[:, None] % 3 == 0, soft, hard)
    return {"soft": soft, "hard": hard, "mixed": mixed}[kind]


@pytest.mark.parametrize("kind", ["soft", "hard", "mixed"])
@pytest.mark.parametrize("rows", [0, 1, 11])
def test_routed_is_the_naive_mixture(kind: str, rows: int) -> None:
    experts = stack()
    x = torch.randn(rows, 3, dtype=torch.float64, requires_grad=True)
    z = routings(kind, rows, 4)
    parameters = [x, *weights(experts)]
    got, want = routed(x, z, *weights(experts)), naive(x, z, experts)
    torch.testing.assert_close(got, want)
    slopes = (torch.autograd.grad(out.square().sum(), parameters) for out in (got, want))
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_grouped_rows_equal_the_mixture_once_routing_is_one_hot() -> None:
    experts = stack()
    x, z = torch.randn(20, 3, dtype=torch.float64), routings("hard", 20, 4)
    torch.testing.assert_close(routed(x, z, *weights(experts)), mixture(x, z, *weights(experts)))


def test_the_soft_mixture_has_the_gradient_of_the_routing() -> None:
    experts = stack(3, 2, 3)
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    z = routings("soft", 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: mixture(a, b, *weights(experts)), (x, z))


@pytest.mark.parametrize("eps", [0.0, 1e-3])
def test_route_is_its_formula(eps: float) -> None:
    gates, noise = torch.randn(2, 5, 4, dtype=torch.float64)
    got = route(gates, 0.7, noise, eps)
    for row in range(5):
        total = sum(math.exp(x) for x in gates[row])
        raw = [
            math.exp((math.log(math.exp(x) / total + eps) + float(g)) / 0.7)
            for x, g in zip(gates[row], noise[row], strict=True)
        ]
        assert got[row].tolist() == pytest.approx([x / sum(raw) for x in raw])


def test_a_cold_route_is_one_hot_where_the_noisy_gate_is_largest() -> None:
    gates, noise = torch.randn(2, 50, 6)
    got = route(gates, 1e-10, noise)
    torch.testing.assert_close(got, torch.nn.functional.one_hot((gates.log_softmax(1) + noise).argmax(1), 6).float())


def test_a_single_expert_gets_everything_without_noise() -> None:
    assert route(torch.randn(5, 1), 0.5, torch.randn(5, 1)).tolist() == [[1.0]] * 5
    state = torch.get_rng_state()
    route(torch.randn(0, 1), 0.5)
    assert torch.equal(torch.get_rng_state(), state)


def test_extreme_gates_are_finite_in_float32() -> None:
    gates = (200 * torch.randn(6, 4).sign()).requires_grad_()
    z = route(gates, 1e-3, torch.randn(6, 4))
    z.square().sum().backward()
    assert z.isfinite().all()
    assert gates.grad is not None
    assert gates.grad.isfinite().all()


def test_gumbel_noise_has_its_mean_and_variance() -> None:
    torch.manual_seed(0)
    noise = gumbel_like(torch.empty(200_000, dtype=torch.float64))
    assert float(noise.mean()) == pytest.approx(0.5772, abs=0.01)
    assert float(noise.var()) == pytest.approx(math.pi**2 / 6, abs=0.03)


def test_annealing_lags_by_an_epoch_as_the_authors_do() -> None:
    tau = [Annealing(epochs=1000).at(epoch, 50) for epoch in (0, 1, 2, 251)]
    assert tau == pytest.approx([1.0, 1.0, 10 ** (-10 / 1000), 10**-2.5])
    assert Annealing(lag=False).at(50, 100) == pytest.approx(1e-5)
    assert Annealing(2.0, 2.0).at(7, 10) == pytest.approx(2.0)


@pytest.mark.parametrize(("student", "teacher", "hidden"), [(4, 8, 6), (3, 8, 5), (6, 6, 3)])
def test_hidden_widths(student: int, teacher: int, hidden: int) -> None:
    assert RoutedExperts(student, teacher, 2).b1.shape == (2, hidden)
