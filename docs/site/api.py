"""The pages of the API: public names described from their docstrings, a page for each package and sub-package."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES: Mapping[str, str] = {
    "graphkd": "What most scripts need: `distil`, teachers, tasks, the training loop.",
    "graphkd.tasks": "What is predicted, and how it is evaluated.",
    "graphkd.losses": "Losses, by what they compare.",
    "graphkd.schemes": "Parts of training schemes: who teaches whom and when.",
    "graphkd.gnn": "Graph students and their parts.",
    "graphkd.kernels": "Operators without matrices of all pairs or of edges times width.",
    "graphkd.loaders": "Sampled batches, and graphs from files.",
    "graphkd.serving": "Exports, latency, neighbourhoods.",
    "recsys": "Interactions, splits, methods of recommenders.",
    "recsys.data": "Interactions, sequences, rows of clicks.",
    "recsys.models": "Small models of our own, and RecBole's by the bridge.",
    "recsys.losses": "Losses between rankings, tables and scores.",
    "recsys.tasks": "What a recommender predicts, and how it is evaluated.",
}


@cache
def names(package: str) -> dict[str, str]:
    """The public names of a package and where they are defined: name -> module."""
    folder = ROOT.joinpath(*package.split("."))
    stub, plain = folder / "__init__.pyi", folder / "__init__.py"
    tree = ast.parse((stub if stub.is_file() else plain).read_text())
    public = next((ast.literal_eval(node.value) for node in tree.body if _is_all(node)), None)
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            module = _absolute(package, node)
            found |= {each.asname or each.name: module for each in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = package
    named = {name: module for name, module in found.items() if public is None or name in public}
    return {name: module for name, module in sorted(named.items()) if _is_defined(module, name)}


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _absolute(package: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return str(node.module)
    base = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _is_defined(module: str, name: str) -> bool:
    """Whether a name is a class or function of ours in that module, and no module itself."""
    folder = ROOT.joinpath(*module.split("."))
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    if not path.is_file() or name.startswith("_"):
        return False
    kinds = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(path.read_text()).body
    return any(isinstance(node, kinds) and node.name == name and ast.get_docstring(node) for node in body)


@cache
def pages() -> dict[str, dict[str, str]]:
    """What stands on which page: page's name -> name -> module; large packages have a page for each sub-package."""
    found: dict[str, dict[str, str]] = {}
    seen: set[tuple[str, str]] = set()
    for package in PACKAGES:
        for name, module in names(package).items():
            if (module, name) in seen:
                continue
            seen.add((module, name))
            inner = module.removeprefix(f"{package}.").split(".")
            part = inner[0] if module.startswith(f"{package}.") and len(inner) > 1 and package != "recsys" else ""
            on = f"{package}.{part}" if part and package != "graphkd" else package
            found.setdefault(on, {})[name] = module
    return found


@cache
def targets() -> dict[str, str]:
    """Names that mean one thing alone -> what the site's links call it."""
    places: dict[str, set[str]] = {}
    for rows in pages().values():
        for name, module in rows.items():
            places.setdefault(name, set()).add(f"{module}.{name}")
    return {name: next(iter(found)) for name, found in places.items() if len(found) == 1}


def files() -> dict[str, str]:
    """The pages, in Markdown: path -> content."""
    made = {f"api/{page}.md": _page(page, rows) for page, rows in pages().items()}
    return made | {"api/index.md": _index()}


def _page(page: str, rows: Mapping[str, str]) -> str:
    lines = [f"# {page}", "", PACKAGES.get(page) or _first_line(page), ""]
    return "\n".join([*lines, *(f"::: {module}.{name}\n" for name, module in rows.items())])


def _first_line(package: str) -> str:
    """The first line of a package's docstring."""
    text = ast.get_docstring(ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())) or ""
    return text.partition("\n")[0]


def _index() -> str:
    lines = [
        "# API",
        "",
        "Public names only; what begins with an underscore, and modules that are not listed here, may change at any "
        "time ([stability](../stability.md)). Named methods are on [pages of their own](../methods/index.md).",
        "",
        "| page | what is there | names |",
        "|---|---|---|",
    ]
    for page, rows in pages().items():
        about = PACKAGES.get(page, "")
        shown = ", ".join(f"[`{name}`]({page}.md#{module}.{name})" for name, module in rows.items())
        lines.append(f"| [{page}]({page}.md) | {about} | {shown} |")
    return "\n".join(lines) + "\n"
