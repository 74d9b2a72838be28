"""DE against its formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from graphkd import Distiller, Frozen
from recsys.losses import BPR, DE, Annealing
from recsys.losses._experts import route
from recsys.losses._tables import Triplets
from recsys.models import MF, Lists, show
from tests.recsys.losses.test_experts import naive


def example(experts: int = 3, dtype: torch.dtype = torch.float64, **knobs: Any) -> tuple[DE, dict[str, Any]]:
    torch.manual_seed(2)
    loss = DE(3, 5, experts, **knobs).to(dtype)
    facts = {"users": [0, 2, 2, 5], "positives": [1, 1, 4, 8], "negatives": [3, 3, 0, 1]}
    arguments: dict[str, Any] = {name: torch.tensor(ids) for name, ids in facts.items()}
    arguments["student"] = (torch.randn(6, 3, dtype=dtype), torch.randn(9, 3, dtype=dtype))
    arguments["teacher"] = (torch.randn(6, 5, dtype=dtype), torch.randn(9, 5, dtype=dtype))
    return loss, arguments


@pytest.mark.parametrize("experts", [1, 3])
@pytest.mark.parametrize("squared", [True, False])
def test_de_is_its_formula(experts: int, squared: bool) -> None:
    loss, arguments = example(experts, temperature=0.8, squared=squared)
    noise = {name: torch.randn(3, experts).double() for name in ("users", "positives", "negatives")}
    total = 0.0
    for name, side, factor in (("users", 0, 1.0), ("positives", 1, 0.5), ("negatives", 1, 0.5)):
        module = (loss.users, loss.items)[side]
        for row, entity in enumerate(sorted(set(arguments[name].tolist()))):
            s, t = arguments["student"][side][entity], arguments["teacher"][side][entity]
            alpha = (module.gate_w @ t + module.gate_b).softmax(0)
            z = ((alpha.log() + noise[name][row]) / 0.8).softmax(0)
            missed = (t - naive(s[None], z[None], module)[0]).square().sum().item()
            total += factor * (missed if squared else math.sqrt(missed))
    assert loss(**arguments, gumbel=noise).item() == pytest.approx(total)


def test_de_does_not_depend_on_the_order_of_the_batch() -> None:
    loss, arguments = example(temperature=0.8)
    noise = {name: torch.randn(3, 3).double() for name in ("users", "positives", "negatives")}
    other = arguments | {name: arguments[name].flip(0) for name in noise}
    torch.testing.assert_close(loss(**other, gumbel=noise), loss(**arguments, gumbel=noise))


def test_de_draws_its_noise_from_the_seed() -> None:
    loss, arguments = example(temperature=0.8)
    values = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        values.append(loss(**arguments).item())
    assert values[0] == values[1] != values[2]


def test_de_gates_learn_while_they_are_soft_and_rest_once_they_are_one_hot() -> None:
    loss, arguments = example(temperature=1.0)
    loss(**arguments).backward()
    assert loss.users.gate_w.grad is not None
    assert loss.users.gate_w.grad.abs().max() > 0
    cold, arguments = example(temperature=1e-10)
    cold(**arguments).backward()
    assert cold.users.gate_w.grad is not None  # zero, not None: every parameter takes part, as parallel training wants
    assert not cold.users.gate_w.grad.any()
    assert cold.users.w1.grad is not None


def test_de_anneals() -> None:
    loss, _ = example(temperature=Annealing(epochs=10, lag=False))
    loss.set_epoch(5, 99)
    assert loss.temperature == pytest.approx(1e-5)
    fixed, _ = example(temperature=0.3)
    fixed.set_epoch(5, 99)
    assert fixed.temperature == pytest.approx(0.3)


def test_de_in_a_distiller_trains_experts_and_leaves_the_student_alone() -> None:
    torch.manual_seed(0)
    student, teacher = MF(6, 9, 3, std=1.0), MF(6, 9, 5, std=1.0)
    names = set(student.state_dict())
    distiller = Distiller(student, Frozen(teacher, call=show), BPR() + 0.01 * DE(3, 5, 2), call=show)
    _, arguments = example()
    ids = {name: arguments[name] for name in ("users", "positives", "negatives")}
    lists = {name: Lists(ids["users"], ids[f"{name}s"][:, None]) for name in ("positive", "negative")}
    distiller(ids | lists).loss.backward()
    assert all(parameter.grad is not None for parameter in distiller.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert set(student.state_dict()) == names


def test_errors() -> None:
    loss, arguments = example()
    with pytest.raises(ValueError, match=r"must have the widths \(3, 5\), got \(3, 4\)"):
        loss(**arguments | {"teacher": tuple(table[:, :4] for table in arguments["teacher"])})
    with pytest.raises(ValueError, match="the teacher's 'item' table must have the 9 rows of the student's, got 8"):
        loss(**arguments | {"teacher": (arguments["teacher"][0], arguments["teacher"][1][:8])})
    with pytest.raises(ValueError, match=r"'noise' must have shape \(3, 3\), got \(2, 3\)"):
        loss(**arguments, gumbel={"users": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        route(torch.zeros(2, 2), 0)
    with pytest.raises(ValueError, match=r"'start' and 'end' must be positive, got 1.0 and 0"):
        Annealing(end=0)
    with pytest.raises(ValueError, match="'experts' must be positive, got 3, 5, 0"):
        DE(3, 5, 0)


def test_noise_that_is_not_given_is_drawn() -> None:
    loss, arguments = example(temperature=0.8)
    given = {name: torch.randn(3, 3).double() for name in ("users", "negatives")}
    values = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        values.append(loss.terms(arguments["student"], arguments["teacher"], batch(arguments), given))
    assert values[0] == values[1]
    for name in ("users", "negatives"):
        assert getattr(values[0], name) == getattr(values[2], name)
    assert values[0].positives != values[2].positives


def batch(arguments: dict[str, Any]) -> Triplets:
    return Triplets(*(arguments[name] for name in Triplets._fields))
