"""What a method of the GNN benchmark is given beside student, teacher and graph: need -> keywords of ``distil``.

Labelled nodes are the source of what crosses domains, the others are the targets, in halves by in-degree. Further
models are of the teacher's kind and learn the labels with the student's options; methods of one seed share them, and a
method's seconds are without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP
from torch_geometric.utils import add_self_loops

from benchmarks.graph.models import resized
from benchmarks.graph.scene import Scene
from benchmarks.runs import Place
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from graphkd.gnn import deepwalk

TEACHERS, TARGETS, TASKS, POSITIONS = 3, 2, 2, 64
OWN_STUDENT = ("ffg2m", "krd", "hgmd", "hgmd_weight")  # which make their published MLP where no student is given


class TwoInputs(nn.Module):
    """A model of features and another input of the same nodes, side by side."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, modality: Tensor) -> Tensor:
        """(N, F), (N, F') -> (N, C)."""
        return self.model(torch.cat([x, modality], dim=1))


def _domains(scene: Scene, _: Place) -> dict[str, Any]:
    return {"domains": torch.where(scene.seen.train_mask, 0, 1 + scene.part_by_degree(TARGETS))}


def _sources(scene: Scene, place: Place) -> dict[str, Any]:
    """Thirds of the labelled nodes by in-degree, with a teacher of its kind each."""
    labelled, part = scene.seen.train_mask, scene.part_by_degree(TEACHERS)
    teacher = scene.teacher(place).model
    teachers = [
        scene.alone("source", teacher, k + 1, place, train_mask=labelled & (part == k)) for k in range(TEACHERS)
    ]
    return {"teacher": teachers, "sources": torch.where(labelled, part, -1)}


def _other_teacher(scene: Scene, place: Place) -> dict[str, Any]:
    """Of another task: which part of the nodes by in-degree, of as many as there are classes, a node is in."""
    teacher, degrees = scene.teacher(place).model, scene.part_by_degree(scene.classes)
    return {"other_teacher": scene.alone("degrees", teacher, 1, place, y=degrees)}


def _second(scene: Scene, _: Place) -> dict[str, Any]:
    """Labels of the task of ``_other_teacher``, of the labelled nodes."""
    return {"second": torch.where(scene.seen.train_mask, scene.part_by_degree(scene.classes), -1)}


def _candidates(scene: Scene, _: Place) -> dict[str, Any]:
    """Six students: half the width, the width and twice the width of the given one, of two and three layers."""
    width = scene.recipe.hidden
    shapes = [(hidden, layers) for hidden in (max(width // 2, 1), width, 2 * width) for layers in (2, 3)]
    sizes, student = (scene.seen.num_features, scene.classes), scene.student()
    with seeded(scene.seed):
        return {"candidates": [resized(student, *sizes, hidden=hidden, layers=layers) for hidden, layers in shapes]}


def _modality(scene: Scene, place: Place) -> dict[str, Any]:
    """The nodes' positions in the graph, which an MLP reads beside features; a model of the student's kind teaches."""
    data, recipe, seed = scene.seen, scene.recipe, scene.seed + 1000
    looped, _ = add_self_loops(data.edge_index, num_nodes=data.num_nodes)
    positions = deepwalk(looped, data.num_nodes, POSITIONS, seed=seed)
    with seeded(scene.seed):
        student = MLP([data.num_features + POSITIONS, 128, scene.classes], norm=None, dropout=recipe.dropout)
    teacher = scene.alone("unimodal", scene.student(), 1, place)
    return {"student": TwoInputs(student), "teacher": teacher, "modality": positions}


def _sequence(scene: Scene, _: Place) -> dict[str, Any]:
    """Labelled nodes of fewer neighbours first, then those of more."""
    return {"sequence": scene.part_by_degree(TASKS)}


def _layers(scene: Scene, _: Place) -> dict[str, Any]:
    """The hidden layer and the last; methods refuse those of unlike widths."""
    pairs = [(path, path.replace("0", "1")) for path in scene.hidden]
    return {"layers": tuple(zip(*pairs, strict=True))}


NEEDS: Mapping[str, Callable[[Scene, Place], dict[str, Any]]] = {
    "hidden": lambda *_: {},  # which all are given
    "edges": lambda *_: {},
    "whole graph": lambda *_: {},
    "feature student": lambda *_: {},
    "teachers": lambda scene, place: {"teacher": scene.further(TEACHERS, place)},
    "domains": _domains,
    "sources": _sources,
    "other_teacher": _other_teacher,
    "second": _second,
    "candidates": _candidates,
    "modality": _modality,
    "sequence": _sequence,
    "layers": _layers,
}


def makes_own_student(row: Metadata) -> bool:
    """Whether a method is trained by its paper's options, since its student is its own."""
    return row.name in OWN_STUDENT or ("student" in row.cannot and "candidates" not in row.needs)


def has_dropout(row: Metadata) -> bool:
    """Whether a method's student is the benchmark's, as it is, and its dropout may be another."""
    return row.name not in OWN_STUDENT and "student" not in row.cannot and "modality" not in row.needs


def lacking(row: Metadata, student: str) -> str:
    """What a method needs and this benchmark does not give, or ''."""
    if row.name == "white_to_black":
        return "a model to deceive, and gives no student"
    if "layers" in row.needs:
        return "layers of one width in both models"
    if "feature student" in row.needs and student != "mlp":
        return "an MLP as student"
    return next((f"{need!r}, which is not of this benchmark" for need in row.needs if need not in NEEDS), "")


def given(row: Metadata, scene: Scene, place: Place, dropout: float | None = None) -> dict[str, Any]:
    """Student, teacher and further arguments of ``distil`` for a method; ``dropout``: of the student, or None."""
    found: dict[str, Any] = {"hidden": scene.hidden}
    found["student"] = None if row.name in OWN_STUDENT or "student" in row.cannot else scene.student(dropout)
    found["teacher"] = None if row.family == "self" else scene.teacher(place).model
    for need in row.needs:
        if need in NEEDS:
            found |= NEEDS[need](scene, place)
    return found
