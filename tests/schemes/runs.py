"""Methods at other settings than their defaults, whose state then matters: runs that are broken off, and loaders."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import graphkd
from tests.methods import contract, scene


def _row(name: str) -> Any:
    return next(row for row in graphkd.methods() if row.name == name)


def _with(settings: dict[str, Any]) -> Any:
    arguments = scene.arguments
    return mock.patch.object(scene, "arguments", lambda row: {**arguments(row), **settings})


def resumes(name: str, folder: Path, **settings: Any) -> None:
    """A run that is broken off ends with the bits of one that went through."""
    with _with(settings):
        contract.resumes(_row(name), folder)


def takes_a_loader(name: str, **settings: Any) -> None:
    """The graph may come in three parts."""
    with _with(settings):
        contract.takes_a_loader(_row(name))
