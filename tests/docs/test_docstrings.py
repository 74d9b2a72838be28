"""The examples of docstrings are run by doctest, and give what they say.

An example knows the names of its module, ``torch``, ``np``, ``graphkd`` and ``recsys``, a graph ``data`` of 48 nodes, 8
features and 3 classes, a ``student`` and a trained ``teacher`` for it (GCNs), and a ``split`` of a log of ratings.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
from typing import Any

import numpy as np
import pytest
import torch

import graphkd
import recsys
from docs.site import api
from tests.methods import recommenders, scene

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# An object is told once, under the first of its names.
OBJECTS = {
    f"{module}.{name}": getattr(importlib.import_module(module), name)
    for rows in api.pages().values()
    for name, module in rows.items()
}


def examples() -> dict[str, doctest.DocTest]:
    """The doctests of public classes and functions, and of their public methods."""
    finder, found = doctest.DocTestFinder(recurse=True, exclude_empty=True), {}
    for path, each in OBJECTS.items():
        for test in finder.find(each, path, globs={}):
            private = any(part.startswith("_") for part in test.name.removeprefix(path).split("."))
            if test.examples and not private:
                found[test.name] = test
    return found


EXAMPLES = examples()


def names(path: str) -> dict[str, Any]:
    """What an example knows."""
    module = inspect.getmodule(OBJECTS[next(each for each in (path, path.rpartition(".")[0]) if each in OBJECTS)])
    known = {"torch": torch, "np": np, "graphkd": graphkd, "recsys": recsys, **vars(module)}
    return known | {"data": scene.graph(), "student": scene.gcn(5, 12), "teacher": scene.trained(1), **_split()}


def _split() -> dict[str, Any]:
    return {"split": recommenders.split()}


def test_there_are_many():
    assert len(EXAMPLES) >= 150


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_gives_what_it_says(path):
    test = EXAMPLES[path]
    test.globs = names(path)
    torch.manual_seed(0)
    told: list[str] = []
    torch.set_warn_always(True)  # what torch warns of once would be found by one example alone
    failed = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=told.append).failed
    torch.set_warn_always(False)
    assert not failed, "".join(told)
