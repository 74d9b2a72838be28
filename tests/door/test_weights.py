"""Weights and other numbers that a user writes are real and finite, or refused where they are written."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import MLP

import graphkd
import graphkd.losses
import graphkd.schemes
from graphkd import EMA, Distiller, Loss, Snapshot
from graphkd.core.loss import Sum
from graphkd.core.trainable import Trainable
from graphkd.losses import CE, CRD, DKD, HKD, KL, RKD, InfoNCE
from graphkd.schemes import Exits, Peers, each_other
from tests.core.models import gcn, graph

NAN, INF = float("nan"), math.inf
NOT_NUMBERS = {
    "a parameter": nn.Parameter(torch.tensor(2.0)),
    "a tensor": torch.tensor(2.0),
    "an array": np.array([2.0]),
    "an array without dimensions": np.array(2.0),
    "text": "2",
    "nothing": None,
    "a complex number": 2j,
}
WRITTEN = {
    "loss * weight": lambda weight: KL() * weight,
    "weight * loss": lambda weight: weight * KL(),
    "sum * weight": lambda weight: (CE() + KL()) * weight,
    "loss / weight": lambda weight: KL() / weight,
    "Sum": lambda weight: Sum([(weight, KL())]),
}


# ------------------------------------------------------------- weights
@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("weight", [NAN, INF, -INF, np.float32("nan"), np.float64("inf")], ids=str)
def test_weights_must_be_finite(write, weight):
    with pytest.raises(ValueError, match=r"'weight' must be a finite number, got (nan|-?inf)"):
        write(weight)


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
@pytest.mark.parametrize("weight", NOT_NUMBERS.values(), ids=NOT_NUMBERS)
def test_weights_must_be_numbers(write, weight):
    with pytest.raises(TypeError, match="'weight' must be a number, got "):
        write(weight)


def test_a_learned_weight_is_a_loss_of_ones_own():
    with pytest.raises(TypeError, match="got Parameter: a Parameter is not learnt here, write a loss of your own"):
        CE() + KL() * nn.Parameter(torch.tensor(2.0))

    class Learned(KL):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(2.0))

        def forward(self, student, teacher):
            return self.weight * super().forward(student, teacher)

    task = Distiller(MLP([4, 2]), MLP([4, 2]), Learned())
    task({"x": torch.randn(5, 4)}).loss.backward()
    assert any(each is task.losses[0].weight for each in task.parameters())
    assert task.losses[0].weight.grad.isfinite()


@pytest.mark.parametrize("weight", [2, 2.0, True + 1, np.float64(2), np.float32(2), np.int64(2)], ids=repr)
def test_all_kinds_of_real_numbers_are_weights(weight):
    for loss in (weight * KL(), KL() * weight, KL() / (1 / weight)):
        assert loss.weights == [2.0]
        assert type(loss.weights[0]) is float


def test_losses_are_added_taken_away_and_divided():
    ce, kl = CE(), KL()
    assert (-kl).weights == [-1.0]
    assert (ce - 0.5 * kl).weights == [1.0, -0.5]
    assert ((ce + 4 * kl) / 2).weights == [0.5, 2.0]
    total = sum([ce, 2 * kl, RKD()])
    assert total.weights == [1.0, 2.0, 1.0]
    assert list(total.losses)[:2] == [ce, kl]
    assert sum([ce]) is ce
    student, teacher, y = torch.randn(5, 3), torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    got = (ce - 0.5 * kl)(student, teacher, y=y)
    torch.testing.assert_close(got, ce(student, y=y) - 0.5 * kl(student, teacher))


@pytest.mark.parametrize(
    ("write", "error", "words"),
    [
        (lambda: KL() / 0, ValueError, "a loss must be divided by another number than 0"),
        (lambda: 1e300 * (1e300 * KL()), ValueError, "'weight' must be a finite number, got inf"),
        (lambda: KL() - 1, TypeError, "only a Loss can be taken from a Loss, got int"),
        (lambda: 1 + KL(), TypeError, "only a Loss can be added to a Loss, got int"),
        (lambda: 0.0 + KL(), TypeError, "only a Loss can be added to a Loss, got float"),
        (lambda: torch.zeros(()) + KL(), TypeError, "only a Loss can be added to a Loss, got Tensor"),
        (lambda: KL() + None, TypeError, "only a Loss can be added to a Loss, got NoneType"),
    ],
)
def test_other_arithmetic_is_refused(write, error, words):
    with pytest.raises(error, match=words):
        write()


# ------------------------------------------------------------- numbers of losses
def numbers(function) -> list[str]:
    """Names of a function's parameters that are numbers, and not whole ones."""
    parameters = inspect.signature(function).parameters.values()
    return [
        p.name for p in parameters if inspect.formatannotation(p.annotation).strip("'") in ("float", "float | None")
    ]


