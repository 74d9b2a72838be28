"""What a benchmark shows: a table on the terminal, JSON Lines, a picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
# title -> key of a row, format, and a factor if the unit changes
Costs = Mapping[str, tuple[Any, ...]]
GNN_COSTS: Costs = {
    "parameters": ("parameters", "{:,.0f}"),
    "latency ms": ("latency_ms", "{:.2f}"),
    "peak MB": ("peak_memory_mb", "{:.1f}"),
    "train s": ("train_seconds", "{:.1f}"),
}


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
    """Mean and population standard deviation."""
    return statistics.fmean(values), statistics.pstdev(values)


def median(rows: list[Row], key: str) -> float:
    """The middle one of a cost, which a busy machine spoils only upwards."""
    return statistics.median(row[key] for row in rows)


def show(rows: list[Row], title: str, costs: Costs = GNN_COSTS) -> None:
    """Print quality and cost of every method; speed-up is the teacher's latency over the model's."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    table = Table(title=title, caption="quality: mean ± standard deviation over seeds in %; cost: median")
    for column in ("method", "model"):
        table.add_column(column)
    for column in (*metrics, *costs, "speed-up"):
        table.add_column(column, justify="right")
    groups = by_method(rows, metrics[0])
    teacher = median(groups["teacher"], "latency_ms") if "teacher" in groups else float("nan")
    for method, group in groups.items():
        quality = [_percent(by_method(rows, metric)[method]) for metric in metrics]
        spent = [_cost(group, *cost) for cost in costs.values()]
        speed_up = f"{teacher / median(group, 'latency_ms'):.1f}"
        table.add_row(method, group[0]["student"], *quality, *spent, speed_up)
    Console(width=None if Console().is_terminal else 160).print(table)


def _percent(rows: list[Row]) -> str:
    mean, deviation = spread([100 * row["value"] for row in rows])
    return f"{mean:.2f} ± {deviation:.2f}"


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
    """Draw quality (error bars: standard deviation) against latency, a point a method."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import StrMethodFormatter

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for method, group in by_method(rows, quality).items():
        mean, deviation = spread([100 * row["value"] for row in group])
        milliseconds = median(group, "latency_ms")
        marker = "s" if method == "teacher" else "o"
        axes.errorbar(milliseconds, mean, yerr=deviation, marker=marker, capsize=3, linestyle="none", label=method)
        axes.annotate(f"{method} ({group[0]['student']})", (milliseconds, mean), (6, 4), textcoords="offset points")
    axes.set(xscale="log", xlabel=latency, ylabel=f"test {quality} in %", title=title)
    axes.margins(x=0.35)  # room for the names
    for which in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        which(StrMethodFormatter("{x:g}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
