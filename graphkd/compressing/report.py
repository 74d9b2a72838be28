"""Report of a compression as one self-contained HTML file: picture, tables and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from graphkd.compressing.tables import columns, shown

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
svg { height: auto; max-width: 100%; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #8886; padding: 0.2rem 0.7rem; text-align: left; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; text-align: right; }
pre { overflow-x: auto; }
"""


def html(
    picture: str,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    cards: Sequence[Mapping[str, Any]],
    about: Mapping[str, Any],
) -> str:
    """Write the page. picture: SVG; all other texts are escaped.

    tables: title -> rows; tables without rows are left out. cards: of the students, as saved. about: the arguments of
    the search.
    """
    parts = [f"<h2>{escape(title)}</h2>\n{_table(rows)}" for title, rows in tables.items() if rows]
    first, *others = parts or [""]
    body = [picture, first, f"<h2>Asked for</h2>\n{_table([about])}", *others, "<h2>Cards</h2>"]
    body += [_card(card) for card in cards]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Compression</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>Compression</h1>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    named = columns(rows)
    head = "".join(f"<th>{escape(name)}</th>" for name in named)
    lines = ("".join(_cell(row.get(name)) for name in named) for row in rows)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


def _cell(value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f'<td class="number">{shown(value)}</td>' if is_number else f"<td>{escape(shown(value))}</td>"


def _card(card: Mapping[str, Any]) -> str:
    text = json.dumps(card, indent=2, default=str, ensure_ascii=False)
    return f"<details><summary>{escape(str(card.get('student')))}</summary><pre>{escape(text)}</pre></details>"
