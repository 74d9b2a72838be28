"""Table of methods, read from the sources without importing them; finding one by name imports its file alone."""

from __future__ import annotations

import ast
import difflib
import importlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from graphkd.core.method import Metadata, Method, first_paragraph

_DECORATED = re.compile(r'^@method\(\s*"', re.MULTILINE)
_KNOWN = {each.name for each in fields(Metadata)}


class Catalogue(Sequence[Metadata]):
    """Catalogue of all methods in some packages, in the order of packages and files.

    Metadata are the arguments of ``@method``, hyper-parameters the function's keyword-only parameters with a default;
    all of these must be literals.
    """

    def __init__(self, *packages: str) -> None:
        self.packages = packages

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        return self._rows[place]

    def find(self, name: str) -> Method:
        """Import a method by name; ValueError with the nearest names where there is none."""
        row = next((row for row in self if row.name == name), None)
        if row is None:
            near = difflib.get_close_matches(name, [row.name for row in self], n=3, cutoff=0.0)
            raise ValueError(f"there is no method {name!r}; the nearest are {', '.join(map(repr, near))}")
        found = (each for each in vars(importlib.import_module(row.module)).values() if isinstance(each, Method))
        return next(each for one in found for each in (one, *one.also) if each.name == name)

    def select(self, *, task: Any = None, family: str | None = None) -> list[Metadata]:
        """Select methods by task, given by its kind, class or object, and by family; None selects all.

        Raises ValueError where a selection is empty, with the known kinds and families.
        """
        kind = getattr(task, "kind", task)
        found = [row for row in self if (kind is None or kind in row.tasks) and family in (None, row.family)]
        if not found and (task is not None or family is not None):
            kinds = sorted({kind for row in self for kind in row.tasks})
            families = sorted({row.family for row in self})
            raise ValueError(f"'task' must be one of {kinds} and 'family' one of {families}, got {kind!r}, {family!r}")
        return found

    @cached_property
    def _rows(self) -> list[Metadata]:
        rows = [row for package in self.packages for path, module in _sources(package) for row in _read(path, module)]
        names = [row.name for row in rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names of methods must be unique, these are not: {twice}")
        return rows


def _sources(package: str) -> Iterator[tuple[Path, str]]:
    """List the files of a package and the names of their modules."""
    spec = find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(place).rglob("*.py")):
            parts = path.relative_to(place).with_suffix("").parts
            yield path, ".".join((package, *(part for part in parts if part != "__init__")))


def _read(path: Path, module: str) -> Iterator[Metadata]:
    """Read the metadata of the methods in a file."""
    text = path.read_text()
    if not _DECORATED.search(text):
        return
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            named = [each for each in node.decorator_list if isinstance(each, ast.Call) and _name(each) == "method"]
            rows: list[Metadata] = []
            for decorator in reversed(named):  # the first that is applied has what all share
                rows.append(_row(decorator, node, module, path, rows[0] if rows else None))
            yield from rows


def _name(decorator: ast.Call) -> str:
    return getattr(decorator.func, "id", "")


def _row(decorator: ast.Call, function: ast.FunctionDef, module: str, path: Path, first: Metadata | None) -> Metadata:
    try:
        given = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in decorator.keywords}
        pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        settings = {parameter.arg: ast.literal_eval(default) for parameter, default in pairs if default is not None}
        name = ast.literal_eval(decorator.args[0])
    except ValueError as error:
        raise ValueError(f"{path}:{decorator.lineno}: arguments of @method and defaults must be literals") from error
    if first is not None:
        settings |= given.get("preset", {})
        return replace(first, name=name, settings=settings, tasks=given.get("tasks", first.tasks))
    if "loader" in given.get("cannot", {}):
        given["needs"] = (*given.get("needs", ()), "whole graph")
    about = first_paragraph(ast.get_docstring(function))
    known = {key: value for key, value in given.items() if key in _KNOWN}
    return Metadata(name=name, **known, settings=settings, ranges=given.get("space", {}), summary=about, module=module)
