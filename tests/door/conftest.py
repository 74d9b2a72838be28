"""Fixtures of RecBole's data sets."""

import random
import sys

import pytest

from recsys import bridge


@pytest.fixture
def log_with_repeats(tmp_path, monkeypatch, recbole):
    """A log in which a third of the purchases are repeats, by time, as RecBole reads it."""
    monkeypatch.chdir(tmp_path)  # RecBole's trainer makes folders where it stands
    monkeypatch.setattr(sys, "argv", ["test"])
    random.seed(0)
    (tmp_path / "shop").mkdir()
    rows = []
    for user in range(60):
        for time in range(22):
            known = [row[1] for row in rows if row[0] == user]
            item = random.choice(known) if known and random.random() < 0.3 else random.randrange(50)
            rows.append((user, item, time * 60 + 1_700_000_000))
    lines = [f"u{user}\ti{item}\t{time}" for user, item, time in rows]
    head = "user_id:token\titem_id:token\ttimestamp:float"
    (tmp_path / "shop" / "shop.inter").write_text("\n".join([head, *lines]) + "\n")
    return tmp_path


@pytest.fixture(scope="session")
def recbole():
    pytest.importorskip("recbole", reason="RecBole is not installed: pip install --no-deps recbole==1.2.1")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small data set in RecBole's format."""
    pytest.importorskip("recbole", reason="RecBole is not installed: pip install --no-deps recbole==1.2.1")
    folder = tmp_path_factory.mktemp("data")
    (folder / "d").mkdir()
    rows = "".join(f"u{u}\ti{(u * 7 + k * k) % 60}\n" for u in range(50) for k in range(14))
    (folder / "d" / "d.inter").write_text("user_id:token\titem_id:token\n" + rows)
    how = {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "RO", "group_by": "user", "mode": "full"}
    return bridge.load("d", options={"data_path": str(folder), "eval_args": how})
