"""The distillation methods of the GNN benchmark, by name: one literal table."""

from __future__ import annotations

from torch import nn

from benchmarks.graph import ensembles, objectives, online, procedures, robust, students, teachers
from benchmarks.graph.lessons import Lesson, Train, on_labels
from benchmarks.graph.losses import LOSSES
from graphkd.gnn import glnn


def _glnn(lesson: Lesson) -> nn.Module:
    return glnn(lesson.student, lesson.teacher, lesson.data, **lesson.options)


GRAPH: dict[str, Train] = {
    "glnn": _glnn,
    "graph_distillation": ensembles.graph_distillation,
    **students.METHODS,
    **procedures.METHODS,
}
SCHEMES: dict[str, Train] = {
    **online.METHODS,
    **teachers.METHODS,
    **ensembles.METHODS,
    **objectives.METHODS,
    **robust.METHODS,
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
