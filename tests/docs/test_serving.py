"""The guide's example of one's own interactions and a service runs as it stands."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys.__main__ import main

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


@pytest.mark.slow
def test_from_a_file_to_recommendations(monkeypatch, tmp_path, capsys):
    random = np.random.default_rng(0)
    rows = {(f"v{user}", f"{item:03}") for user in range(40) for item in random.integers(0, 60, 9)}
    rows |= {("ann", "007"), ("ann", "NA"), ("ann", "008")}
    days = [f"2024-05-{day:02}" for day in random.integers(1, 31, len(rows))]
    lines = ["visitor,sku,day", *(f"{user},{sku},{day}" for (user, sku), day in zip(sorted(rows), days, strict=True))]
    (tmp_path / "clicks.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recsys, "distil", partial(recsys.distil, epochs=1, progress=False))
    (code,) = (text for text in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL) if "serve" in text)
    exec(compile(code, "guide.md", "exec"), {})
    ann, bob = capsys.readouterr().out.splitlines()
    assert ann.startswith("ann ('")
    assert bob.startswith("bob ('")
    assert not {"'007'", "'NA'", "'008'"} & set(re.findall(r"'\w+'", ann))
    main(["recommend", "service/", "ann", "v1", "--k", "60"])
    listed = [tuple(line.split("\t")[::2][:2]) for line in capsys.readouterr().out.splitlines()]
    assert len(listed) > 80
    assert not set(listed) & rows
