"""Arrows between the rooms run downwards only and never in a circle; files and functions stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES, FUNCTION_LINES = 300, 40

# Of our own rooms, what each may import besides itself; a longer name goes before a shorter one.
METHODS = ("graphkd.losses", "graphkd.tasks", "graphkd.kernels", "graphkd.core")
TOP = ("graphkd.gnn", "graphkd.schemes", *METHODS)
ALLOWED: dict[str, tuple[str, ...]] = {
    "graphkd.core": (),
    "graphkd.kernels": ("graphkd.core",),
    "graphkd.loaders": ("graphkd.core",),
    "graphkd.losses": ("graphkd.kernels", "graphkd.core"),
    "graphkd.tasks": ("graphkd.losses", "graphkd.kernels", "graphkd.core"),
    "graphkd.schemes": METHODS,
    "graphkd.gnn": METHODS,
    "graphkd.distil": TOP,
    "graphkd.tune": ("graphkd.distil", *TOP),
    "graphkd.serving": TOP,
    "graphkd.compressing": ("graphkd.serving", "graphkd.loaders", *TOP),
    "graphkd.compress": ("graphkd.compressing", "graphkd.distil", "graphkd.tune", "graphkd.serving", *TOP),
    "graphkd.__main__": ("graphkd.compress", "graphkd.compressing", "graphkd.distil", "graphkd.loaders", *TOP),
    "graphkd": ("graphkd.core", "graphkd.compress", "graphkd.distil", "graphkd.tune"),  # __init__.py
    "recsys": ("graphkd",),
    "datasets": ("recsys", "graphkd.tasks"),  # the types of what it loads
    "benchmarks": ("datasets", "recsys", "graphkd"),
    "examples": ("datasets", "recsys", "graphkd"),
}
# Modules that import one another, as types at least. None may be added; whoever opens one takes it from here.
KNOWN_CIRCLES: set[frozenset[str]] = set()
OURS = ("graphkd", "recsys", "datasets", "benchmarks", "examples", "tests")
FILES = sorted(path for room in OURS[:-1] for path in (ROOT / room).rglob("*.py"))
STUBS = sorted(path for room in OURS[:2] for path in (ROOT / room).rglob("*.pyi"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def imports(nodes: Iterable[ast.AST], path: Path) -> list[tuple[int, str]]:
    """Line and full name of every module of ours that the nodes of a file import."""
    found = []
    package = name_of(path).split(".")[: None if path.stem == "__init__" else -1]
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from graphkd import losses` names the room, not the package it lies in
            found += [(node.lineno, refined(module, alias.name)) for alias in node.names]
    return [(line, module) for line, module in found if any(within(module, room) for room in OURS)]


def refined(module: str, name: str) -> str:
    path = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if path.is_dir() or path.with_suffix(".py").is_file() else module


def wrong_arrows(path: Path, source: str) -> list[str]:
    room = next(room for room in ALLOWED if within(name_of(path), room))
    # what a file of a room may name: the room itself, what is below it, and graphkd's public names for users of it
    allowed = (room, *ALLOWED[room]) if room != "graphkd" else ALLOWED[room]
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}, {room} may import {', '.join(ALLOWED[room]) or 'nothing'}"
        for line, module in imports(ast.walk(ast.parse(source)), path)
        if not any(within(module, name) for name in allowed)
    ]


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """What is there once a module is imported, and what only type checkers read."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from outside_functions(child)


def circles(sources: Mapping[Path, str]) -> set[frozenset[str]]:
    """The largest sets of modules of which each leads to each other by imports outside functions, those of types too.

    A module's packages do not count as imported; a lazy ``__init__.py``, whose names are in a stub, imports nothing.
    """
    arrows = {
        name_of(path): {module for _, module in imports(outside_functions(ast.parse(source)), path)}
        for path, source in sources.items()
    }
    ends = {name: reached(name, arrows) for name in arrows}
    return {
        frozenset(other for other in ends[name] if name in ends.get(other, ())) for name in arrows if name in ends[name]
    }


