"""The room's public names are what they say, in whatever order they are asked for."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import graphkd.serving


def test_no_name_is_hidden_by_a_file():
    (folder,) = graphkd.serving.__path__
    assert {path.stem for path in Path(folder).glob("*.py")} & set(graphkd.serving.__all__) == set()
    found = [getattr(graphkd.serving, name) for name in graphkd.serving.__all__]
    assert not any(isinstance(each, ModuleType) for each in found)
