"""What mkdocstrings does to a docstring before it parses it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parents[2]))  # the site's builder loads this file by its path

from docs.site.text import linked, markdown


class Docstrings(griffe.Extension):
    """Rewrite each docstring before it is parsed."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None and not obj.is_alias:
            obj.docstring.value = linked(markdown(obj.docstring.value))