def reached(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    found, todo = set(), [start]
    while todo:
        new = arrows.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def too_long(path: Path, source: str) -> list[str]:
    """Files but lists of names (``__init__``), and functions (signature and docstring apart), that are over."""
    where, lines = path.relative_to(ROOT), len(source.splitlines())
    wrong = [f"{where} has {lines} lines"] if lines >= FILE_LINES and path.stem != "__init__" else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = node.end_lineno - body[0].lineno + 1 if body else 0
            if lines >= FUNCTION_LINES:
                wrong.append(f"{where}:{node.lineno} {node.name} has {lines} lines")
    return wrong


def test_arrows_run_downwards():
    assert len(FILES) > 20
    assert [wrong for path in FILES + STUBS for wrong in wrong_arrows(path, path.read_text())] == []


def test_nothing_imports_in_a_circle():
    found = circles({path: path.read_text() for path in FILES if path.relative_to(ROOT).parts[0] in OURS[:2]})
    assert [sorted(circle) for circle in found - KNOWN_CIRCLES] == []
    assert found >= KNOWN_CIRCLES, "a circle that is no more must leave KNOWN_CIRCLES"


def test_files_and_functions_are_small():
    assert [wrong for path in FILES for wrong in too_long(path, path.read_text())] == []


@pytest.mark.parametrize(
    ("file", "line", "fine"),
    [
        ("graphkd/core/fit.py", "from graphkd.core.view import Batch", True),
        ("graphkd/core/fit.py", "from graphkd.losses import KL", False),
        ("graphkd/core/fit.py", "from graphkd import losses", False),
        ("graphkd/core/fit.py", "from ..losses import KL", False),
        ("graphkd/core/fit.py", "import graphkd.gnn", False),
        ("graphkd/core/fit.py", "import graphkd", False),
        ("graphkd/kernels/pairs/gram.py", "from graphkd.kernels.edges.products import edge_dot", True),
        ("graphkd/kernels/pairs/gram.py", "from .. import edges", True),
        ("graphkd/kernels/pairs/gram.py", "from graphkd.core.rng import seeded", True),
        ("graphkd/kernels/pairs/gram.py", "def f():\n    from graphkd.losses import KL", False),
        ("graphkd/losses/__init__.pyi", "from .features.at import AT", True),
        ("graphkd/losses/__init__.pyi", "from ..tasks import Task", False),
        ("graphkd/losses/features/at.py", "from graphkd.kernels import gram", True),
        ("graphkd/losses/features/at.py", "from graphkd.gnn import glnn", False),
        ("graphkd/losses/features/at.py", "from graphkd.tasks import NodeClassification", False),
        ("graphkd/tasks/classification.py", "from graphkd.losses import KL", True),
        ("graphkd/tasks/classification.py", "from graphkd.schemes import online", False),
        ("graphkd/gnn/glnn.py", "from graphkd.losses import KL", True),
        ("graphkd/gnn/glnn.py", "from graphkd.schemes import online", False),
        ("graphkd/distil.py", "from graphkd.schemes import online", True),
        ("graphkd/distil.py", "from graphkd.compress import compress", False),
        ("graphkd/tune.py", "from graphkd.distil import distil", True),
        ("graphkd/distil.py", "from graphkd.tune import tune", False),
        ("graphkd/compress.py", "from graphkd.distil import distil", True),
        ("graphkd/compressing/run.py", "from graphkd.serving import latencies", True),
        ("graphkd/compressing/run.py", "from graphkd.distil import distil", False),
        ("graphkd/serving/timing.py", "from graphkd.compressing.budget import Budget", False),
        ("graphkd/__init__.py", "from graphkd.distil import distil", True),
        ("graphkd/__init__.py", "from graphkd.losses import KL", False),
        ("graphkd/gnn/glnn.py", "import recsys", False),
        ("recsys/__init__.py", "from graphkd import Loss", True),
        ("recsys/__init__.py", "from datasets import load", False),
        ("datasets/sbm.py", "from benchmarks import gnn", False),
        ("datasets/sbm.py", "from graphkd import Loss", False),
        ("datasets/sbm.py", "from graphkd.tasks import NodeClassification", True),
        ("benchmarks/gnn.py", "from tests import parity", False),
        ("benchmarks/gnn.py", "from datasets import load\nimport torch, graphkd.losses", True),
    ],
)
def test_the_check_itself(file, line, fine):
    assert (wrong_arrows(ROOT / file, line) == []) == fine


@pytest.mark.parametrize(
    ("back", "circle"),
    [
        ("from graphkd.core.view import View", True),
        ("from graphkd.core import view", True),
        ("from . import view", True),
        ("import graphkd.core.view", True),
        ("if TYPE_CHECKING:\n    from graphkd.core.view import View", True),
        ("try:\n    from graphkd.core.view import View\nexcept ImportError:\n    pass", True),
        ("class A:\n    from graphkd.core.view import View", True),
        ("def f():\n    from graphkd.core.view import View", False),
        ("class A:\n    def f(self):\n        from graphkd.core.view import View", False),
        ("from graphkd.core.rng import seeded", False),
        ("from graphkd.core import Nothing", False),
    ],
)
def test_the_search_for_circles_itself(back, circle):
    files = {"view": "from graphkd.core.fit import fit", "fit": "from graphkd.core.loss import Loss", "loss": back}
    found = circles({ROOT / f"graphkd/core/{name}.py": source for name, source in files.items()})
    assert found == ({frozenset(f"graphkd.core.{name}" for name in files)} if circle else set())


@pytest.mark.parametrize(("lines", "fine"), [(FUNCTION_LINES - 1, True), (FUNCTION_LINES, False)])
def test_the_count_itself(lines, fine):
    body = "    x = 1\n" * lines
    assert (too_long(ROOT / "graphkd/x.py", f"def f():\n{body}") == []) == fine
