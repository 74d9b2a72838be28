"""Students to choose among: the user's, by name, with their properties before training."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from graphkd.core.by_name import required
from graphkd.core.rng import seeded
from graphkd.core.wrappers import unwrapped


@dataclass(frozen=True)
class Student:
    """Student that may be trained.

    make: the student for ``distil``, a module or a function that makes one and may take ``dropout``. shape: makes a
    module of the same shape without training. hidden: path of its hidden layer, None if it has none or the user gives
    the path. reads_edges: whether it is called with ``edge_index``. is_given: whether the user gave it.
    """

    name: str
    make: Any
    shape: Callable[[], nn.Module]
    hidden: str | None = None
    reads_edges: bool = False
    is_given: bool = True


def given_students(given: Any, seed: int) -> list[Student]:
    """Read the user's ``students``: modules or functions that make one, a single one, a list, or a mapping by name.

    Raises:
        TypeError: something else is among them.
        ValueError: there are none.
    """
    if isinstance(given, nn.Module) or (callable(given) and not isinstance(given, Mapping)):
        given = [given]
    if not isinstance(given, (Mapping, Iterable)) or isinstance(given, str):
        raise TypeError(
            "'students' must be 'auto', a list of modules or functions that make one, or such by name, got "
            f"{given!r:.80}"
        )
    named = given.items() if isinstance(given, Mapping) else ((None, each) for each in given)
    found: list[Student] = []
    for name, make in named:
        found.append(_given(name, make, {each.name for each in found}, seed))
    if not found:
        raise ValueError("'students' must have at least one, got none")
    return found


def takes_edges(model: nn.Module) -> bool:
    """Tell whether a module needs ``edge_index`` to be called."""
    return "edge_index" in required(unwrapped(model).forward)


def shape_of(make: Any, seed: int) -> nn.Module:
    """Make a module of a student's shape: copy the module, or call the function with its defaults.

    Raises:
        TypeError: ``make`` is no module and makes none, or is a function with arguments without defaults.
    """
    if isinstance(make, nn.Module):
        return copy.deepcopy(make)
    with seeded(seed):
        made = make(**({"dropout": 0.5} if "dropout" in _needed(make) else {}))
    if not isinstance(made, nn.Module):
        raise TypeError(f"a student must be a module or a function that makes one, got {type(made).__name__}")
    return made


def _given(name: Any, make: Any, taken: set[str], seed: int) -> Student:
    if not isinstance(make, nn.Module) and not callable(make):
        raise TypeError(f"a student must be a module or a function that makes one, got {type(make).__name__}")
    others = sorted(_needed(make) - {"dropout"})
    if others:
        raise TypeError(f"a student must be a function of nothing or of 'dropout', it asks for {others}")
    made = shape_of(make, seed)
    plain = type(unwrapped(made)).__name__ if name is None else str(name)
    unique = next(each for each in _numbered(plain) if each not in taken)
    return Student(unique, make, lambda: shape_of(make, seed), reads_edges=takes_edges(made))


def _needed(make: Any) -> set[str]:
    """List the parameters of a student's function that have no default; a module has none."""
    if isinstance(make, nn.Module):
        return set()
    parameters = inspect.signature(make).parameters.values()
    return {p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def _numbered(name: str) -> Iterable[str]:
    """Yield the name, then the name with 2, 3 and so on."""
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
