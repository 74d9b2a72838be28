"""What a search looks through: ranges, where it starts, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from graphkd.core.method import SPAN, Metadata
from graphkd.core.space import DROPOUT, NEAR, NO_DECAY, Space

ROW = Metadata(
    "made",
    settings={"weight": 2.0, "share": 0.5, "steps": 3, "kind": "plain", "off": 0.0, "deep": True, "more": None},
    ranges={"share": (0.1, 0.9)},
)
USUAL = {"lr": 0.01, "weight_decay": 5e-4}


class Trial:
    """Notes what is asked of it, and answers with the high end."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def suggest_float(self, name, low, high, *, log):
        self.asked[name] = (float, low, high, log)
        return high

    def suggest_int(self, name, low, high, *, log):
        self.asked[name] = (int, low, high, log)
        return high

    def suggest_categorical(self, name, choices):
        self.asked[name] = choices
        return choices[-1]


def space(student=None, given=(), usual=USUAL, row=ROW, **options) -> Space:
    return Space(row, usual, student, dict.fromkeys(given), **options)


def test_numbers_are_searched_by_a_factor_of_30_to_both_sides_and_a_methods_own_ranges_come_first():
    found = space(lambda dropout: nn.Dropout(dropout))
    assert found.ranges == {
        "dropout": DROPOUT,
        "lr": (0.01 / SPAN, 0.01 * SPAN),
        "weight_decay": (5e-4 / SPAN, 5e-4 * SPAN),
        "weight": (2.0 / SPAN, 2.0 * SPAN),
        "share": (0.1, 0.9),
    }
    trial = Trial()
    values = found.draw(trial)
    assert trial.asked["weight"] == (float, 2.0 / SPAN, 60.0, True)  # log-uniform
    assert trial.asked["dropout"] == (float, 0.0, 0.8, False)  # uniform, since 0 is among them
    setting = found.setting(5, values)
    assert setting.method == {"weight": 60.0, "share": 0.9}
    assert setting.student == {"dropout": 0.8}
    adam = setting.options.pop("optimizer")(nn.Linear(1, 1).parameters())
    assert type(adam) is torch.optim.Adam
    assert {name: adam.defaults[name] for name in USUAL} == {"lr": 0.3, "weight_decay": 5e-4 * SPAN}


def test_the_first_trial_is_what_is_published_to_the_bit_and_leaves_the_training_to_the_method():
    found = space(lambda dropout=0.25: nn.Dropout(dropout), usual={"lr": 0.1, "weight_decay": 0.0})
    assert found.ranges["weight_decay"] == NO_DECAY
    assert found.start()["weight_decay"] == NO_DECAY[0]  # which optuna is told; the trial has 0
    first = found.setting(0, found.start())
    assert first.values == {"weight": 2.0, "share": 0.5, "lr": 0.1, "weight_decay": 0.0, "dropout": 0.25}
    assert first.options == {"weight": 2.0, "share": 0.5}


def test_a_search_starts_elsewhere_where_it_is_told_to():
    found = space(start={"weight": 30.0, "lr": 0.001, "steps": 7, "share": 0.99})
    assert found.ranges["weight"] == (1.0, 900.0)
    assert found.ranges["lr"] == (0.001 / SPAN, 0.001 * SPAN)
    assert "steps" not in found.ranges
    assert found.start()["share"] == 0.9  # the nearest in range
    first, later = found.setting(0, found.start()), found.setting(1, {**found.start(), "weight": 1.0})
    assert first.method == {"weight": 30.0, "share": 0.99, "steps": 7}
    assert later.method == {"weight": 1.0, "share": 0.9, "steps": 7}
    adam = first.options["optimizer"](nn.Linear(1, 1).parameters())
    assert {name: adam.defaults[name] for name in USUAL} == {"lr": 0.001, "weight_decay": 5e-4}


def test_what_is_given_is_not_searched():
    found = space(given=["weight", "optimizer"])
    assert list(found.ranges) == ["share"]
    assert found.first.training == {}
    assert found.first.options == {"share": 0.5}


