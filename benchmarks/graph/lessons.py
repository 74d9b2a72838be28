"""What a method of the GNN benchmark is given, and the ways to train a student by a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkd import Cached, Distiller, Loss, fit
from graphkd.core.rng import seeded
from graphkd.core.view import Viewer
from graphkd.losses import CE, KL


@dataclass(frozen=True)
class Lesson:
    """A student to train: its teacher, the graph, the hidden layer (a tap path) of both, and options of ``fit``.

    about: names of the teacher's kind and of the dataset, for methods whose published settings depend on them.
    """

    student: nn.Module
    teacher: nn.Module
    data: Data
    hidden: tuple[str, str]
    options: Mapping[str, Any]
    about: tuple[str, str] = ("", "")

    @property
    def nodes(self) -> int:
        """Of the graph that training sees."""
        return self.data["x"].size(0)

    @property
    def device(self) -> torch.device:
        """Of the graph, and of all models."""
        return self.data["x"].device

    def made(self, build: Callable[[], nn.Module]) -> nn.Module:
        """A new model, from the run's seed and where the graph is."""
        with seeded(self.options["seed"]):
            return build().to(self.device)

    @cached_property
    def classes(self) -> int:
        """Of the teacher's answers."""
        return _view(self.teacher, self.data, {})["logits"].size(1)

    @cached_property
    def widths(self) -> tuple[int, int]:
        """Of the hidden layers of student and teacher."""
        models = (self.student, self.teacher)
        student, teacher = (_view(m, self.data, {"hidden": p}) for m, p in zip(models, self.hidden, strict=True))
        return student["hidden"].size(1), teacher["hidden"].size(1)

    def taught(self) -> Tensor:
        """The teacher's hidden features, (N, d_t)."""
        return _view(self.teacher, self.data, {"hidden": self.hidden[1]})["hidden"]

    def classifier(self) -> Tensor:
        """The teacher's last weight matrix from its hidden layer to classes, (C, d_t)."""
        shape = (self.classes, self.widths[1])
        found = [p.detach() for p in self.teacher.parameters() if p.shape == shape]
        if not found:
            raise ValueError(f"the teacher must have a weight of shape {shape}, {type(self.teacher).__name__} has none")
        return found[-1]


Train = Callable[[Lesson], nn.Module]
LABELS = CE(where="train_mask")
TEMPERATURE = 4.0


def plain_losses() -> Loss:
    """Plain KD's, labels and soft targets of all nodes, where a scheme's paper asks for no others."""
    return 0.1 * LABELS + 0.9 * KL(TEMPERATURE)


def on_labels(lesson: Lesson) -> nn.Module:
    """The student alone."""
    return fit(Distiller(lesson.student, losses=LABELS), lesson.data, **lesson.options)


def by_loss(loss: Callable[[Lesson], Loss]) -> Train:
    """Full-batch training on a loss, whose own parameters come from the run's seed."""

    def train(lesson: Lesson) -> nn.Module:
        return fit(_distiller(lesson, loss), lesson.data, **lesson.options)

    return train


def beside_labels(loss: Callable[[Lesson], Loss]) -> Train:
    """The same with the labels' cross-entropy added."""
    return by_loss(lambda lesson: LABELS + loss(lesson))


def to_the_end(lesson: Lesson) -> dict[str, Any]:
    """The lesson's options, without a choice of the epoch."""
    return {**lesson.options, "metric": None, "patience": None}


def before_labels(loss: Callable[[Lesson], Loss]) -> Train:
    """A first stage on a loss alone, to its last epoch, then the labels alone."""

    def train(lesson: Lesson) -> nn.Module:
        fit(_distiller(lesson, loss), lesson.data, **to_the_end(lesson))
        return on_labels(lesson)

    return train


def _distiller(lesson: Lesson, loss: Callable[[Lesson], Loss]) -> Distiller:
    with seeded(lesson.options["seed"]):
        losses = loss(lesson)
    return Distiller(lesson.student, Cached(lesson.teacher), losses, taps={"hidden": lesson.hidden})


@torch.no_grad()
def _view(model: nn.Module, data: Data, taps: Mapping[str, str]) -> Mapping[str, Tensor]:
    viewer = Viewer(model.eval(), taps=taps)
    try:
        return viewer(data)
    finally:
        viewer.close()
