"""Accuracy against milliseconds by matplotlib, for files other than SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_COLOURS = {"front": "C0", "tried": "0.7", "teacher": "C3"}


def figure(points: Sequence[Mapping[str, Any]], metric: str, limit: float | None, path: Path) -> None:
    """Draw the picture of ``picture.draw`` by matplotlib; without it an ImportError names the alternative."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"to draw {path.name!r}, install matplotlib: pip install matplotlib; a path that ends in .svg needs nothing"
        ) from error
    drawing = Figure(figsize=(7, 4), layout="constrained")
    axes = drawing.subplots()
    axes.set(xscale="log", xlabel="milliseconds of a query, median", ylabel=f"{metric} on validation")
    for point in (point for point in points if point["score"] is not None):
        colour = _COLOURS[point["kind"]]
        if not point["latency_ms"]:
            axes.axhline(point["score"], color=colour, linestyle="--", label=point["name"])
            continue
        axes.plot(
            [point["latency_ms"]], [point["score"]], "o", color=colour, markersize=3 + 3 * (point["kind"] != "tried")
        )
        if point["kind"] != "tried":
            place = (point["latency_ms"], point["score"])
            axes.annotate(point["name"].replace("$", r"\$"), place, (5, 3), textcoords="offset points", fontsize=8)
    if limit is not None:
        axes.axvline(limit, color="grey", linestyle=":")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=150)
