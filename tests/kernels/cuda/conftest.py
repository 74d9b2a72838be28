"""Triton kernels are tested on a GPU, or without one where TRITON_INTERPRET=1 runs them on numpy; else not at all."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
HERE = Path(__file__).parent


class _NotHere(pytest.Module):
    """A module that is skipped before it is imported."""

    def collect(self) -> Any:
        needed = "Triton" if find_spec("triton") is None else "an NVIDIA GPU, or TRITON_INTERPRET=1"
        pytest.skip(f"needs {needed}", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    if find_spec("triton") is not None and (INTERPRETED or torch.cuda.is_available()):
        return None
    return _NotHere.from_parent(parent, path=module_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            # numpy says so where a kernel divides by zero or takes its logarithm, then masks the result
            item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"))


@pytest.fixture
def device() -> torch.device:
    """Where the kernels run: a GPU, or the CPU when they are interpreted."""
    return torch.device("cpu" if INTERPRETED else "cuda")
