"""Kernels compile for sm_90 without a GPU, and none spills registers."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("triton")

from benchmarks import compile_kernels
from benchmarks.compile_kernels import Usage, main


def exit_code(*arguments: str) -> object:
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return exit_.value.code


def test_one_kernel(tmp_path, capsys):
    out = tmp_path / "kernels.jsonl"
    assert exit_code("normalise_kernel", "fp16", "--out", str(out)) == 0
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row["kernel"] == "normalise_kernel"
    assert row["spilled"] == 0
    assert 10 < row["registers"] < 100
    assert "1 specialisations compiled, 0 spill registers" in capsys.readouterr().out


def test_spills_fail(monkeypatch, capsys):
    monkeypatch.setattr(compile_kernels, "usage", lambda entry: Usage("kernel", "fp32", 255, 40, 0))
    assert exit_code("normalise_kernel") == 1
    assert "3 spill registers" in capsys.readouterr().out


def test_unknown_word_fails():
    assert "no kernel's line has all of ['nonsense']" in str(exit_code("nonsense"))


def test_interpreted_kernels_cannot_be_compiled(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "unset it" in str(exit_code())


@pytest.mark.slow
def test_every_kernel():
    assert exit_code() == 0
