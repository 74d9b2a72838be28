"""How costs grow: an op measured as its graph doubles, and the exponent of growth fitted to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from rich.table import Table

from benchmarks.cases.common import Builder, Case, Size, ours
from benchmarks.cases.costs import Cost, measure


class Sweep(NamedTuple):
    """An op, the smallest graph, what doubles and how often, and what must not grow faster than it.

    doubles: fields of ``Size``; the exponent is in the first. bars: "seconds" or "peak_memory_mb" -> an exponent.
    """

    op: str
    first: Size
    doubles: tuple[str, ...]
    doublings: int
    bars: dict[str, float]

    def sizes(self) -> list[Size]:
        """All graphs, from the smallest."""
        first = self.first
        return [
            first._replace(**{name: getattr(first, name) << k for name in self.doubles})
            for k in range(self.doublings + 1)
        ]

    def counts(self) -> list[int]:
        """What doubles, of all graphs."""
        return [getattr(size, self.doubles[0]) for size in self.sizes()]


# With nodes and edges both, rows leave the processor's caches on the way: the exponent is the machine's too. Where all
# pairs are streamed (G-CRD), the time is quadratic by definition.
SWEEPS = [
    Sweep("lsp", Size(100_000, 500_000), ("edges",), 4, {"seconds": 1.1}),
    Sweep("lsp_cached", Size(100_000, 500_000), ("edges",), 4, {"seconds": 1.1}),
    Sweep("lsp", Size(25_000, 250_000), ("edges", "nodes"), 4, {}),
    Sweep("gsp_cosine", Size(62_500), ("nodes",), 4, {"seconds": 1.1}),
    Sweep("sp", Size(62_500, 0, 128, 128), ("nodes",), 4, {"seconds": 1.1}),
    Sweep("squared_distance_divergence", Size(62_500), ("nodes",), 4, {"seconds": 1.1}),
    Sweep("gcrd", Size(8_192, 0, 32, 32), ("nodes",), 2, {"peak_memory_mb": 1.1}),
]
SWEPT = list(dict.fromkeys(sweep.op for sweep in SWEEPS))


class Growth(NamedTuple):
    """cost = constant * size ^ exponent, by least squares in log-log; the standard error of the exponent."""

    exponent: float
    error: float


def growth(sizes: list[int], costs: list[float]) -> Growth:
    """The exponent with which costs grow with sizes; ValueError for fewer than three points."""
    if len(sizes) < 3:
        raise ValueError(f"'sizes' must hold at least three points for a fit with an error, got {len(sizes)}")
    x, y = ([math.log(value) for value in values] for values in (sizes, costs))
    centre = [sum(values) / len(values) for values in (x, y)]
    spread = sum((a - centre[0]) ** 2 for a in x)
    slope = sum((a - centre[0]) * (b - centre[1]) for a, b in zip(x, y, strict=True)) / spread
    left = sum((b - centre[1] - slope * (a - centre[0])) ** 2 for a, b in zip(x, y, strict=True))
    return Growth(slope, math.sqrt(left / (len(sizes) - 2) / spread))


def costs(
    builder: Builder, sweep: Sweep, repeats: int, device: torch.device, seed: int, clock: Callable[[], float]
) -> dict[Size, Cost]:
    """What ours takes at every size; the fastest of the repeats, as noise only adds."""
    found = {}
    for size in sweep.sizes():
        torch.manual_seed(seed)
        case = builder(size, device)
        alone = Case(case.leaves, {ours(device): case.providers[ours(device)]})
        found[size] = measure(alone, repeats, math.inf, device, min, clock)[ours(device)]
    return found


def fits(sweep: Sweep, found: Mapping[Size, Cost]) -> dict[str, Growth]:
    """Exponents of seconds and of peak memory, forward and backward together."""
    return {
        "seconds": growth(sweep.counts(), [cost.seconds["full"] for cost in found.values()]),
        "peak_memory_mb": growth(sweep.counts(), [cost.megabytes["full"] for cost in found.values()]),
    }


def summaries(sweep: Sweep, found: Mapping[Size, Cost]) -> Iterator[dict[str, Any]]:
    """One object per exponent."""
    for metric, fitted in fits(sweep, found).items():
        fact = {"op": sweep.op, "mode": "full", "metric": f"{metric}_exponent", "doubles": list(sweep.doubles)}
        yield fact | {"value": fitted.exponent, "error": fitted.error, "bar": sweep.bars.get(metric)}


def new_table(facts: dict[str, Any]) -> Table:
    """The empty table."""
    title = f"{facts['device']}, {facts['threads']} threads, {facts['clock']} time, torch {facts['torch']}"
    about = "forward and backward together, the fastest of the repeats; exponents by least squares in log-log"
    table = Table(title=title, caption=about, show_lines=True)
    for name in ("op", "N", "E", "seconds", "peak MB", "doubled", "time exponent", "memory exponent"):
        table.add_column(name, justify="left" if name in ("op", "doubled") else "right")
    return table


def add_row(table: Table, sweep: Sweep, found: Mapping[Size, Cost]) -> None:
    """What was measured, the exponents, and whether they meet their bars."""
    lines = [
        "\n".join(f"{size.nodes:,}" for size in found),
        "\n".join(f"{size.edges:,}" if size.edges else "" for size in found),
        "\n".join(f"{cost.seconds['full']:.4g}" for cost in found.values()),
        "\n".join(f"{cost.megabytes['full']:,.1f}" for cost in found.values()),
    ]
    verdicts = (_verdict(name, sweep, fitted) for name, fitted in fits(sweep, found).items())
    table.add_row(sweep.op, *lines, " and ".join(sweep.doubles), *verdicts)


def _verdict(metric: str, sweep: Sweep, fitted: Growth) -> str:
    figure, bar = f"{fitted.exponent:.3f} ± {fitted.error:.3f}", sweep.bars.get(metric)
    return figure if bar is None else f"{figure}\n{'meets' if fitted.exponent <= bar else 'MISSES'} {bar}"
