"""The page of training schemes, made from their docstrings: ``python -m docs.schemes`` writes docs/schemes.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import graphkd.gnn
import graphkd.schemes
import graphkd.schemes.federated

PAGE = Path(__file__).with_name("schemes.md")
ROOMS = (graphkd.schemes, graphkd.schemes.federated, graphkd.gnn)
_HEAD = """# Training schemes

Made by `python -m docs.schemes` from what the docstrings say of when to choose a scheme; algorithms, papers and
arguments are there. Most run by name in `python -m benchmarks.gnn --methods NAME` and the federated ones in
`python -m benchmarks.federated`. The losses are in [methods.md](methods.md).

| scheme | what happens | choose it |
|---|---|---|
"""
_CHOICE = re.compile(r"\b[Cc]hoose it (.*?)(?:\. |\.$|$)")


class Scheme(NamedTuple):
    """What the page says of a scheme."""

    name: str
    what: str
    choice: str


def schemes() -> Iterator[Scheme]:
    """The public names whose docstrings say when to choose them, room by room, in alphabetical order."""
    for room in ROOMS:
        for name in sorted(room.__all__, key=str.lower):
            about = " ".join((inspect.getdoc(getattr(room, name)) or "").split())
            if found := _CHOICE.search(about):
                what = re.split(r"\. |; choose it", about)[0].rstrip(".")
                yield Scheme(f"{room.__name__.removeprefix('graphkd.')}.{name}", what, found[1])


def page() -> str:
    """The whole page, in Markdown."""
    rows = (" | ".join(cell.replace("|", "\\|") for cell in (f"`{found.name}`", *found[1:])) for found in schemes())
    return _HEAD + "".join(f"| {row} |\n" for row in rows)


if __name__ == "__main__":
    PAGE.write_text(page())
