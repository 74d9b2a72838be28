"""Hooks of MkDocs: they make the pages of methods, results and the API, and bring links to where they lead there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path

import graphkd
import recsys
from docs import pages as tables
from docs.site import api, decision, leaderboards, method_pages, text

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)((?:tests|benchmarks|examples|graphkd|recsys)/[^)]*)\)")
_RESULT = re.compile(r"benchmarks/results/([\w-]+)\.jsonl")
_DOCS = re.compile(r"\]\(docs/")
_FIRST_CELL = re.compile(r"^\| `([\w-]+)` \|", re.MULTILINE)
_OVERVIEWS = ("methods.md", "schemes.md")


def on_files(files: Any, config: Any) -> Any:
    """Add what is made: pages of methods, leaderboards, the API, and the files of the repository's root."""
    made = {f"methods/{method_pages.path_of(row)}": method_pages.page(row) for row in _rows()}
    made |= {"methods/index.md": _methods(), **leaderboards.files(), **api.files()}
    made |= {f"{name.lower()}.md": _root_file(f"{name}.md") for name in ("CHANGELOG", "CONTRIBUTING")}
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Link names of methods to their pages; what is not on the site is named, without a link."""
    path = page.file.src_uri
    up = "../" * path.count("/")
    markdown = text.included(markdown)
    if decision.MARK in markdown:
        markdown = markdown.replace(decision.MARK, decision.table(up))
    if path in _OVERVIEWS:
        known = {row.name: method_pages.path_of(row) for row in reversed(_rows())}
        markdown = _linked_names(markdown, known)
    return _OUTSIDE.sub(lambda found: _outside(found, up), markdown)


def _linked_names(text: str, known: dict[str, str]) -> str:
    """The names of a page's tables as links; below a heading of recommenders those of recommenders."""
    parts = re.split(r"(?=^## )", text, flags=re.MULTILINE)

    return "".join(_linked_part(part, known) for part in parts)


def _linked_part(part: str, known: dict[str, str]) -> str:
    of_rankings = part.startswith("## recommenders")

    def link(found: re.Match[str]) -> str:
        path = f"recommenders/{found[1]}.md" if of_rankings else known.get(found[1])
        return f"| [`{found[1]}`](methods/{path}) |" if path else found[0]

    return _FIRST_CELL.sub(link, part)


def _outside(found: re.Match[str], up: str) -> str:
    result = _RESULT.match(found[2])
    return f"[{found[1]}]({up}results/{result[1]}.md)" if result else f"`{found[2]}`"


def _rows() -> list[Any]:
    return [*graphkd.methods(), *recsys.methods()]


def _root_file(name: str) -> str:
    return _DOCS.sub("](", (ROOT / name).read_text(encoding="utf-8"))


def _methods() -> str:
    """The index of methods: by family, a line each."""
    rows = _rows()
    lines = [
        "# Methods",
        "",
        f"{len(rows)} methods have a name. Each has a page with its idea, formula, example, hyper-parameters, cost and "
        "measured rows. [Choosing a method](../guides/choosing.md) says where to begin; `graphkd.methods()` and "
        "`recsys.methods()` give the same as objects.",
        "",
    ]
    for content in tables.pages():
        for title, found in content.parts.items():
            lines += [f"## {title}", "", "| name | what it does |", "|---|---|"]
            lines += [f"| [`{row.name}`]({method_pages.path_of(row)}) | {_cell(row.summary)} |" for row in found]
            lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")
