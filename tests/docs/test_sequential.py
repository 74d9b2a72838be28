"""The example of the page of sequential recommenders runs as it stands."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import torch

import recsys

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "sequential.md").read_text()


def test_the_example_runs(monkeypatch, capsys):
    monkeypatch.setattr(recsys, "distil", partial(recsys.distil, epochs=2, progress=False))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    torch.manual_seed(0)
    exec(compile(code, "sequential.md", "exec"), {})
    assert "ndcg@10" in capsys.readouterr().out


def test_the_methods_of_the_page_are_those_there_are():
    serving = {row.name for row in recsys.methods(task="sequential")}
    named = set(re.findall(r"`(\w+)`", PAGE.partition("## Which methods")[2]))
    known = {row.name for row in recsys.methods()}
    assert named & known == serving - {"none", "cd_student"} | {"hetcomp", "irrrd", "dcd_items"}
