"""What a loss is tested on: its case, tensors and a batch, and the ways to evaluate it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphkd import Loss
from graphkd.core.loss import Entry
from tests.kernels.graphs import EXAMPLE, Graph, normal

Distance = Callable[[Tensor, Tensor, dict[str, Any]], Tensor]
# What refuses a teacher of another width: a layer of the loss, and losses without layers.
OTHER_WIDTH = "'(student|teacher)' must be as wide as this loss was made for"
SAME_WIDTH = r"'teacher' must be as wide as 'student' \(3\), got 4"
LABELS_REFUSED = r"'y' must hold 6 integer labels, got torch.int64 of shape \(5,\)"


def apart(student: Tensor, teacher: Tensor, batch: dict[str, Any]) -> Tensor:
    """Total variation between the predicted classes; a ``Distance``."""
    return (student.softmax(dim=1) - teacher.softmax(dim=1)).abs().sum()


def labels(graph: Graph, width: int) -> dict[str, Tensor]:
    """The facts of a batch besides ``edge_index``, by default: a class of every node."""
    return {"y": torch.arange(graph.num_nodes) % width}


@dataclass(frozen=True)
class Case:
    """A loss and which properties its formula has.

    make: keyword arguments -> the loss. widths: of student and teacher. facts: (graph, student's width) -> facts.
    at_teacher: what the loss is where student and teacher are equal: "zero", at its "least" (a gradient of 0), or None.
    distance: an independent measure that falls as the loss does. masked: takes ``where``.
    refused: the message for a teacher (or labels) of other rows; refused_width: for one of another width, if refused.
    """

    make: Callable[..., Loss]
    widths: tuple[int, int] = (3, 3)
    facts: Callable[[Graph, int], dict[str, Tensor]] = labels
    at_teacher: Literal["zero", "least"] | None = None
    distance: Distance | None = None
    masked: bool = True
    refused: str = r"'teacher' must have the rows of 'student', \(6,\), got \(5,\)"
    refused_width: str | None = None


@dataclass(frozen=True)
class Scene:
    """What a loss is evaluated on."""

    student: Tensor
    teacher: Tensor
    batch: dict[str, Any]

    @classmethod
    def of(cls, case: Case, graph: Graph = EXAMPLE, dtype: torch.dtype = torch.float64) -> Scene:
        student, teacher = (
            2 * normal(graph.num_nodes, width, dtype=dtype, seed=seed) for seed, width in enumerate(case.widths)
        )
        batch = {"edge_index": graph.edge_index, **case.facts(graph, case.widths[0])}
        return cls(student.requires_grad_(), teacher, batch)


def view(loss: Loss, tensor: Tensor) -> dict[str, Tensor]:
    names = (loss.on,) if isinstance(loss.on, str) else loss.on
    return dict.fromkeys(names, tensor)


def evaluate(loss: Loss, scene: Scene, *, digested: bool = True) -> Tensor:
    """The loss as the Distiller computes it; always with the same random numbers."""
    torch.manual_seed(0)
    teacher = None
    if loss.needs_teacher:
        with torch.no_grad():
            teacher = loss.digest_view(view(loss, scene.teacher), scene.batch) if digested else entries(loss, scene)
    value = loss.measure(view(loss, scene.student), teacher, scene.batch)
    assert value is not None
    return value


def entries(loss: Loss, scene: Scene) -> Entry:
    """What a loss gets of a teacher that keeps no digest."""
    return scene.teacher if isinstance(loss.on, str) else (scene.teacher,) * len(loss.on)


def made(case: Case, dtype: torch.dtype = torch.float64, **options: Any) -> Loss:
    torch.manual_seed(0)
    return case.make(**options).to(dtype)


def slope(loss: Loss, scene: Scene) -> Tensor:
    (gradient,) = torch.autograd.grad(evaluate(loss, scene), scene.student)
    return gradient


class Show(nn.Module):
    """A model that shows one trainable tensor, whatever the batch."""

    def __init__(self, tensor: Tensor, names: str | tuple[str, ...]) -> None:
        super().__init__()
        self.tensor = nn.Parameter(tensor.detach().clone())
        self.names = (names,) if isinstance(names, str) else names

    def forward(self) -> dict[str, Tensor]:
        return dict.fromkeys(self.names, self.tensor)
