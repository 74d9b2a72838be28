"""The tables of benchmarks: gains are paired by seed, files are merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from benchmarks.plot import draw_ranks, plot
from benchmarks.report import main, show
from benchmarks.rows import by_method, gain, own_term


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


def test_the_share_of_own_terms_is_marked_where_they_or_the_labels_are_swamped(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "one.jsonl"
    shares = {"none": None, "cc": 0.004, "kd": 0.56, "darkrank": 0.995}
    rows = [row(method, 0, 0.5) | ({} if share is None else {"own_term": share}) for method, share in shares.items()]
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    main([str(file), "--markdown"])
    titles, _, *lines = ([cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines())
    assert [line[titles.index("own term %")] for line in lines] == ["", "0.4 !", "56.0", "99.5 !"]
    main([str(file)])
    assert "own term: median share of the gradient" in " ".join(capsys.readouterr().out.split())


def test_own_terms_are_those_that_are_not_of_the_labels() -> None:
    history = [
        {"share of ce": 0.25, "share of kl": 0.5, "share of cc": 0.25},
        {"share of label_0": 0.9, "share of soft_0": 0.1},
        {"share of label_0": 0.8, "share of soft_0": 0.2},
        {"share of kl": 1.0},  # of a stage without labels
        {"loss": 1.0},
    ]
    assert own_term(history) == {"own_term": pytest.approx(0.2)}
    assert own_term(history[3:]) == {}


def test_many_methods_are_drawn_by_rank(tmp_path: Path) -> None:
    rows = [row(f"m{number:02}", 0, (number * 7 % 13) / 13) for number in range(13)]
    file, picture = tmp_path / "many.jsonl", tmp_path / "many.png"
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    main([str(file), "--plot", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_ranks_rise_and_the_student_alone_is_a_line() -> None:
    rows = [row(method, 0, value) for method, value in (("rd", 0.3), ("none", 0.2), ("cd", 0.1))]
    axes = Figure().subplots()
    draw_ranks(axes, by_method(rows, "ndcg@10"))
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


def printed_lines(rows: list[dict[str, Any]], capsys: pytest.CaptureFixture, *, wide: bool = False) -> list[str]:
    show(rows, "a title", wide=wide)
    return capsys.readouterr().out.splitlines()


def long_rows() -> list[dict[str, Any]]:
    names = ("none", "bidirectional_translated", "feddf-probabilities", "averylongnamewithoutanyplacetobreak")
    costs = {"parameters": 123_456_789, "latency_ms": 12_345.678}
    return [{**row(name, seed, 0.5 + seed / 10), **costs} for seed in (0, 1) for name in names]


@pytest.mark.parametrize("columns", [80, 100, 150])
def test_a_table_fits_the_terminal_and_no_cell_is_cut(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed_lines(long_rows(), capsys)
    assert all(len(line) <= columns for line in lines)
    assert not any("…" in line for line in lines)
    text = "\n".join(lines)
    for number in ("55.00 ± 5.00", "12345.68", "123,456,789"):
        assert text.count(number) >= 4
    names = "".join(line.split("│")[1].strip() for line in lines if line.startswith("│"))
    for name in ("bidirectional_translated", "feddf-probabilities", "averylongnamewithoutanyplacetobreak"):
        assert name in names


def test_a_wide_table_has_all_columns_in_full(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = printed_lines([*long_rows(), row("none", 0, 0.1, "recall")], capsys, wide=True)
    assert not any("…" in line for line in lines)
    titles = [title.strip() for title in lines[2].strip("┃").split("┃")]
    assert titles == ["method", "model", "ndcg@10", "recall", "gain", "parameters", "latency ms"]
    assert any("bidirectional_translated" in line for line in lines)


def test_a_run_that_failed_is_in_the_table_with_its_reason(capsys):
    wrong = {**row("rd", 1, 0.0), "metric": "error", "value": None, "error": "ValueError: [too] 'narrow'"}
    del wrong["parameters"], wrong["latency_ms"]
    both = [row("none", 0, 0.5), row("rd", 0, 0.25), wrong, {**wrong, "method": "cd"}]
    text = "\n".join(printed_lines(both, capsys))
    assert "25.00 ± 0.00 (1 failed)" in text
    assert "rd, seed 1, failed: ValueError: [too] 'narrow'" in text
    assert any(line.split()[1:4] == ["cd", "│", "failed"] for line in text.splitlines())
    only = "\n".join(printed_lines([wrong], capsys))
    assert "failed" in only


def test_one_method_with_several_settings_is_told_apart(capsys):
    rows = [{**row("kd", 0, value), "settings": {"weight": value}} for value in (0.1, 0.2)] + [row("none", 0, 0.1)]
    text = "\n".join(printed_lines(rows, capsys))
    assert "kd weight=0.1" in text
    assert "kd weight=0.2" in text


def boxes(figure: Figure) -> tuple[list[Any], Any]:
    """Extents of all texts of a picture that are shown, and its own."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    low, high = figure.axes[0].get_xlim()
    ticks = [*figure.axes[0].xaxis.get_majorticklabels(), *figure.axes[0].xaxis.get_minorticklabels()]
    outside = {id(text) for text in ticks if not low <= text.get_position()[0] <= high}
    bottom, top = figure.axes[0].get_ylim()
    outside |= {id(t) for t in figure.axes[0].get_yticklabels() if not bottom <= t.get_position()[1] <= top}
    found = [text.get_window_extent(renderer) for text in texts if id(text) not in outside]
    return found, figure.bbox


@pytest.mark.parametrize(
    "latencies", [[1.0, 1.0], [6.1, 6.2, 6.3], [0.2, 0.21, 0.9], [0.01, 3.0, 5000.0], [2.0, 40.0], [9.0, 9.5, 11.0]]
)
@pytest.mark.parametrize("many", [False, True])
def test_no_texts_of_a_picture_overlap_and_none_is_cut(tmp_path, monkeypatch, latencies, many):
    names = [f"method_with_a_name_{k}" for k in range(40 if many else 8)]
    rows = [
        {**row(name, seed, 0.5 + k % 3 / 100), "latency_ms": latencies[k % len(latencies)]}
        for k, name in enumerate(names)
        for seed in (0, 1)
    ]
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k))[1])
    title = "cora, cpf, seeds " + ", ".join(map(str, range(40)))
    plot(rows, tmp_path / "plot.png", title, quality="ndcg@10")
    (figure,) = figures
    found, frame = boxes(figure)
    assert len(found) > 8
    for place, box in enumerate(found):
        assert min(box.x0 - frame.x0, box.y0 - frame.y0, frame.x1 - box.x1, frame.y1 - box.y1) > -1
        for other in found[place + 1 :]:
            assert min(box.x1, other.x1) <= max(box.x0, other.x0) or min(box.y1, other.y1) <= max(box.y0, other.y0)
