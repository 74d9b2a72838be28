"""The losses against values that the authors' codes computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.parity import run_case

FOLDER = Path(__file__).parents[2] / "golden" / "recsys"


@pytest.mark.parametrize("case", json.loads((FOLDER / "index.json").read_text()), ids=lambda case: case["file"])
def test_value_and_gradients(case: dict) -> None:
    value, gradient, passed = run_case(case, FOLDER)
    assert passed, f"relative errors: value {value:.1e}, gradient {gradient:.1e}"
