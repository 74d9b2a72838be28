"""Markdown of docstrings: examples become code blocks, public names links."""

from __future__ import annotations

import re
import textwrap

from docs.site.api import ROOT, targets

_EXAMPLE = re.compile(r"^(?P<indent> *)(?P<head>.*?)::\n\n(?P<code>(?:(?P=indent) +\S.*\n?|\s*\n)+)", re.MULTILINE)
INCLUDE = re.compile(r"^# include: ([\w/.]+)(?:, lines (\d+) to (\d+))?$", re.MULTILINE)
_CODE = re.compile(r"``([^`\n]+)``")


def markdown(text: str) -> str:
    """A docstring in Markdown: ``head::`` and an indented block become a heading and a block of Python."""
    return _EXAMPLE.sub(_fenced, text.rstrip() + "\n").rstrip()


def _fenced(found: re.Match[str]) -> str:
    head, code = found["head"].strip(), textwrap.dedent(found["code"]).strip("\n")
    language = "pycon" if code.startswith(">>> ") else "python"
    return textwrap.indent(f"**{head}**\n\n```{language}\n{code}\n```\n\n", found["indent"])


def included(text: str) -> str:
    """A page with the files, or their lines, that its blocks ask for: a comment ``# include: examples/nodes.py``."""

    def lines(found: re.Match[str]) -> str:
        every = (ROOT / found[1]).read_text(encoding="utf-8").splitlines()
        first, last = (int(found[2]), int(found[3])) if found[2] else (1, len(every))
        return "\n".join(every[first - 1 : last])

    return INCLUDE.sub(lines, text)


def linked(text: str) -> str:
    """Names of the API in double backquotes as links to where they are described."""
    known = targets()
    return _CODE.sub(lambda found: f"[`{found[1]}`][{known[found[1]]}]" if found[1] in known else found[0], text)
