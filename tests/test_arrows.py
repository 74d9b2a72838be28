"""Arrows between the rooms run downwards only, and files and functions stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES, FUNCTION_LINES = 300, 40

# Of our own rooms, what each may import besides itself; a longer name goes before a shorter one.
ALLOWED: dict[str, tuple[str, ...]] = {
    "graphkd.kernels": (),
    "graphkd.core": (),
    "graphkd.losses": ("graphkd.kernels", "graphkd.core"),
    "graphkd.schemes": ("graphkd.losses", "graphkd.kernels", "graphkd.core"),
    "graphkd.gnn": ("graphkd.losses", "graphkd.kernels", "graphkd.core"),
    "graphkd": ("graphkd.core",),  # __init__.py
    "recsys": ("graphkd",),
    "datasets": ("recsys",),  # the type of what it loads
    "benchmarks": ("datasets", "recsys", "graphkd"),
}
OURS = ("graphkd", "recsys", "datasets", "benchmarks", "tests")
FILES = sorted(path for room in OURS[:-1] for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def imports(tree: ast.AST, path: Path) -> list[tuple[int, str]]:
    """Line and full name of every module of ours that a file imports, inside functions too."""
    found = []
    package = name_of(path).split(".")[: None if path.name == "__init__.py" else -1]
    for node in ast.walk(tree):
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
        for line, module in imports(ast.parse(source), path)
        if not any(within(module, name) for name in allowed)
    ]


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
    assert [wrong for path in FILES for wrong in wrong_arrows(path, path.read_text())] == []


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
        ("graphkd/kernels/gram_matrix.py", "from graphkd.kernels.edges import edge_dot", True),
        ("graphkd/kernels/gram_matrix.py", "from . import edges", True),
        ("graphkd/kernels/gram_matrix.py", "def f():\n    from graphkd.core.loss import Loss", False),
        ("graphkd/losses/hidden.py", "from graphkd.kernels import gram", True),
        ("graphkd/losses/hidden.py", "from graphkd.gnn import glnn", False),
        ("graphkd/gnn/glnn.py", "from graphkd.losses import KL", True),
        ("graphkd/gnn/glnn.py", "import recsys", False),
        ("recsys/__init__.py", "from graphkd import Loss", True),
        ("recsys/__init__.py", "from datasets import load", False),
        ("datasets/sbm.py", "from benchmarks import gnn", False),
        ("datasets/sbm.py", "from graphkd import Loss", False),
        ("benchmarks/gnn.py", "from tests import parity", False),
        ("benchmarks/gnn.py", "from datasets import load\nimport torch, graphkd.losses", True),
    ],
)
def test_the_check_itself(file, line, fine):
    assert (wrong_arrows(ROOT / file, line) == []) == fine


@pytest.mark.parametrize(("lines", "fine"), [(FUNCTION_LINES - 1, True), (FUNCTION_LINES, False)])
def test_the_count_itself(lines, fine):
    body = "    x = 1\n" * lines
    assert (too_long(ROOT / "graphkd/x.py", f"def f():\n{body}") == []) == fine
