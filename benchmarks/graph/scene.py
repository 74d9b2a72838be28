"""What the runs of one seed share: the graph, and models that several of them learn from."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks.graph.models import HIDDEN, build
from benchmarks.graph.recipes import TEACHERS, Recipe, student_recipe
from benchmarks.rows import Row
from benchmarks.runs import Place, shared_model
from datasets import DATASETS, load
from graphkd.core.adam import adam
from graphkd.core.batches import changed
from graphkd.core.distilled import Distilled
from graphkd.core.models import reset_parameters
from graphkd.core.rng import seeded
from graphkd.tasks import NodeClassification, hold_out


def split_name(dataset: str, split: str | None) -> str:
    """The split that was asked for, or the dataset's first."""
    return split or next(iter(DATASETS[dataset]))


def fresh(model: nn.Module, seed: int) -> nn.Module:
    """A model like this one with weights of its own."""
    twin = copy.deepcopy(model).requires_grad_()
    with seeded(seed):
        reset_parameters(twin)
    return twin


def options_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``distil`` from what recipes and settings say; a patience of 0 is no end before the last epoch."""
    options = {"epochs": values["epochs"]} if "epochs" in values else {}
    if "patience" in values:
        options["patience"] = values["patience"] or sys.maxsize  # None would be the method's own
    rates = {name: values[name] for name in ("lr", "weight_decay") if name in values}
    return {**options, "optimizer": adam(**rates)} if rates else options


class Scene:
    """A dataset as one seed sees it. seen: the graph of training; whole: all of it; held_out: nodes not in ``seen``.

    Models are made as recipes say, from the seed; those that runs share are trained when they are first asked for, and
    kept where ``runs`` is a folder.
    """

    def __init__(
        self,
        dataset: str,
        seed: int,
        *,
        student: str,
        teacher: str,
        split: str | None = None,
        split_seed: int | None = None,
        inductive: bool = False,
        epochs: int | None = None,
        runs: Path | None = None,
    ) -> None:
        self.dataset, self.seed, self.student_kind, self.teacher_kind = dataset, seed, student, teacher
        self.epochs, self.runs = epochs, runs
        self.whole = load(dataset, split=split, seed=seed if split_seed is None else split_seed).data
        self.seen, self.held_out = hold_out(self.whole, seed=seed) if inductive else (self.whole, None)
        self.task = NodeClassification(evaluate_on=self.whole, new=self.held_out) if inductive else NodeClassification()
        self.about = {"dataset": dataset, "split": split_name(dataset, split), "kind": teacher, "seed": seed}
        self.about |= {"split_seed": split_seed, "inductive": inductive, "epochs": epochs}
        self.hidden = HIDDEN[student], HIDDEN[teacher]
        self._models: dict[str, Distilled] = {}

    @property
    def recipe(self) -> Recipe:
        """Of the student."""
        return student_recipe(self.student_kind, self.dataset)

    @property
    def classes(self) -> int:
        """Of the labels."""
        return int(self.whole.y.max()) + 1

    def student(self, dropout: float | None = None) -> nn.Module:
        """A new student with weights of the seed; ``dropout``: in place of the recipe's."""
        with seeded(self.seed):
            return self.new_student(self.recipe.dropout if dropout is None else dropout)

    def new_student(self, dropout: float) -> nn.Module:
        """A new student with weights of the generator."""
        return self._new(self.student_kind, replace(self.recipe, dropout=dropout))

    def training(self, recipe: Recipe) -> dict[str, Any]:
        """What a recipe says of training, with the epochs that were asked for."""
        return recipe.training() | ({} if self.epochs is None else {"epochs": self.epochs})

    def teacher(self, place: Place) -> Distilled:
        """The teacher, which learns the labels."""
        recipe = TEACHERS[self.teacher_kind]
        built = self._built(self.teacher_kind, recipe)
        return self._shared(
            "teacher", built, self.seen, {**options_of(self.training(recipe)), "seed": self.seed}, place
        )

    def chosen_on(self, mask: str, place: Place) -> Scene:
        """The same data and teacher where epochs of all other models are chosen on the nodes of another mask."""
        self.teacher(place)  # of the data as they are
        other = copy.copy(self)
        other.seen = changed(self.seen, val_mask=self.seen[mask])
        other.about, other._models = {**self.about, "chosen": mask}, dict(self._models)
        return other

    def alone(self, name: str, model: nn.Module, number: int, place: Place, **entries: Tensor) -> nn.Module:
        """A further model, of this one's kind, which learns the labels as the student does, of data with other entries.

        name: what it is, for its folder; number: what its seed is told by.
        """
        seed = self.seed + 1000 * number
        data = changed(self.seen, **entries) if entries else self.seen
        options = {**options_of(self.training(self.recipe)), "seed": seed}
        return self._shared(f"{name}-{number}", fresh(model, seed), data, options, place).model

    def further(self, count: int, place: Place) -> list[nn.Module]:
        """The teacher and others of its kind."""
        teacher = self.teacher(place).model
        return [teacher, *(self.alone("teacher", teacher, number, place) for number in range(1, count))]

    def part_by_degree(self, parts: int) -> Tensor:
        """The number of the part of every node, equally many in each, from the lowest in-degrees to the highest."""
        nodes = self.seen.num_nodes
        degree = self.seen.edge_index[1].bincount(minlength=nodes)
        return degree.argsort(stable=True).argsort() * parts // nodes

    def _built(self, kind: str, recipe: Recipe) -> nn.Module:
        with seeded(self.seed):
            return self._new(kind, recipe)

    def _new(self, kind: str, recipe: Recipe) -> nn.Module:
        shape = {"hidden": recipe.hidden, "dropout": recipe.dropout}
        return build(kind, self.seen.num_features, self.classes, **shape)

    def _shared(self, name: str, model: nn.Module, data: Any, options: Mapping[str, Any], place: Place) -> Distilled:
        """A model of the labels, trained once."""
        if name not in self._models:
            about = {**self.about, "name": name}
            if name != "teacher":
                about["student"] = self.student_kind  # whose recipe it is trained by
            train = partial(_on_labels, model=model, data=data, options=options)
            self._models[name] = shared_model(about, model, train, place, self.runs)
        return self._models[name]


def _on_labels(place: Place, model: nn.Module, data: Any, options: Mapping[str, Any]) -> tuple[Distilled, Row]:
    return place.distil("none", model, None, data, **options)
