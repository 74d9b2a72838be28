"""The pages of methods, made from metadata: ``python -m docs.pages`` writes methods.md, schemes.md and survey.md."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import graphkd
import recsys
from docs import survey
from graphkd.core.method import Metadata

HERE = Path(__file__).parent
_TABLE = ("| name | what it does, and when to choose it | paper | needs | settings |", "|---|---|---|---|---|")


class Page(NamedTuple):
    """A page: its file, its heading, what it says first, and what is on it: title -> methods."""

    file: str
    title: str
    text: str
    parts: dict[str, list[Metadata]]


def pages() -> list[Page]:
    """The page of losses and recommenders, and the page of schemes and graph students."""
    ours = list(graphkd.methods())
    losses = [row for row in ours if row.module.startswith("graphkd.losses.")]
    others = [row for row in ours if row not in losses]
    by_loss = "A student learns from one loss beside its labels, in one stage but where the text says otherwise."
    by_scheme = "Methods that train several models, run in several stages, or bring a student of their own."
    return [
        Page(
            "methods.md",
            "Methods that are a loss, and methods of recommenders",
            f"{by_loss} By name: `graphkd.distil(NAME, student, teacher, data, ...)`.",
            {**_families("", losses), **_families("recommenders: ", list(recsys.methods()))},
        ),
        Page(
            "schemes.md",
            "Training schemes and graph students",
            f"{by_scheme} By name: `graphkd.distil(NAME, student, teacher, data, ...)`.",
            _families("", others),
        ),
    ]


def page(content: Page) -> str:
    """The whole page, in Markdown."""
    count = sum(len(rows) for rows in content.parts.values())
    made = f"Made by `python -m docs.pages` from the methods' metadata: {count} names."
    lines = [f"# {content.title}", "", made, "", content.text]
    for title, rows in content.parts.items():
        lines += ["", f"## {title}", "", *_TABLE, *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _families(prefix: str, rows: Iterable[Metadata]) -> dict[str, list[Metadata]]:
    found: dict[str, list[Metadata]] = {}
    for row in rows:
        found.setdefault(f"{prefix}{row.family}", []).append(row)
    return dict(sorted(found.items()))


def _line(row: Metadata) -> str:
    arxiv = f"[{row.arxiv}](https://arxiv.org/abs/{row.arxiv})" if row.arxiv else ""
    settings = ", ".join(f"{name}={value!r}" for name, value in row.settings.items())
    needs = ", ".join([*row.needs, *([] if row.teacher else ["no teacher"])])
    paper = " ".join(filter(None, (row.paper, arxiv)))
    cells = (f"`{row.name}`", row.summary, paper, needs, f"`{settings}`" if settings else "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    for content in pages():
        (HERE / content.file).write_text(page(content))
    (HERE / "survey.md").write_text(survey.page([*graphkd.methods(), *recsys.methods()]))
