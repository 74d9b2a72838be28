"""Without a terminal a line tells from time to time how far a benchmark is, whatever its runs do."""

from __future__ import annotations

import time

from benchmarks.progress import EVERY, Progress


def test_lines_come_while_a_run_is_at_work(capsys):
    with Progress(3, every=0.05) as shown:
        shown.begin("kd, seed 0")
        shown.end()
        shown.begin("ban, seed 1")
        shown.log({"stage": "generation-2", "epoch": 17, "loss": 0.5})
        time.sleep(0.4)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) >= 3
    assert lines[-1].startswith("1 of 3 runs done after 0 s, at work: ban, seed 1, generation-2 epoch 17")
    assert EVERY <= 30


def test_a_short_benchmark_tells_nothing(capsys):
    with Progress(1) as shown:
        shown.begin("kd, seed 0")
        shown.end()
    assert capsys.readouterr().err == ""


def test_a_new_run_has_no_epoch_yet():
    with Progress(2) as shown:
        shown.begin("kd, seed 0")
        shown.log({"stage": "student", "epoch": 3})
        assert shown.line().endswith("kd, seed 0, student epoch 3")
        shown.begin("kd, seed 1")
        assert shown.line().endswith("kd, seed 1")
