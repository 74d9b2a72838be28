"""Checks of the models and data that a method is given, made once before the first step."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from graphkd.core.batches import first_batch
from graphkd.core.by_name import entry, node_types
from graphkd.core.cached import Cached
from graphkd.core.clients import Clients
from graphkd.core.ensemble import Ensemble
from graphkd.core.method import Method, lacks
from graphkd.core.task import Task
from graphkd.core.view import names

_log = logging.getLogger(__name__)
_WORDS = {
    "loader": "a loader",
    "cached": "a Cached teacher",
    "ensemble": "an Ensemble as teacher",
    "call": "'call'",
}


def check_models(chosen: Method, student: Any, teachers: Sequence[Any]) -> None:
    """Raise ValueError unless the method supports this student and these teachers."""
    if not chosen.family:  # a loss, or a method of the user's own
        return
    if "student" in chosen.cannot:
        if student is not None:
            _log.warning("%r does not use the 'student' it was given: %s", chosen.name, chosen.cannot["student"])
    elif student is None and chosen.student:
        raise ValueError(f"{chosen.name!r} trains the student that it is given: give 'student', got None")
    if chosen.teacher and not teachers:
        raise ValueError(f"{chosen.name!r} needs a teacher: give 'teacher', got None")
    several = "teachers" in chosen.needs
    if several and len(teachers) < 2:
        raise lacks(chosen, "teachers")
    if len(teachers) > 1 and not several:
        raise ValueError(
            f"{chosen.name!r} learns from one teacher, got {len(teachers)}: give one, or an Ensemble of them"
        )


def check_needs(chosen: Method, settings: Mapping[str, Any], hidden: Any) -> None:
    """Raise ValueError where something that the method needs is missing; the error says how to give it."""
    if "hidden" in chosen.needs and hidden is None:
        raise lacks(chosen, "hidden")
    for parameter in inspect.signature(chosen.function).parameters.values():
        needed = parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
        if needed and settings.get(parameter.name) is None:
            raise lacks(chosen, parameter.name)


def check_refused(chosen: Method, task: Task, teachers: Sequence[Any], data: Any, call: Any) -> None:
    """Raise ValueError for inputs that the method cannot take, with the method's reason."""
    if chosen.family and task.kind not in chosen.tasks:
        raise ValueError(f"{chosen.name!r} is for {' and '.join(chosen.tasks)}: give such a 'task', got {task.kind!r}")
    if "clients" in chosen.needs and not isinstance(data, Clients):
        raise lacks(chosen, "clients")
    if chosen.family and "clients" not in chosen.needs and isinstance(data, Clients):
        raise ValueError(f"{chosen.name!r} learns from one graph or loader: give that as 'data', got Clients")
    given = {
        "loader": names(data) is None,
        "cached": any(isinstance(each, Cached) for each in teachers),
        "ensemble": any(isinstance(each, Ensemble) for each in teachers),
        "call": call is not None,
    }
    for what, reason in chosen.cannot.items():
        if given.get(what):
            raise ValueError(f"{chosen.name!r} cannot take {_WORDS[what]}: {reason}")


def check_data(chosen: Method, data: Any) -> None:
    """Raise ValueError where the data lack what the method reads."""
    if "heterogeneous" in chosen.cannot and (kinds := node_types(first_batch(data))):
        raise ValueError(
            f"{chosen.name!r} cannot take heterogeneous data, here of {kinds}: {chosen.cannot['heterogeneous']}"
        )
    if "sparse" in chosen.cannot:
        refuse_sparse(chosen.name, first_batch(data), chosen.cannot["sparse"])
    if "edges" in chosen.needs and "edge_index" not in first_batch(data):
        raise lacks(chosen, "edges")


def refuse_sparse(name: str, batch: Any, reason: str) -> None:
    """Raise ValueError for features ``x`` in one of torch's sparse layouts."""
    x = None if node_types(batch) else entry(batch, "x")
    if isinstance(x, Tensor) and x.layout != torch.strided:
        raise ValueError(
            f"{name!r} cannot take features in a sparse layout, here 'x' in {x.layout}: {reason}; give it as "
            "x.to_dense()"
        )
