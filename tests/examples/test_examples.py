"""Every script of ``examples`` runs in seconds, is short, and shows a student that gained beside the one alone."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for path in (ROOT / "examples").glob("*.py") if path.stem != "__init__")
UNSURE = ("sequential",)  # on so small a log a student gains or loses by chance, which the script says
LONGER = ("tuning", "recommender", "sequential")  # of five seconds and more
_SCORE = re.compile(r"^(alone|distilled)\s.*?(\d+\.\d+)", re.MULTILINE)


def test_there_are_twelve_of_at_most_60_lines():
    assert len(SCRIPTS) == 12
    assert [path.name for path in SCRIPTS if len(path.read_text().splitlines()) > 60] == []


def test_each_is_on_a_page():
    pages = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    assert [path.name for path in SCRIPTS if f"examples/{path.name}" not in pages] == []


def named(name):
    return pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name


@pytest.mark.parametrize("name", [named(path.stem) for path in SCRIPTS])
def test_it_runs_and_the_student_gains(name, capsys):
    if name == "tuning":
        pytest.importorskip("optuna")
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "alone" in shown
    found = {who: float(score) for who, score in _SCORE.findall(shown)}
    if "distilled" in found and name not in UNSURE:
        assert found["distilled"] > found["alone"], shown


@pytest.mark.slow
def test_batches_run_in_two_processes():
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    script = str(ROOT / "examples" / "batches.py")
    done = subprocess.run([*command, script], env=quiet, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "distilled" in done.stdout
