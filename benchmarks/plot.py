"""Pictures of rows: quality against latency, or many methods by rank."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.rows import BASE, Row, by_method, median, spread

_NAMED = 12  # methods whose names still fit beside a plane
_MARKS = "osD^vP"  # with ten colours, no two methods look alike


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

    groups = {name: group for name, group in by_method(rows, quality).items() if group}
    many = len(groups) > _NAMED or any("latency_ms" not in row for group in groups.values() for row in group)
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.16 * len(groups)) if many else (7, 4), layout="constrained")
    (draw_ranks if many else draw_latencies)(axes, groups)
    told = f"test {quality} in %"
    axes.set(**({"xlabel": told} if many else {"ylabel": told, "xlabel": latency}))
    axes.set_title(textwrap.fill(title, 50), fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_latencies(axes: Any, groups: Mapping[str, list[Row]]) -> None:
    """Draw a point a method, the best first in the legend, which stands outside: students have like latencies."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    found = {method: spread([100 * row["value"] for row in group]) for method, group in groups.items()}
    for place, (method, group) in enumerate(groups.items()):
        mean, deviation = found[method]
        axes.errorbar(
            [median(group, "latency_ms")],
            [mean],
            yerr=[deviation],
            fmt=_MARKS[place // 10],
            color=f"C{place % 10}",
            capsize=3,
            label=f"{method} ({group[0]['student']})",
        )
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 300 else (1,), numticks=20))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: -found[list(groups)[place]][0])
    axes.figure.legend([handles[k] for k in order], [labels[k] for k in order], loc="outside right upper", fontsize=8)


def draw_ranks(axes: Any, groups: Mapping[str, list[Row]]) -> None:
    """Draw a line a method, the best on top; the teacher and the student alone are lines across all."""
    found = {method: spread([100 * row["value"] for row in group]) for method, group in groups.items()}
    names = sorted(found, key=lambda method: found[method])
    means, deviations = zip(*(found[name] for name in names), strict=True)
    axes.errorbar(means, range(len(names)), xerr=deviations, marker="o", markersize=3, capsize=1.5, linestyle="none")
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set_ylim(-1, len(names))
    for name, style in (("teacher", "--"), (BASE, ":")):
        if name in found:
            axes.axvline(found[name][0], linestyle=style, color="grey")