def test_a_method_with_a_learning_rate_of_its_own_keeps_its_optimiser():
    found = space(row=Metadata("own", settings={"lr": 0.001}))
    assert found.ranges == {"lr": (0.001 / SPAN, 0.03)}
    assert found.setting(1, {"lr": 0.02}).options == {"lr": 0.02}


def test_other_ranges_and_choices_and_parameters_of_the_students_function():
    asked = {"steps": (1, 9), "kind": ["plain", "odd"], "weight": (0.5, 1.0), "width": [8, 16], "lr": [0.01]}
    found = space(lambda width, dropout=0.1, depth=2: nn.Linear(width, depth), asked=asked)
    trial = Trial()
    setting = found.setting(3, found.draw(trial))
    assert trial.asked["steps"] == (int, 1, 9, True)
    assert trial.asked["width"] == [8, 16]
    assert setting.values["kind"] == "odd"
    assert setting.student == {"width": 16, "dropout": 0.8}
    assert found.first.student == {"width": 8, "dropout": 0.1}
    assert found.start()["lr"] == 0.01


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"asked": {"heat": (1.0, 2.0)}}, ValueError, r"'space' has ranges of what is not searched, \['heat'\]"),
        ({"start": {"heat": 1.0}}, ValueError, r"'start' has values of what is not searched, \['heat'\]"),
        ({"asked": {"weight": (1.0, 2.0)}, "given": ["weight"]}, ValueError, r"what is not searched, \['weight'\]"),
        ({"asked": {"weight": (2.0, 1.0)}}, ValueError, "the range of 'weight' must have its low end below"),
        ({"asked": {"weight": (1.0, float("inf"))}}, ValueError, "must be a finite number, got inf"),
        ({"asked": {"weight": 3.0}}, TypeError, r"\(low, high\) or a list of choices for 'weight', got 3.0"),
        ({"asked": {"weight": []}}, TypeError, r"\(low, high\) or a list of choices for 'weight'"),
        ({"asked": {"kind": [("a", "b")]}}, TypeError, "choices of 'kind' must be numbers, text, true or false"),
        ({"student": lambda width: nn.Linear(1, width)}, TypeError, r"it asks for 'width': give space=\{'width'"),
    ],
)
def test_what_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        space(**options)


def test_near_values_are_within_a_factor_of_5_of_the_start_where_ranges_are_logarithmic():
    row = replace(ROW, settings={**ROW.settings, "count": 40}, ranges={**ROW.ranges, "count": (1, 60)})
    found = space(lambda dropout: nn.Dropout(dropout), row=row, asked={"lr": (0.009, 1.0), "weight_decay": [0.0, 1e-3]})
    trial = Trial()
    found.draw(trial, near=True)
    assert trial.asked["weight"] == (float, 2.0 / NEAR, 2.0 * NEAR, True)
    assert trial.asked["lr"] == (float, 0.009, 0.01 * NEAR, True)  # no further than the range
    assert trial.asked["weight_decay"] == [0.0, 1e-3]
    assert trial.asked["count"] == (int, 8, 60, True)
    plain = space(usual={"lr": 0.01, "weight_decay": 0.0}, start={"lr": 3.0}, asked={"lr": (0.1, 1.0)})
    plain.draw(trial, near=True)
    assert trial.asked["weight_decay"] == (float, *NO_DECAY, True)  # of 0 all are
    assert trial.asked["lr"] == (float, 0.2, 1.0, True)
    assert trial.asked["dropout"] == (float, *DROPOUT, False)  # whole
    assert trial.asked["share"] == (float, 0.1, 0.9, True)


def test_a_students_dropout_is_none_of_the_methods():
    row = Metadata("made", settings={"dropout": None, "weight": 1.0})

    def make(dropout: float = 0.5):
        raise NotImplementedError

    space = Space(row, {"lr": 0.01, "weight_decay": 0.0}, make, {})
    assert space.setting(1, {"dropout": 0.3, "weight": 2.0}).options.keys() == {"weight", "optimizer"}
    assert space.setting(1, {"dropout": 0.3}).student == {"dropout": 0.3}
