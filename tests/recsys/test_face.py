"""The public names of the package: found where they should be, and loaded when they are asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

ROOMS = ("recsys", "recsys.evaluate", "recsys.losses", "recsys.models", "recsys.sources", "recsys.tasks")


def test_the_rooms_load_nothing():
    code = f"import sys, {', '.join(ROOMS)}; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_stub_is_there(room):
    module = importlib.import_module(room)
    assert module.__all__
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize(
    "path",
    [
        "recsys.Interactions.from_pairs",
        "recsys.Split",
        "recsys.distil",
        "recsys.methods",
        "recsys.models.MF",
        "recsys.bridge.load",
        "recsys.bridge.recommender",
        "recsys.evaluate.full_ranking",
        "recsys.evaluate.leave_one_out",
        "recsys.retrieve.Retriever",
        "recsys.losses.RRD",
    ],
)
def test_public_paths_stay(path):
    parts = path.split(".")
    importlib.import_module(".".join(parts[:-1] if parts[-2][0].islower() else parts[:-2]))
    found = importlib.import_module(parts[0])
    for name in parts[1:]:
        found = getattr(found, name)
    assert callable(found)
