"""Families of tests that say one thing of many objects: a few in the fast lane, all in the slow one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def thinned(values: Iterable[Any], every: int) -> list[Any]:
    """Parameters of a test: each ``every``-th of the values in the fast lane too, the others in the slow one alone."""
    found = []
    for place, value in enumerate(values):
        given = value if isinstance(value, tuple) else (value,)
        found.append(value if place % every == 0 else pytest.param(*given, marks=pytest.mark.slow))
    return found
