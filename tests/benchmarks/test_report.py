"""The tables of benchmarks: gains are paired by seed, files are merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from benchmarks.report import _draw_ranks, by_method, gain, main


def row(method: str, seed: int, value: float, metric: str = "ndcg@10") -> dict[str, Any]:
    names = {"dataset": "toy", "split": "ratio", "student": "mf:8", "method": method, "metric": metric}
    return {**names, "seed": seed, "value": value, "parameters": 10, "latency_ms": 1.0}


def test_a_gain_is_the_mean_difference_over_common_seeds() -> None:
    base = [row("none", seed, value) for seed, value in enumerate((0.10, 0.20, 0.30))]
    better = [row("rd", seed, value) for seed, value in ((2, 0.33), (0, 0.11), (7, 0.9))]
    assert gain(better, base) == "+2.00 ± 1.00"  # differences 3 and 1: deviation sqrt 2, error 1
    assert gain(better[:1], base) == ""
    assert gain(base, base) == ""


def test_files_become_one_table_and_the_last_of_a_run_counts(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text("".join(json.dumps(row("none", seed, 0.5)) + "\n" for seed in (0, 1)))
    other.write_text(json.dumps(row("none", 1, 0.7)) + "\n" + json.dumps(row("rd", 1, 0.25)) + "\n")
    main([str(one), str(other)])
    printed = capsys.readouterr().out
    assert "60.00 ± 10.00" in printed
    assert "25.00 ± 0.00" in printed
    assert "seeds 0, 1" in printed


def test_a_table_in_markdown(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "one.jsonl"
    rows = [row("none", seed, value) for seed, value in enumerate((0.1, 0.2))] + [row("rd", 0, 0.25)]
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    main([str(file), "--markdown"])
    assert capsys.readouterr().out.splitlines() == [
        "| method | model | ndcg@10 | gain | parameters | latency ms |",
        "|---|---|---|---|---|---|",
        "| none | mf:8 | 15.00 ± 5.00 |  | 10 | 1.00 |",
        "| rd | mf:8 | 25.00 ± 0.00 |  | 10 | 1.00 |",
    ]


def test_many_methods_are_drawn_by_rank(tmp_path: Path) -> None:
    rows = [row(f"m{number:02}", 0, (number * 7 % 13) / 13) for number in range(13)]
    file, picture = tmp_path / "many.jsonl", tmp_path / "many.png"
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    main([str(file), "--plot", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_ranks_rise_and_the_student_alone_is_a_line() -> None:
    rows = [row(method, 0, value) for method, value in (("rd", 0.3), ("none", 0.2), ("cd", 0.1))]
    axes = Figure().subplots()
    _draw_ranks(axes, by_method(rows, "ndcg@10"))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cd", "none", "rd"]
    assert list(axes.lines[0].get_xdata()) == pytest.approx([10, 20, 30])
    assert list(axes.lines[-1].get_xdata()) == pytest.approx([20, 20])


def test_some_methods_in_the_order_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text("".join(json.dumps(row(method, 0, 0.5)) + "\n" for method in ("none", "rd", "cd")))
    main([str(file), "--markdown", "--methods", "cd,none"])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[2:]] == ["cd", "none"]
    with pytest.raises(SystemExit):
        main([str(file), "--methods", "dml"])
    assert "dml" in capsys.readouterr().err


def test_gains_over_another_base(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "one.jsonl"
    rows = [row(method, seed, value + seed / 100) for method, value in (("mf", 0.5), ("rd", 0.6)) for seed in (0, 1)]
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    main([str(file), "--markdown", "--base", "mf"])
    mf, rd = (line.split("|")[4].strip() for line in capsys.readouterr().out.splitlines()[2:])
    assert (mf, rd) == ("", "+10.00 ± 0.00")


def test_a_value_that_is_not_a_number_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text(
        "".join(json.dumps(row("none", seed, value)) + "\n" for seed, value in ((0, 0.5), (1, float("nan"))))
    )
    main([str(file), "--markdown"])
    assert "| nan ± nan |" in capsys.readouterr().out


def test_an_unknown_metric_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps(row("none", 0, 0.5)) + "\n")
    with pytest.raises(SystemExit):
        main([str(file), "--metrics", "recall@7"])
    assert "recall@7" in capsys.readouterr().err
