"""What holds for every method, whatever it does: see DESIGN's contract of methods and runs.

A scene says what methods are given: ``tests.methods.scene`` those of graphs, ``recommenders`` those of recommenders.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from graphkd import Cached, Clients, Ensemble, Frozen
from graphkd.core import checkpoint
from graphkd.core.method import Metadata
from tests.methods import scene


class BrokenError(RuntimeError):
    """What breaks a run off."""


@contextmanager
def breaking(at: int | None = None):
    """Count what happens around a run's files and reports, and break the run off at one of these events."""
    events = [0]
    save = checkpoint.save

    def happens() -> None:
        events[0] += 1
        if events[0] == at:
            raise BrokenError

    def saved(state: Any, path: str | Path) -> None:
        happens()
        save(state, path)
        happens()

    with mock.patch.object(checkpoint, "save", saved):
        yield events, lambda _: happens()


def weights(result: Any) -> dict[str, Tensor]:
    return result.model.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def frozen_copy(given: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy({name: given[name] for name in ("student", "teacher", "data")})


def is_untouched(now: Any, before: Any) -> bool:
    """Whether models and data are as they were, modes and tensors."""
    if isinstance(now, nn.Module):
        modes = [module.training for module in now.modules()] == [module.training for module in before.modules()]
        return modes and same(now.state_dict(), before.state_dict())
    if isinstance(now, Tensor):
        return torch.equal(now, before)
    if is_dataclass(now):
        return all(is_untouched(getattr(now, each.name), getattr(before, each.name)) for each in fields(now))
    if isinstance(now, (list, tuple, Clients)):
        return all(is_untouched(one, other) for one, other in zip(now, before, strict=True))
    if hasattr(now, "keys") and callable(now.keys):
        entries = list(now.keys())
        tensors = [name for name in entries if isinstance(now[name], Tensor)]
        return entries == list(before.keys()) and all(torch.equal(now[name], before[name]) for name in tensors)
    return True


def resumes(row: Metadata, folder: Path, most: int | None = 4, scene: Any = scene) -> tuple[int, int]:
    """Break a run off at events spread over it, resume it, and ask for the bits of one that went through.

    Gives the number of events of the run and of breaks. A stage that was finished is not trained again.
    """
    given = scene.arguments(row)
    with breaking() as (events, log):
        whole = scene.run(row, given, checkpoint=folder / "whole", log=log)
    count = events[0]
    shares = [k / (most or count) for k in range(1, (most or count) + 1)]
    places = sorted({max(2, round(count * share)) for share in shares})  # with the first the run begins
    for place in places:
        path = folder / f"broken-{place}"
        try:
            with breaking(place) as (_, log):
                scene.run(row, given, checkpoint=path, log=log)
        except BrokenError:
            pass
        finished = {done.parent.name.partition("-")[2] for done in path.glob("*/done.pt")}
        other = {**given}
        if isinstance(other["student"], nn.Module):  # whatever weights come now
            other["student"] = copy.deepcopy(given["student"])
            for parameter in other["student"].parameters():
                parameter.data.add_(1.0)
        again: list[dict] = []
        result = scene.run(row, other, checkpoint=path, resume=True, log=again.append)
        twice = finished & {report["stage"] for report in again}
        assert not twice, f"{row.name}: trained {twice} again after a break at event {place} of {count}"
        assert same(weights(result), weights(whole)), f"{row.name}: other bits after event {place} of {count}"
        assert result.scores == whole.scores
    return count, len(places)


def takes_a_loader(row: Metadata) -> None:
    given = scene.arguments(row)
    given["data"] = scene.parts(given["data"])
    assert not scene.run(row, given).model.training


def takes_calls(row: Metadata) -> None:
    """Odd signatures give the same bits as plain ones."""
    given = scene.arguments(row)
    plain = scene.run(row, given)
    wrap = lambda model: [wrap(each) for each in model] if isinstance(model, list) else model and scene.Odd(model)  # noqa: E731
    odd = {**given, "student": wrap(given["student"]), "teacher": wrap(given["teacher"]), "call": scene.call}
    odd["hidden"] = f"inner.{given['hidden']}"
    odd |= {name: wrap(odd[name]) for name in ("candidates", "other_teacher") if name in odd}
    if "layers" in odd:
        odd["layers"] = tuple(f"inner.{path}" for path in odd["layers"])
    found = scene.run(row, odd)
    for one, other in zip(weights(found).values(), weights(plain).values(), strict=True):
        torch.testing.assert_close(one, other)


def takes_sparse_features(row: Metadata) -> None:
    """Features in a sparse layout, of a graph or of batches, give what they give dense, or are refused by name."""
    given = {**scene.arguments(row), "features": "sparse"}
    graph = given["data"]
    batches = [graph] if "loader" in row.cannot else scene.parts(graph)
    for layout, parts in (("to_sparse_csr", [graph]), ("to_sparse_coo", batches)):
        forms = []
        for sparse in (True, False):
            own = [copy.copy(part) for part in parts]
            for part in own if sparse else ():
                part.x = getattr(part.x, layout)()
            forms.append({**copy.deepcopy(given), "data": own if len(own) > 1 else own[0]})
        if "sparse" in row.cannot or row.name == "bidirectional_translated":
            words = f"'{row.name}' cannot take features in a sparse layout, here 'x' in torch.sparse_c"
            with pytest.raises(ValueError, match=words):
                scene.run(row, forms[0])
            continue
        found, plain = (weights(scene.run(row, each)) for each in forms)
        for one, other in zip(found.values(), plain.values(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def another(model: nn.Module) -> nn.Module:
    """A model of this kind with other weights."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.9)
    return other


def takes_teachers(row: Metadata, kind: str, scene: Any = scene) -> None:
    """A ``Cached`` or an ``Ensemble`` in the place of every module."""
    given = scene.arguments(row)
    data, call = scene.stored(given["data"]), scene.TEACHERS_CALL
    make = {
        "cached": lambda model: Cached(model, data, call=call),
        "ensemble": lambda model: Ensemble([Frozen(each, call=call) for each in (model, another(model))]),
    }
    teacher = given["teacher"]
    changed = [make[kind](each) for each in teacher] if isinstance(teacher, list) else make[kind](teacher)
    assert not scene.run(row, given, teacher=changed).model.training


def leaves_alone(row: Metadata, scene: Any = scene) -> None:
    """What was given stays as it was; test labels play no part; the same seed gives the same bits."""
    given = scene.arguments(row)
    before = frozen_copy(given)
    first = scene.run(row, given)
    for name, value in before.items():
        assert is_untouched(given[name], value), f"{row.name} changed its {name}"
    other = scene.run(row, {**given, "data": scene.poisoned(given["data"], row.tasks[0])})
    assert same(weights(first), weights(other)), f"{row.name} read test labels"
