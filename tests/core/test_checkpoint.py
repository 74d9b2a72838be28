from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphkd import load, save


class Exploit:
    """What an untrusted file would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_what_is_saved_is_loaded(tmp_path):
    state = {"weights": torch.arange(3.0), "epoch": 4, "names": ["a"], "nested": {"x": (1, None, 2.5)}}
    save(state, tmp_path / "new" / "last.pt")
    loaded = load(tmp_path / "new" / "last.pt")
    torch.testing.assert_close(loaded.pop("weights"), state.pop("weights"))
    assert loaded == state
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    "write", [lambda value, path: torch.save(value, path), lambda v, p: p.write_bytes(pickle.dumps(v))]
)
def test_a_file_with_code_is_refused_and_not_run(tmp_path, write):
    write({"weights": Exploit(tmp_path / "proof")}, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match=r"must be a checkpoint of tensors and plain containers"):
        load(tmp_path / "bad.pt")
    assert not (tmp_path / "proof").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere.pt"):
        load(tmp_path / "nowhere.pt")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "last.pt"
    save({"epoch": 1}, path)
    with pytest.raises(ValueError, match=r"'broken' must be a tensor, a number, text"):
        save({"epoch": 2, "broken": lambda: None}, path)
    assert load(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused(tmp_path, share):
    whole = tmp_path / "whole.pt"
    save({"weights": torch.arange(100.0)}, whole)
    data = whole.read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"cut.pt' must be a checkpoint"):
        load(tmp_path / "cut.pt")
