"""The README's examples run as they stand, and the wheel holds what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
import torch_geometric.datasets

import graphkd
import recsys
from datasets import load
from datasets.mirror import available
from graphkd import Distiller
from tests.core.models import gcn, graph

ROOT = Path(__file__).parents[1]


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def example(word: str) -> str:
    """The one example that has this word, of at most 12 lines."""
    (found,) = (code for code in examples() if word in code)
    assert len([line for line in found.splitlines() if line.strip()]) <= 12
    return found


@pytest.fixture
def cora(monkeypatch, tmp_path):
    """Cora from the mirror in the place of a download, and a folder to write to."""
    if not available("planetoid/Cora/raw/ind.cora.x"):
        pytest.skip("Cora is neither in GRAPHKD_MIRROR nor in the cache")
    monkeypatch.setattr(torch_geometric.datasets, "Planetoid", lambda root, name: [load(name.lower()).data])
    monkeypatch.chdir(tmp_path)


def test_the_graph_example_runs_and_saves(cora, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(graphkd, "distil", partial(graphkd.distil, epochs=2))
    exec(compile(example("Planetoid"), "README.md", "exec"), {})
    assert "accuracy" in capsys.readouterr().out
    assert (tmp_path / "student" / "card.json").is_file()


@pytest.mark.slow
def test_the_graph_example_gains_over_five_seeds(cora, monkeypatch):
    """The student alone against the distilled one, as the README prints them."""
    gains = []
    for seed in range(5):
        torch.manual_seed(seed)
        names: dict = {}
        with monkeypatch.context() as patched:
            patched.setattr(graphkd, "distil", partial(graphkd.distil, seed=seed))
            exec(compile(example("Planetoid"), "README.md", "exec"), names)
        alone, distilled = (names[name].scores["test"]["accuracy"] for name in ("alone", "distilled"))
        gains.append(distilled - alone)
    assert min(gains) > 0.15, gains


def test_the_recommender_example_runs(monkeypatch, capsys):
    pytest.importorskip("recbole")
    monkeypatch.setattr(recsys, "distil", partial(recsys.distil, epochs=1))
    exec(compile(example("ml-100k"), "README.md", "exec"), {})
    assert "ndcg" in capsys.readouterr().out


def test_the_readme_is_two_screens():
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) < 900
    assert len(text.splitlines()) <= 115


def test_the_custom_loss_is_ten_lines_and_distils():
    names: dict = {}
    exec(compile(example("class EdgeAgreement"), "README.md", "exec"), names)
    step = Distiller(gcn(1), gcn(2), names["EdgeAgreement"](), taps={"hidden": "convs.0"})(graph())
    assert step.loss > 0
    step.loss.backward()


@pytest.mark.slow
def test_the_wheel_is_pure_python_and_holds_the_two_packages(tmp_path):
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("graphkd-*-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"graphkd", "recsys"}
    assert {"graphkd/py.typed", "recsys/py.typed", "graphkd/kernels/edges/products.py"} <= set(names)


@pytest.mark.slow
def test_the_wheel_alone_trains_a_student_by_every_name(tmp_path):
    """From an empty folder, with the wheel in the place of the checkout; prints how many names, and the seconds."""
    target = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        target,
        ROOT,
    ]
    subprocess.run(list(map(str, install)), check=True)
    script = tmp_path / "wheel.py"
    script.write_text((ROOT / "tests" / "methods" / "wheel.py").read_text())
    quiet = {**os.environ, "PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=quiet, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert str(target) in done.stdout
