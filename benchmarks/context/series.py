"""The runs of one seed of the click-through benchmark: data, students, and the models that they share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import nn

import recsys
from benchmarks.context.click_models import build
from benchmarks.options import split_settings
from benchmarks.rows import Row
from benchmarks.runs import Place, shared_model
from benchmarks.tuning import divided
from datasets.clicks import load_clicks, thinned
from graphkd import Tuned
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from recsys.data.ratings import UniformSplit
from recsys.models.ratings import AutoRec, BiasedMF
from recsys.tasks import Clicks, UniformRatings


class Kind(NamedTuple):
    """A kind of KDCRec's students: its name in tables, how it is made, the methods that are for others."""

    name: str
    make: Callable[..., nn.Module]
    others: tuple[str, ...]
    rate: float = 1.0  # times the benchmark's learning rate
    passes: int = 4  # times the benchmark's epochs and patience: an epoch is a batch for 128 users


def _factorisation(split: UniformSplit, **options: Any) -> nn.Module:
    return BiasedMF(split.num_users, split.num_items, 10, **options)


def _autoencoder(split: UniformSplit, widths: tuple[int, ...]) -> nn.Module:
    return AutoRec(split.num_items, widths)


KINDS = {
    "mf": Kind("mf:10", _factorisation, ("hint", "soft_label"), rate=5.0, passes=1),
    "ae": Kind("ae:200", partial(_autoencoder, widths=(200,)), ("cause",)),
    "deep": Kind("deep:200-100", partial(_autoencoder, widths=(200, 100)), ("cause",)),
}
CLICK_METHODS: Mapping[str, Metadata] = {
    row.name: row
    for row in sorted(recsys.methods(task="clicks"), key=lambda row: (row.name != "none", row.name != "kd"))
}
UNIFORM_METHODS: Mapping[str, Metadata] = {
    f"{kind}.{row.name}": replace(row, name=f"{kind}.{row.name}")
    for kind, about in KINDS.items()
    for row in recsys.methods(task="uniform_ratings")
    if row.name not in about.others
}
TRAINING = {"epochs": 40, "patience": 4, "lr": 1e-3, "weight_decay": 1e-5}


