"""Rows of plain values as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def shown(value: Any) -> str:
    """Format a value for readers: numbers with four digits and separated thousands, a dash for unknown values."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.001 <= abs(value) < 1000 or value == 0 else f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(each)}" for name, each in value.items()) or "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value)) or "-"
    return str(value)


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the names of all columns in the order of their first occurrence."""
    return list(dict.fromkeys(name for row in rows for name in row))


def aligned(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows under their column names, numbers aligned right; an empty text without rows."""
    if not rows:
        return ""
    named = columns(rows)
    cells = [named, *([shown(row.get(name)) for name in named] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(isinstance(row.get(name), (int, float, type(None))) for row in rows) for name in named]
    lines = (
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        )
        for line in cells
    )
    return "\n".join(line.rstrip() for line in lines)