def classes(room, base) -> list[type]:
    found = (getattr(room, name) for name in room.__all__)
    return [each for each in found if isinstance(each, type) and issubclass(each, base)]


def needed(made: type) -> dict:
    """Arguments without a default, which no check looks at in this test: they come after it."""
    parameters = list(inspect.signature(made.__init__).parameters.values())[1:]
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: 3 for p in parameters if p.default is p.empty and p.kind not in kinds}


EVERY = [
    pytest.param(made, name, id=f"{made.__name__}.{name}")
    for room, base in ((graphkd.losses, Loss), (graphkd.schemes, Trainable))
    for made in classes(room, base)
    for name in numbers(made.__init__)
]


@pytest.mark.parametrize(("made", "name"), EVERY)
def test_every_number_of_every_loss_and_trainable_is_finite(made, name):
    for value in (NAN, INF):
        with pytest.raises(ValueError, match=rf"'{name}' must be a finite number, got {value}"):
            made(**{**needed(made), name: value})
    with pytest.raises(TypeError, match=rf"'{name}' must be a number, got Tensor: a Tensor is not learnt here"):
        made(**{**needed(made), name: torch.tensor(2.0)})


def test_there_are_many():
    assert len(EVERY) > 100


@pytest.mark.parametrize(
    "write",
    [
        lambda: KL(NAN),
        lambda: DKD(NAN),
        lambda: HKD(10, 3, 3, temperature=NAN),
        lambda: CRD(10, 3, 3, temperature=NAN),
        lambda: InfoNCE(NAN),
    ],
)
def test_temperatures_by_place_and_by_name(write):
    with pytest.raises(ValueError, match="'temperature' must be a finite number, got nan"):
        write()


def test_numbers_of_a_loss_of_ones_own():
    class Mine(Loss):
        def __init__(self, margin, *, scale: float = 1.0, shift: torch.Tensor | None = None, **reads):
            super().__init__(**reads)

        def forward(self, student):
            return student.sum()

    Mine(torch.ones(3), shift=nn.Parameter(torch.tensor(NAN)))  # what is no number is its own affair
    for given, name in (({"margin": NAN}, "margin"), ({"margin": 1, "scale": INF}, "scale")):
        with pytest.raises(ValueError, match=f"'{name}' must be a finite number"):
            Mine(**given)
    with pytest.raises(TypeError, match="'scale' must be a number, got Parameter"):
        Mine(1, scale=nn.Parameter(torch.ones(())))


# ------------------------------------------------------------- trainables, teachers, methods
def test_numbers_of_trainables_and_followers():
    models = [gcn(1), gcn(2)]
    with pytest.raises(ValueError, match="'weight' must be a finite number, got nan"):
        Peers(models, each_other, labels=CE(), weight=NAN)
    with pytest.raises(ValueError, match="'alpha' must be a finite number, got nan"):
        Exits(models[0], ["convs.0"], graph(), labels=CE(), alpha=NAN)
    for make, name in ((EMA, "decay"), (Snapshot, "every")):
        with pytest.raises(ValueError, match=f"'{name}' must be a finite number, got nan"):
            make(models[0], NAN)
    with pytest.raises(TypeError, match="'decay' must be a number, got Tensor"):
        EMA(models[0], torch.tensor(0.9))


@pytest.mark.parametrize(
    ("method", "settings", "error", "words"),
    [
        ("kd", {"temperature": NAN}, ValueError, "'temperature' must be a finite number, got nan"),
        ("kd", {"label_weight": INF}, ValueError, "'label_weight' must be a finite number, got inf"),
        ("kd", {"temperature": torch.tensor(3.0)}, TypeError, "'temperature' must be a number, got Tensor"),
        ("feature_l1", {"weight": NAN}, ValueError, "'weight' must be a finite number, got nan"),
        ("dml", {"temperature": NAN}, ValueError, "'temperature' must be a finite number, got nan"),
        ("label_smoothing", {"alpha": NAN}, ValueError, "'alpha' must be a finite number, got nan"),
        ("ban", {"label_weight": "0.5"}, TypeError, "'label_weight' must be a number, got str"),
    ],
)
def test_settings_of_methods(method, settings, error, words):
    with pytest.raises(error, match=words):
        graphkd.distil(method, gcn(1), gcn(2), graph(), epochs=1, **settings)


def test_settings_of_a_method_of_ones_own():
    def mine(problem, *, share=0.5):
        return share * problem.supervised()

    with pytest.raises(ValueError, match="'share' must be a finite number, got nan"):
        graphkd.distil(mine, gcn(1), None, graph(), epochs=1, share=NAN)
