"""The pages' examples of one's own interactions and a service run as they stand."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

import recsys
from recsys.__main__ import main
from tests.docs.blocks import block, run


def write_clicks(folder):
    """A log of 40 visitors as a file; gives its pairs."""
    random = np.random.default_rng(0)
    rows = {(f"v{user}", f"{item:03}") for user in range(40) for item in random.integers(0, 60, 9)}
    rows |= {("ann", "007"), ("ann", "NA"), ("ann", "008")}
    days = [f"2024-05-{day:02}" for day in random.integers(1, 31, len(rows))]
    lines = ["visitor,sku,day", *(f"{user},{sku},{day}" for (user, sku), day in zip(sorted(rows), days, strict=True))]
    (folder / "clicks.csv").write_text("\n".join(lines))
    return rows


@pytest.mark.slow
def test_from_a_file_to_recommendations(monkeypatch, tmp_path, capsys):
    rows = write_clicks(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recsys, "distil", partial(recsys.distil, epochs=1, progress=False))
    run(block("guides/serving.md", "serve.export"), "serving.md")
    ann, bob = capsys.readouterr().out.splitlines()
    assert ann.startswith("ann ('")
    assert bob.startswith("bob ('")
    assert not {"'007'", "'NA'", "'008'"} & set(re.findall(r"'\w+'", ann))
    main(["recommend", "service/", "ann", "v1", "--k", "60"])
    listed = [tuple(line.split("\t")[::2][:2]) for line in capsys.readouterr().out.splitlines()]
    assert len(listed) > 80
    assert not set(listed) & rows


@pytest.mark.slow
def test_a_new_user_compresses_a_recommender_of_a_log(monkeypatch, tmp_path, capsys):
    write_clicks(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recsys, "distil", partial(recsys.distil, epochs=1, progress=False))
    run(block("index.md", "read_interactions"), "index.md")
    scores, ann, _ = capsys.readouterr().out.splitlines()
    assert scores.count("{") == 2
    assert ann.startswith("ann ('")


@pytest.mark.slow
def test_recbole_gives_data_and_models(monkeypatch, tmp_path, capsys):
    pytest.importorskip("recbole")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recsys, "distil", partial(recsys.distil, epochs=1, progress=False))
    run(block("guides/recbole.md", "LightGCN"), "recbole.md")
    assert capsys.readouterr().out.count("{") == 3
