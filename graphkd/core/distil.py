"""Part that ``graphkd.distil`` and ``recsys.distil`` share: a run of the user's arguments, and its result."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from graphkd.core.batches import on_device
from graphkd.core.card import architecture, described, versions
from graphkd.core.catalogue import Catalogue
from graphkd.core.clients import Clients
from graphkd.core.distilled import Distilled
from graphkd.core.door import check_data, check_models, check_needs, check_refused
from graphkd.core.loss import Loss
from graphkd.core.method import Method, as_method, check_settings
from graphkd.core.moving import Follower
from graphkd.core.problem import Problem
from graphkd.core.resume import Resume, check_resume
from graphkd.core.rng import seeded
from graphkd.core.run import Run
from graphkd.core.sparse_features import Features, features_as
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, names


def distilled(
    catalogue: Catalogue,
    method: Any,
    student: Any,
    teacher: Any,
    data: Any,
    task: Any,
    *,
    hidden: Any = None,
    call: Any = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    resume: Resume = False,
    device: torch.device | str | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
    features: Features = "auto",
    settings: Mapping[str, Any] | None = None,
    problem_type: Callable[..., Problem] = Problem,
    **options: Any,
) -> Distilled:
    """Run a method on checked copies of the arguments; ``options`` are those of ``fit``, None where not given."""
    check_resume(resume, checkpoint)
    chosen, own = _chosen(method, catalogue, dict(settings or {}))
    teachers = _listed(teacher, student)
    check_models(chosen, student, teachers)
    check_needs(chosen, own, hidden)
    check_refused(chosen, task, teachers, data, call)
    with seeded(seed):  # reading a loader draws random numbers
        data = (
            data.prepared(task, device) if isinstance(data, Clients) else _placed(task.prepare(data), student, device)
        )
        check_data(chosen, data)
    given = problem_type(
        _moved(student, device),
        [_moved(each, device) for each in teachers],
        data,
        task,
        hidden=_each_side(hidden, len(teachers)),
        calls=[task.call(each) for each in _each_side(call, len(teachers))],
        seed=seed,
    )
    for value in own.values():
        for number, each in enumerate(value if isinstance(value, (list, tuple)) else (value,), 1):
            if isinstance(each, nn.Module):
                given.shaped(each, number)
    folder = Path(checkpoint) if checkpoint is not None else None
    asked = {name: value for name, value in options.items() if value is not None}
    run = Run(chosen, given, asked, folder=folder, resume=resume, log=log)
    about = {"method": chosen.name, "settings": {**chosen.settings, **own}, "seed": seed, "data": data}
    about |= {"teachers": teachers}
    card = {name: _settings(value) if name == "settings" else described(value) for name, value in about.items()}
    card["student"] = architecture(given.student)
    with features_as(features):
        model = run(own, card)
        with seeded(seed):
            scores = _scores(task, model, given)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    card |= {"model": type(model).__name__, "parameters": parameters, "task": task.kind, "options": _settings(asked)}
    return Distilled(model, scores, chosen.name, run.history, {**card, "versions": versions(), "scores": scores})


def _scores(task: Any, model: nn.Module, given: Problem) -> dict[str, dict[str, float]]:
    data, call = given.data, given.call_of(model)
    found: dict[str, dict[str, float]] = (
        data.scores(task, model, call) if isinstance(data, Clients) else task.scores(model, data, call)
    )
    return found


def _chosen(method: Any, catalogue: Catalogue, settings: dict[str, Any]) -> tuple[Method, dict[str, Any]]:
    """Return the method, given by name, as a method or as a loss, and its settings, modules among them copied."""
    if isinstance(method, Loss):
        if settings:
            raise TypeError(f"a loss is the whole objective and has no settings, got {sorted(settings)}")
        chosen, settings = Method(name="loss", teacher=False, function=_given_loss), {"loss": method}
    else:
        chosen = catalogue.find(method) if isinstance(method, str) else as_method(method)
    check_settings(chosen, settings)
    return chosen, {name: _copied(value) for name, value in settings.items()}


def _given_loss(_: Problem, *, loss: Loss) -> Loss:
    return loss


def _copied(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(each) for each in value)
    return copy.deepcopy(value) if isinstance(value, nn.Module) else value


def _listed(teacher: Any, student: Any) -> list[Any]:
    """List the given teachers, none, one or several; followers of another model are frozen as they are now."""
    if teacher is None:
        return []
    found = list(teacher) if isinstance(teacher, (list, tuple)) else [teacher]
    for each in found:
        if not isinstance(each, (nn.Module, Frozen)):
            raise TypeError(f"'teacher' must be a module or a teacher, or a list of such, got {type(each).__name__}")
        if isinstance(each, Follower) and each.student is student:
            raise ValueError(
                f"'teacher' must not follow the 'student' that is given, got {type(each).__name__}: a run trains a "
                "copy of that. Use the method 'mean_teacher' or 'snapshot', or Distiller and fit"
            )
    return [each.still() if isinstance(each, Follower) else each for each in found]


def _each_side(value: Any, teachers: int) -> list[Any]:
    """Expand a value to the student and each teacher; a single value is for all."""
    if not isinstance(value, (list, tuple)):
        return [value] * (1 + teachers)
    if len(value) == 2:
        return [value[0], *[value[1]] * teachers]
    if len(value) != 1 + teachers:
        raise ValueError(
            f"'hidden' and 'call' are one value, a pair (student, teacher), or one for the student and each of "
            f"{teachers} teachers, got {len(value)}"
        )
    return list(value)


def _moved(model: Any, device: torch.device | str | None) -> Any:
    """Copy a module to a device; return other values, and modules that are there already, unchanged."""
    if device is None or not isinstance(model, nn.Module):
        return model
    there = all(parameter.device == torch.device(device) for parameter in model.parameters())
    return model if there else copy.deepcopy(model).to(device)


def _placed(data: Any, student: Any, device: torch.device | str | None) -> Any:
    """Copy a graph, but not a loader, to ``device``, else the student's, where results of it will be too."""
    parameter = next(student.parameters(), None) if isinstance(student, nn.Module) else None
    place = torch.device(device) if device is not None else None if parameter is None else parameter.device
    one = names(data) is not None and isinstance(data, Batch)
    return on_device(data, place) if one and place is not None else data


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: described(value) for name, value in values.items()}
