"""What a benchmark shows: a table on the terminal, JSON Lines, a picture.

``python -m benchmarks.report FILE... --metrics hit@5,ndcg@5`` prints the table of runs that were written one by one.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
# title -> key of a row, format, and a factor if the unit changes; a table has those that its rows know
COSTS: Mapping[str, tuple[Any, ...]] = {
    "parameters": ("parameters", "{:,.0f}"),
    "table MB": ("embedding_bytes", "{:.2f}", 2**-20),
    "latency ms": ("latency_ms", "{:.2f}"),
    "peak MB": ("peak_memory_mb", "{:.1f}"),
    "sampling s": ("sampling_seconds", "{:.2f}"),
    "gradient s": ("gradient_seconds", "{:.2f}"),
    "step ms": ("step_ms", "{:.1f}"),
    "train s": ("train_seconds", "{:.1f}"),
}
# metrics shown as they are; all others are shares, shown in %
PLAIN = ("kl", "log_loss", "epsilon", "epsilon_of_any_votes", "rmse", "mae")
_BASE = "none"  # the student alone, which gains are counted from
_MOST = 4  # metrics in a table; all are in the file
_NAMED = 12  # methods whose names still fit beside points in a plane


def write(rows: Iterable[Row], path: Path) -> None:
    """Append one JSON object a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def by_method(rows: Iterable[Row], metric: str) -> dict[str, list[Row]]:
    """Rows of one metric, by method, in the order the methods came."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["metric"] == metric:
            groups.setdefault(row["method"], []).append(row)
    return groups


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and population standard deviation; NaN where a value is."""
    if any(map(math.isnan, values)):
        return math.nan, math.nan
    return statistics.fmean(values), statistics.pstdev(values)


def median(rows: list[Row], key: str) -> float:
    """The middle one of a cost, which a busy machine spoils only upwards."""
    return statistics.median(row[key] for row in rows)


def gain(rows: list[Row], base: list[Row]) -> str:
    """Mean difference to the base over the seeds of both, in points of a percent, ± its standard error."""
    known = {row["seed"]: row["value"] for row in base}
    gains = [100 * (row["value"] - known[row["seed"]]) for row in rows if row["seed"] in known]
    if len(gains) < 2 or rows is base:
        return ""
    return f"{statistics.fmean(gains):+.2f} ± {statistics.stdev(gains) / len(gains) ** 0.5:.2f}"


def cells(rows: list[Row], metrics: list[str], base: str = _BASE) -> list[list[str]]:
    """The table: a line of titles, then quality, gain over the method ``base`` and cost of every method.

    The gain is that of the first metric; speed-up is the teacher's latency over the method's.
    """
    costs = {name: cost for name, cost in COSTS.items() if cost[0] in rows[0]}
    groups = by_method(rows, metrics[0])
    timed = "latency_ms" in rows[0] and "teacher" in groups
    lines = [["method", "model", *metrics, "gain", *costs, *(["speed-up"] if timed else [])]]
    teacher = median(groups["teacher"], "latency_ms") if timed else 0.0
    for method, group in groups.items():
        quality = [_quality(by_method(rows, metric).get(method, []), metric) for metric in metrics]
        quality.append(gain(group, groups[base]) if base in groups else "")
        spent = [_cost(group, *cost) for cost in costs.values()]
        speed_up = [f"{teacher / median(group, 'latency_ms'):.1f}"] if timed else []
        lines.append([method, group[0]["student"], *quality, *spent, *speed_up])
    return lines


def show(rows: list[Row], title: str, metrics: list[str] | None = None, base: str = _BASE) -> None:
    """Print the table; metrics: the first four of the rows where None."""
    metrics = metrics or list(dict.fromkeys(row["metric"] for row in rows))[:_MOST]
    caption = (
        f"quality: mean ± standard deviation over seeds in %; gain: of {metrics[0]}, ± standard error; cost: median"
    )
    table = Table(title=title, caption=caption)
    titles, *lines = cells(rows, metrics, base)
    for place, column in enumerate(titles):
        table.add_column(column, justify="left" if place < 2 else "right")
    for line in lines:
        table.add_row(*line)
    Console(width=None if Console().is_terminal else 180).print(table)


def markdown(lines: list[list[str]]) -> str:
    """The table in Markdown."""
    first, *others = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([first, "|" + "---|" * len(lines[0]), *others])


