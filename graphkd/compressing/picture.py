"""Accuracy against milliseconds as an SVG picture, which any browser shows without loading anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 150, 20, 50
_LONG, _HIGH = 110, 13  # of a label
_LEAST = 1e-6  # smallest difference of values that are drawn apart
_COLOURS = {"front": "#2a78c2", "tried": "#999", "teacher": "#c2552a"}
Point = Mapping[str, Any]


class Axes:
    """Axes that map latencies (logarithmic) and scores to places on the picture."""

    def __init__(self, latencies: Sequence[float], scores: Sequence[float]) -> None:
        self.low, self.high = _widened(min(map(math.log10, latencies)), max(map(math.log10, latencies)))
        self.bottom, self.top = _widened(min(scores), max(scores))

    def x(self, latency: float) -> float:
        """Place a latency."""
        share = (math.log10(latency) - self.low) / (self.high - self.low)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, score: float) -> float:
        """Place a score."""
        share = (score - self.bottom) / (self.top - self.bottom)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)

    def x_ticks(self) -> list[float]:
        """Return round latencies, at 1, 2 and 5 times powers of ten, or if these are many the powers alone."""
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        found = [step * 10.0**power for power in powers for step in ((1, 2, 5) if self.high - self.low < 3 else (1,))]
        return [tick for tick in found if self.low <= math.log10(tick) <= self.high]

    def y_ticks(self) -> list[float]:
        """Return about five round scores."""
        rough = (self.top - self.bottom) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
        return [round(k * step, 10) for k in range(math.ceil(self.bottom / step), math.floor(self.top / step) + 1)]


def draw(points: Sequence[Point], metric: str, limit: float | None = None) -> str:
    """Draw a front, the other students that were trained to the end, the teacher, and the budget's milliseconds.

    points: name, kind ("front", "tried" or "teacher"), latency_ms and score. A teacher without latency is drawn as a
    horizontal line, other points without latency are left out. limit: the budget's. Names and ``metric`` are escaped.
    """
    points = [point for point in points if point["score"] is not None and math.isfinite(point["score"])]
    placed = [point for point in points if _is_timed(point)]
    parts = [_text(_WIDTH / 2, _HEIGHT / 2, "no student was trained", "middle")]
    if placed:
        limits = [limit] if limit is not None else []
        times = [point["latency_ms"] for point in placed]
        axes = Axes([*times, *limits], [point["score"] for point in points])
        parts = [*_frame(axes, metric), *_lines(axes, points, limits), *_marks(axes, placed)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
    style = 'role="img" font-family="sans-serif" font-size="12" fill="currentColor"'
    return f"{head} {style}>\n<title>{_escaped(metric)} against latency</title>\n" + "\n".join(parts) + "\n</svg>\n"


def _is_timed(point: Point) -> bool:
    latency = point["latency_ms"]
    return latency is not None and 0 < latency < math.inf


def _frame(axes: Axes, metric: str) -> list[str]:
    low, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [_line(_LEFT, low, right, low), _line(_LEFT, _TOP, _LEFT, low)]
    for tick in axes.x_ticks():
        parts += [_line(axes.x(tick), low, axes.x(tick), low + 5), _text(axes.x(tick), low + 19, f"{tick:g}", "middle")]
    for tick in axes.y_ticks():
        parts += [_line(_LEFT - 5, axes.y(tick), _LEFT, axes.y(tick)), _text(_LEFT - 9, axes.y(tick) + 4, f"{tick:g}")]
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 10, "milliseconds of a query, median", "middle"))
    parts.append(f'<g transform="rotate(-90)">{_text(-(_TOP + low) / 2, 16, f"{metric} on validation", "middle")}</g>')
    return parts


def _lines(axes: Axes, points: Sequence[Point], limits: Sequence[float]) -> list[str]:
    """Draw the front's steps, the budget, and a teacher without latency."""
    best = sorted((p for p in points if p["kind"] == "front" and _is_timed(p)), key=lambda p: p["latency_ms"])
    corners: list[tuple[float, float]] = []
    top = -math.inf
    for point in best:
        if point["score"] > top:  # other members are in the front for their size
            corners += [(point["latency_ms"], top)] if corners else []
            corners.append((point["latency_ms"], point["score"]))
            top = point["score"]
    path = " ".join(f"{axes.x(x)},{axes.y(y)}" for x, y in corners)
    parts = [f'<polyline points="{path}" fill="none" stroke="{_COLOURS["front"]}" stroke-opacity="0.5"/>']
    dashed = 'stroke-dasharray="5 4"'
    for x in map(axes.x, limits):
        parts += [_line(x, _TOP, x, _HEIGHT - _BOTTOM, dashed), _text(x + 4, _TOP + 10, "budget", "start")]
    for point in points:
        if point["kind"] == "teacher" and not _is_timed(point):
            y = axes.y(point["score"])
            parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, f'{dashed} stroke="{_COLOURS["teacher"]}"'))
            parts.append(_text(_WIDTH - _RIGHT + 6, y + 4, point["name"], "start"))
    return parts


def _marks(axes: Axes, points: Sequence[Point]) -> list[str]:
    parts, labels = [], list[tuple[float, float]]()
    for point in sorted(points, key=lambda point: point["kind"] == "front"):  # the front on top
        x, y, kind = axes.x(point["latency_ms"]), axes.y(point["score"]), point["kind"]
        told = f"{point['name']}: {point['score']:.4f}, {point['latency_ms']:.4g} ms"
        mark = f'<circle cx="{x}" cy="{y}" r="{3 if kind == "tried" else 5}" fill="{_COLOURS[kind]}">'
        parts.append(f"{mark}<title>{_escaped(told)}</title></circle>")
        if kind != "tried":
            labels.append(_free(x + 9, y + 4, labels))
            parts.append(_text(*labels[-1], point["name"], "start"))
    return parts


def _free(x: float, y: float, labels: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Move a label down until it overlaps no other one."""
    while any(abs(x - other) < _LONG and abs(y - above) < _HIGH for other, above in labels):
        y = round(y + _HIGH, 1)
    return x, y


def _widened(low: float, high: float) -> tuple[float, float]:
    """Widen a range at both ends, an empty range by a twentieth at least."""
    room = 0.08 * (high - low) if high - low > _LEAST else max(0.05 * abs(high), 0.05)
    return low - room, high + room


def _line(x1: float, y1: float, x2: float, y2: float, more: str = "") -> str:
    stroke = "" if "stroke=" in more else ' stroke="currentColor"'
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"{stroke} {more}/>'.replace(" />", "/>")


def _text(x: float, y: float, words: str, anchor: str = "end") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{_escaped(words)}</text>'


def _escaped(words: str) -> str:
    """Escape text for XML; control characters become spaces."""
    return escape("".join(letter if letter.isprintable() else " " for letter in words))