class Series:
    """The runs of one seed on one dataset: of the split, of weights, of batches; and the models that they share."""

    def __init__(self, arguments: argparse.Namespace, seed: int) -> None:
        self.arguments, self.seed = arguments, seed
        self.clicks = load_clicks(arguments.dataset, seed=seed)
        self._models: dict[str, Distilled] = {}

    @cached_property
    def uniform(self) -> UniformSplit:
        """A simulated uniform sample."""
        return thinned(self.clicks.rows, seed=self.seed)

    def build(self, text: str) -> nn.Module:
        """A net with weights of the seed."""
        with seeded(self.seed):
            return build(text, self.clicks)

    def built(self, kind: str, method: str = "") -> nn.Module:
        """A student of uniform ratings with weights of the seed."""
        with seeded(self.seed):
            return self._new(kind, method)

    def _new(self, kind: str, method: str) -> nn.Module:
        return KINDS[kind].make(self.uniform, **({"copies": True} if method == "cause" else {}))

    def teacher(self, number: int, place: Place) -> Distilled:
        """A teacher of clicks, which learns the labels."""
        text = self.arguments.teachers[number]
        return self._shared(text, "logged", self.build(text), partial(self.on_clicks, "none"), place)

    def teachers(self, place: Place) -> list[nn.Module]:
        """All of them."""
        return [self.teacher(number, place).model for number in range(len(self.arguments.teachers))]

    def uniform_model(self, kind: str, place: Place) -> Distilled:
        """The teacher of a kind of students, which learns the uniform ratings."""
        built = self.built(kind)
        return self._shared(kind, "uniform-simulated", built, partial(self._on_uniform, kind), place)

    def on_clicks(
        self, name: str, student: nn.Module, teacher: Any, place: Place, **given: Any
    ) -> tuple[Distilled, Row]:
        """Train a net by a method; the epoch is that of the best validation AUC, unless the method says otherwise."""
        settings, asked = split_settings(CLICK_METHODS[name], given)
        more = {key: value for key, value in asked.items() if key not in TRAINING}
        options = self._options({**values_of(self.arguments), **asked})
        task = Clicks(batch_size=self.arguments.batch_size)
        return self._run(place, name, student, teacher, self.clicks.rows, task=task, **options, **settings, **more)

    def clicks_tuned(self, name: str, teacher: Any, given: Mapping[str, Any], **options: Any) -> Tuned:
        """Search the settings of a net's method; ``given``: what the method needs, and what was asked for."""
        row = CLICK_METHODS[name]
        own, asked = split_settings(row, given)
        more = {key: value for key, value in asked.items() if key not in TRAINING}
        around = self._around(name, row, own, {**values_of(self.arguments), **asked})
        task, make = Clicks(batch_size=self.arguments.batch_size), partial(build, self.arguments.student, self.clicks)
        return recsys.tune(name, make, teacher, self.clicks.rows, task=task, **around, **more, **options)

    def on_ratings(self, name: str, teacher: Any, place: Place, given: Mapping[str, Any]) -> tuple[Distilled, Row]:
        """Train a student of KDCRec by a method; the epoch is that of the best AUC on the uniform validation part."""
        kind, _, method = name.partition(".")
        settings, asked = split_settings(UNIFORM_METHODS[name], given)
        values = {**self._values(kind), **asked}
        student, task, options = self.built(kind, method), UniformRatings(), self._options(values)
        return self._run(place, method, student, teacher, self.uniform, task=task, **options, **settings)

    def ratings_tuned(self, name: str, teacher: Any, **options: Any) -> Tuned:
        """Search the settings of a method of KDCRec."""
        kind, _, method = name.partition(".")
        own, asked = split_settings(UNIFORM_METHODS[name], self.arguments.given[name])
        around = self._around(name, UNIFORM_METHODS[name], own, {**self._values(kind), **asked})
        make = partial(self._new, kind, method)
        return recsys.tune(method, make, teacher, self.uniform, task=UniformRatings(), **around, **options)

    def _around(self, name: str, row: Metadata, own: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        around, kept = divided(row, own, values, self.arguments.fixed[name])
        options = {key: value for key, value in self._options(values).items() if key != "optimizer"}
        return {**around, **kept, **options}

    def _on_uniform(self, kind: str, student: nn.Module, _: Any, place: Place) -> tuple[Distilled, Row]:
        options = self._options(self._values(kind))
        return self._run(place, uniform_model, student, None, self.uniform, task=UniformRatings(), **options)

    def _values(self, kind: str) -> dict[str, Any]:
        values, about = values_of(self.arguments), KINDS[kind]
        values |= {name: about.passes * values[name] for name in ("epochs", "patience")}
        return {**values, "lr": about.rate * values["lr"], "weight_decay": 0.0}

    def _options(self, values: Mapping[str, Any]) -> dict[str, Any]:
        adam = partial(torch.optim.Adam, lr=values["lr"], weight_decay=values["weight_decay"], fused=True)
        return {
            "epochs": values["epochs"],
            "patience": values["patience"] or None,
            "optimizer": adam,
            "seed": self.seed,
        }

    def _run(self, place: Place, *given: Any, **options: Any) -> tuple[Distilled, Row]:
        with place.clock() as costs:
            found = recsys.distil(*given, **place.options(), **options)
            return found, {"train_seconds": costs()["train_seconds"]}

    def _shared(self, name: str, split: str, built: nn.Module, train: Callable[..., Any], place: Place) -> Distilled:
        key = f"{split} {name}"
        if key not in self._models:
            about = {"dataset": self.arguments.dataset, "split": split, "kind": name, "seed": self.seed}
            about |= {**values_of(self.arguments), "batch_size": self.arguments.batch_size}
            run = partial(train, built, None)
            self._models[key] = shared_model(about, built, run, place, self.arguments.runs)
        return self._models[key]


def uniform_model(problem: Any) -> nn.Module:
    """Train the uniform ratings alone, as the methods do that learn from such a model: a method of its own."""
    model: nn.Module = problem.uniform.model
    return model


def values_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a training is told by the command line, else by the defaults."""
    known = {name: getattr(arguments, name) for name in TRAINING}
    return {**TRAINING, **{name: value for name, value in known.items() if value is not None}}