def _quality(rows: list[Row], metric: str) -> str:
    if not rows:
        return ""  # not every method has every metric
    mean, deviation = spread([row["value"] for row in rows])
    return f"{mean:.4f} ± {deviation:.4f}" if metric in PLAIN else f"{100 * mean:.2f} ± {100 * deviation:.2f}"


def _cost(rows: list[Row], key: str, form: str, factor: float = 1.0) -> str:
    return form.format(factor * median(rows, key))


def plot(
    rows: list[Row],
    path: Path,
    title: str,
    *,
    quality: str = "accuracy",
    latency: str = "latency of the whole graph in ms",
) -> None:
    """Draw quality (error bars: standard deviation), a point a method: against latency, or many methods by rank."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    groups = by_method(rows, quality)
    many = len(groups) > _NAMED
    figure, axes = plt.subplots(figsize=(6, 1 + 0.16 * len(groups)) if many else (6, 4), layout="constrained")
    (_draw_ranks if many else _draw_latencies)(axes, groups)
    told = f"test {quality} in %"
    axes.set(title=title, **({"xlabel": told} if many else {"ylabel": told, "xlabel": latency}))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _draw_latencies(axes: Any, groups: Mapping[str, list[Row]]) -> None:
    from matplotlib.ticker import StrMethodFormatter

    for method, group in groups.items():
        mean, deviation = spread([100 * row["value"] for row in group])
        milliseconds = median(group, "latency_ms")
        marker = "s" if method == "teacher" else "o"
        axes.errorbar(milliseconds, mean, yerr=deviation, marker=marker, capsize=3, linestyle="none", label=method)
        axes.annotate(f"{method} ({group[0]['student']})", (milliseconds, mean), (6, 4), textcoords="offset points")
    axes.set_xscale("log")
    axes.margins(x=0.35)  # room for the names
    for which in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        which(StrMethodFormatter("{x:g}"))


def _draw_ranks(axes: Any, groups: Mapping[str, list[Row]]) -> None:
    found = {method: spread([100 * row["value"] for row in group]) for method, group in groups.items()}
    names = sorted(found, key=lambda method: found[method])
    means, deviations = zip(*(found[name] for name in names), strict=True)
    axes.errorbar(means, range(len(names)), xerr=deviations, marker="o", markersize=3, capsize=1.5, linestyle="none")
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set_ylim(-1, len(names))
    for name, style in (("teacher", "--"), (_BASE, ":")):
        if name in found:
            axes.axvline(found[name][0], linestyle=style, color="grey")


def _of(rows: list[Row], methods: list[str], parser: argparse.ArgumentParser) -> list[Row]:
    """The rows of some methods, in their order."""
    missing = set(methods) - {row["method"] for row in rows}
    if missing:
        parser.error(f"--methods must be in the files, got {', '.join(sorted(missing))}")
    return [row for method in methods for row in rows if row["method"] == method]


def main(argv: list[str] | None = None) -> None:
    """Print the table of the rows of some files; of a run that was written twice the last counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="JSON Lines of --out")
    parser.add_argument("--metrics", type=lambda text: text.split(","), help="default: the first four of the rows")
    parser.add_argument("--methods", type=lambda text: text.split(","), help="default: all of the files, as they come")
    parser.add_argument("--base", default=_BASE, help="the method that gains are counted from (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--plot", type=Path, help="write quality against latency as a picture")
    arguments = parser.parse_args(argv)
    runs: dict[tuple, Row] = {}
    for row in (json.loads(line) for file in arguments.files for line in file.read_text().splitlines()):
        runs[tuple(row[key] for key in ("dataset", "split", "method", "student", "metric", "seed"))] = row
    rows = list(runs.values())
    if arguments.methods:
        rows = _of(rows, arguments.methods, parser)
    metrics = arguments.metrics or list(dict.fromkeys(row["metric"] for row in rows))[:_MOST]
    missing = set(metrics) - {row["metric"] for row in rows}
    if missing:
        parser.error(f"--metrics must be in the files, got {', '.join(sorted(missing))}")
    seeds = sorted({row["seed"] for row in rows})
    title = f"{rows[0]['dataset']}, {rows[0]['split']}, seeds {', '.join(map(str, seeds))}"
    if arguments.markdown:
        print(markdown(cells(rows, metrics, arguments.base)))
    else:
        show(rows, title, metrics, arguments.base)
    if arguments.plot:
        plot(rows, arguments.plot, title, quality=metrics[0])


if __name__ == "__main__":
    main()
