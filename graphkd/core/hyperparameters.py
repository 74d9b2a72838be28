"""Checks of numeric hyper-parameters, such as weights and temperatures: real and finite, or refused by name."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

_NUMBER = re.compile(r"(float|int)( \| None)?")  # as an annotation


def finite_number(name: str, value: Any) -> float:
    """Return a number as a float; TypeError for other values, ValueError for NaN and infinity."""
    if not isinstance(value, Real):
        kind = type(value).__name__
        learnt = f": a {kind} is not learnt here, write a loss of your own for that" if hasattr(value, "shape") else ""
        raise TypeError(f"{name!r} must be a number, got {kind}{learnt}")
    if not math.isfinite(value):
        raise ValueError(f"{name!r} must be a finite number, got {float(value)}")
    return float(value)


def check_numbers(function: Callable, given: Mapping[str, Any]) -> None:
    """Check arguments by name: those annotated as numbers must be numbers, and none may be NaN or infinite."""
    numeric = _numeric(function)
    for name, value in given.items():
        if name in numeric and value is not None:
            finite_number(name, value)
        for number in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(number, float):
                finite_number(name, number)


def check_call(function: Callable, *arguments: Any, **named: Any) -> None:
    """Check the arguments of a call as ``check_numbers`` does; one that does not fit the signature is not checked."""
    try:
        bound = inspect.signature(function).bind_partial(*arguments, **named)
    except TypeError:
        return
    given = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            given |= given.pop(parameter.name, {})
        elif parameter.kind is parameter.VAR_POSITIONAL:
            given.pop(parameter.name, None)
    check_numbers(function, given)


@functools.lru_cache(maxsize=1024)
def _numeric(function: Callable) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(
        p.name for p in parameters if _NUMBER.fullmatch(inspect.formatannotation(p.annotation).strip("'\""))
    )
