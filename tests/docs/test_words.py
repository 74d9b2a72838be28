"""Prose by the field's words: docstrings and pages name things as their readers do, and say what a thing does first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Coined word -> the field's. Names in code keep theirs.
WORDS = {
    "fact": "batch input",
    "facts": "batch inputs",
    "knob": "hyper-parameter",
    "knobs": "hyper-parameters",
    "pupil": "student",
    "pupils": "students",
    "judge": "evaluate",
    "judges": "evaluates",
    "judged": "evaluated",
    "judging": "evaluating",
}
_CODE = re.compile(r"```.*?```|``[^`]*``|`[^`]*`|^ *>>> .*$", re.DOTALL | re.MULTILINE)
_COINED = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)


def docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring of the two packages, with where it stands."""
    for file in sorted(file for package in ("graphkd", "recsys") for file in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
                yield f"{file.relative_to(ROOT)}:{getattr(node, 'name', '')}", text


def pages() -> Iterator[tuple[str, str]]:
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))):
        yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")


def test_no_docstring_begins_with_what():
    assert [where for where, text in docstrings() if text.startswith("What ")] == []


def test_words_are_the_fields():
    found = [
        f"{where}: {word[0]!r} -> {WORDS[word[0].lower()]!r}"
        for where, text in (*docstrings(), *pages())
        for word in _COINED.finditer(_CODE.sub("", text))
    ]
    assert found == []


def test_a_coined_word_is_found():
    assert _COINED.search("Read the facts of a batch.")
    assert not _COINED.search(_CODE.sub("", "Read ``facts`` and `judge`.\n\n```\nknobs\n```"))
