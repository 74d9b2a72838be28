"""Rows of what was timed: percentiles by the upper order statistic, never between two queries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import Row
from benchmarks.serve.graphs import Numbers
from benchmarks.serve.protocol import Times

ENOUGH = {50: 1, 95: 1_000, 99: 10_000}  # queries that a percentile takes
BUSY = 1.1  # times the processor's time, from which the wall's shows others at work
_MILLI = 1e3


def figures(times: Times, batch: int, threads: int) -> Iterator[Row]:
    """A row a percentile that the number of queries allows; on a busy machine the median alone.

    milliseconds: of a query by the wall's clock, in an open loop from its arrival. cpu_, fetch_ and
    compute_milliseconds: the same percentile of the processor's time, and of the two halves. rounds: lowest, middle and
    highest median of a block. queries_per_second: nodes a second of a closed loop, by the processor's time where the
    machine is busy; of an open one those that were answered. busy: on one thread, the wall's median is over 1.1 times
    the processor's. edges_correlation: of edges gathered with the processor's time.
    """
    wall, cpu = np.array(times.wall), np.array(times.cpu)
    served = np.array(times.served) if times.served else wall
    busy = bool(threads == 1 and percentile(served, 50) > BUSY * percentile(cpu, 50))
    middles = sorted(percentile(block, 50) for block in np.split(wall, times.begins[1:]))
    per_second = times.per_second or 1 / float((cpu if busy else wall).mean())
    same = {
        "queries": len(wall),
        "block": times.block,
        "busy": busy,
        "rounds": [middles[0], middles[len(middles) // 2], middles[-1]],
        "queries_per_second": batch * per_second,
        **_gathered(times, cpu),
    }
    for each, least in ENOUGH.items():
        if len(wall) < least or (busy and each > 50):
            continue
        row: dict[str, Any] = {"percentile": each, "milliseconds": percentile(wall, each)}
        row["cpu_milliseconds"] = percentile(cpu, each)
        if times.compute:
            row["fetch_milliseconds"] = percentile(np.array(times.gather), each)
            row["compute_milliseconds"] = percentile(np.array(times.compute), each)
        yield {**row, **same}


def percentile(seconds: Numbers, which: int) -> float:
    """Milliseconds, by the upper order statistic."""
    return _MILLI * float(np.percentile(seconds, which, method="higher"))


def _gathered(times: Times, cpu: Numbers) -> Row:
    """What queries gathered from memory, and how much of the time it explains."""
    if not times.edges:
        return {}
    edges = np.array(times.edges)
    vary = len(edges) == len(cpu) and edges.min() < edges.max() and cpu.min() < cpu.max()
    return {
        "edges_mean": float(edges.mean()),
        "edges_p99": float(np.percentile(edges, 99, method="higher")),
        "edges_correlation": float(np.corrcoef(edges, cpu)[0, 1]) if vary else None,
        "rows_gathered": float(np.mean(times.rows)),
        "bytes_gathered": float(np.mean(times.bytes)),
    }
