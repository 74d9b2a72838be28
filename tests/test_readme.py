"""The README's examples run as they stand, and the wheel holds what it says."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
import torch_geometric.datasets

from datasets import load
from datasets.mirror import available
from graphkd import Distiller
from tests.core.models import gcn, graph

ROOT = Path(__file__).parents[1]


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_the_compression_example_compresses(monkeypatch, capsys):
    if not available("planetoid/Cora/raw/ind.cora.x"):
        pytest.skip("Cora is neither in GRAPHKD_MIRROR nor in the cache")
    monkeypatch.setattr(torch_geometric.datasets, "Planetoid", lambda root, name: [load(name.lower())])
    (example,) = (code for code in examples() if "Planetoid" in code)
    assert len([line for line in example.splitlines() if line.strip()]) <= 12
    torch.manual_seed(0)
    exec(compile(example, "README.md", "exec"), {})
    assert float(re.search(r"tensor\((.*)\)", capsys.readouterr().out)[1]) > 0.75


def test_the_custom_loss_is_ten_lines_and_distils():
    (example,) = (code for code in examples() if "EdgeAgreement" in code)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
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
