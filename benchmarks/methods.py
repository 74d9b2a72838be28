"""The distillation methods of the GNN benchmark, by name: one literal table."""

from __future__ import annotations

from torch import nn

from benchmarks import (
    gnn_procedures,
    gnn_students,
    scheme_methods_ensembles,
    scheme_methods_objectives,
    scheme_methods_online,
    scheme_methods_robust,
    scheme_methods_teachers,
)
from benchmarks.lessons import Lesson, Train, on_labels
from benchmarks.loss_methods import LOSSES
from graphkd.gnn import glnn


def _glnn(lesson: Lesson) -> nn.Module:
    return glnn(lesson.student, lesson.teacher, lesson.data, **lesson.options)


GRAPH: dict[str, Train] = {"glnn": _glnn, **gnn_students.METHODS, **gnn_procedures.METHODS}
SCHEMES: dict[str, Train] = {
    **scheme_methods_online.METHODS,
    **scheme_methods_teachers.METHODS,
    **scheme_methods_ensembles.METHODS,
    **scheme_methods_objectives.METHODS,
    **scheme_methods_robust.METHODS,
}
METHODS: dict[str, Train] = {"none": on_labels, **LOSSES, **GRAPH, **SCHEMES}
GROUPS = {
    "all": list(METHODS),
    "losses": ["none", *LOSSES],
    "graph": ["none", *GRAPH],
    "schemes": ["none", *SCHEMES],
}


def method(name: str) -> Train:
    """The method of that name; ValueError that lists the names where there is none."""
    if name not in METHODS:
        raise ValueError(f"'methods' must be among {list(METHODS)} or {', '.join(GROUPS)}, got {name!r}")
    return METHODS[name]
