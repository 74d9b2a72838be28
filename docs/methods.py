"""The page of all losses, made from their docstrings: ``python -m docs.methods`` writes docs/methods.md."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import graphkd.losses
import graphkd.schemes
import recsys.losses
from graphkd import Loss

PAGE = Path(__file__).with_name("methods.md")
ROOMS = (graphkd.losses, graphkd.schemes, recsys.losses)
_HEAD = """# Losses

Made from the classes by `python -m docs.methods`; formulas, shapes and arguments are in the docstrings. A loss reads
one entry of both models' views (`logits`, tapped layers, `user` and `item` tables) and the facts of the batch in
brackets. Where no cost is named it is linear in the entries.
"""
_SENTENCE = re.compile(r"(?<=[.;])\s+")
_DIFFERENCE = re.compile(r"\b(authors|authors'|code|codes|paper|paper's|ours|our|we|published|unlike|survey)\b", re.I)


class Entry(NamedTuple):
    """What the page says about a loss."""

    name: str
    what: str
    paper: str
    reads: str
    cost: str
    notes: str


def losses(room: ModuleType) -> Iterator[tuple[str, list[type[Loss]]]]:
    """The files of a package, those on shelves too, and the losses that each defines, in the order written."""
    for found in sorted(pkgutil.walk_packages(room.__path__, f"{room.__name__}."), key=lambda found: found.name):
        module = importlib.import_module(found.name)
        kinds = [kind for kind in vars(module).values() if inspect.isclass(kind) and issubclass(kind, Loss)]
        own = [kind for kind in kinds if kind.__module__ == module.__name__ and not inspect.isabstract(kind)]
        named = [kind for kind in own if hasattr(room, kind.__name__)]
        if named:
            yield (inspect.getdoc(module) or "").splitlines()[0].rstrip("."), named


def entry(kind: type[Loss]) -> Entry:
    """Read a docstring: its first sentence, the rest of its first paragraph, and sentences about cost and sources."""
    first, _, body = (inspect.getdoc(kind) or "").partition("\n\n")
    what, _, paper = " ".join(first.split()).partition(". ")
    sentences = [sentence for sentence in _SENTENCE.split(" ".join(body.split())) if sentence]
    entries = (kind.on,) if isinstance(kind.on, str) else kind.on
    facts = [name if needed else f"{name}?" for name, needed in kind._known["forward"].items()]
    reads = ", ".join(entries) + (f" [{', '.join(facts)}]" if facts else "")
    return Entry(
        kind.__name__,
        what.rstrip("."),
        paper,
        reads,
        _joined(sentence for sentence in sentences if "O(" in sentence),
        _joined(sentence for sentence in sentences if _DIFFERENCE.search(sentence) and "O(" not in sentence),
    )


def _joined(sentences: Iterable[str]) -> str:
    """Each with a full stop, whatever it ended with."""
    return " ".join(f"{sentence.rstrip('.;')}." for sentence in sentences)


def page() -> str:
    """The whole page, in Markdown."""
    lines = [_HEAD]
    for room in ROOMS:
        lines.append(f"## `{room.__name__}`\n")
        for family, kinds in losses(room):
            lines += [f"### {family}\n", "| loss | what is transferred | paper | reads | cost | beside the authors |"]
            lines.append("|" + "---|" * len(Entry._fields))
            for kind in kinds:
                name, *cells = entry(kind)
                lines.append(" | ".join([f"| `{name}`", *(cell.replace("|", "\\|") for cell in cells)]) + " |")
            lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
