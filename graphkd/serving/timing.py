"""Latency of a query, from node ids to probabilities, in percentiles; several forms are timed in turn."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from graphkd.core.distilled import Distilled
from graphkd.core.modes import evaluating
from graphkd.serving.forms import Array, Fetch, Finish, Form

_BLOCK, _WARM, _ROUNDS = 50, 20, 5
_ENOUGH = {50: 1, 95: 1_000, 99: 10_000}  # queries that a percentile needs
_BUSY = 1.1  # ratio of wall to processor time above which other processes keep the machine busy


@dataclass(frozen=True)
class Latency:
    """Store the milliseconds of a query, and how they were measured.

    p50, p95, p99: percentiles of wall time, by the upper order statistic; p95 needs 1,000 queries and p99 10,000, else
    they are None, as on a busy machine. cpu_p50, cpu_mean: of processor time. rounds: the lowest, middle and highest
    p50 of a block of queries. compute_p50: of wall time, without gathering. queries_per_second: nodes per second in a
    closed loop, by processor time if the machine is busy. busy: on one thread, the wall p50 is over 1.1 times the
    processor's. edges_mean, edges_p99: edges gathered for a query; edges_correlation: of these with processor time,
    None if either does not vary.

    Example::

        >>> from torch_geometric.nn import MLP
        >>> told = latency(MLP([8, 3], norm=None), data, range(48), batch=4, queries=250)
        >>> told.batch, told.queries, told.p99, told.edges_mean  # of 10,000 queries there is a p99
        (4, 250, None, 0.0)
    """

    batch: int
    threads: int
    queries: int
    p50: float
    p95: float | None
    p99: float | None
    cpu_p50: float
    cpu_mean: float
    rounds: tuple[float, float, float]
    compute_p50: float
    queries_per_second: float
    busy: bool
    edges_mean: float
    edges_p99: float
    edges_correlation: float | None


def latency(
    model: Any,
    data: Any,
    nodes: Any,
    fetch: Fetch = None,
    batch: int = 1,
    threads: int = 1,
    *,
    queries: int = 1_000,
    finish: Finish = "softmax",
    margin: int = 0,
    seed: int = 0,
) -> Latency:
    """Time a model's answers to queries: ``batch`` node ids in, their class probabilities out as a numpy array.

    Times include the look-up of neighbours, gathering features and the layers, but neither loading nor building an
    index. A query's ids are drawn from ``nodes`` uniformly without replacement. After 20 queries to warm up, queries
    run in blocks of 50, at least five blocks, without the garbage collector; caches are not evicted between queries. To
    compare models, use ``latencies``, which alternates between them.

    Args:
        model: a module, the result of ``distil``, a ``NumpyMLP`` or another function of numpy rows, or an ONNX file's
            path.
        data: ``x`` and, for ``fetch``, ``edge_index``.
        nodes: (n,) ids from which queries are drawn, usually held-out nodes.
        fetch: how a GNN's neighbourhood is fetched, see ``Form.of``: hops, a list of fan-outs, or a function of ids.
        batch: number of nodes per query.
        threads: of torch and ONNX Runtime. numpy's BLAS has its own: set ``OMP_NUM_THREADS`` before Python starts.
        queries: how many are timed: 1,000 give p95, 10,000 p99.
        finish: the function from answers to probabilities: "softmax", "sigmoid" or "none".
        margin: hops that are fetched beyond the model's layers, see ``answer_fetched``.
        seed: of the ids.

    Example::

        >>> from graphkd.serving import NumpyMLP
        >>> from torch_geometric.nn import MLP
        >>> told = latency(NumpyMLP.of(MLP([8, 3], norm=None)), data, data.test_mask.nonzero()[:, 0], queries=250)
        >>> 0 < told.rounds[0] <= told.p50 <= told.rounds[2]
        True
    """
    inner = model.model if isinstance(model, Distilled) else model
    modules = [inner] if isinstance(inner, nn.Module) else []
    with evaluating(nn.ModuleList(modules)):
        form = Form.of(model, data, fetch, finish=finish, margin=margin, threads=threads)
        return latencies({"": form}, nodes, batch, threads, queries=queries, seed=seed)[""]


@torch.no_grad()
def latencies(
    forms: Mapping[str, Form],
    nodes: Any,
    batch: int = 1,
    threads: int = 1,
    *,
    queries: int = 1_000,
    seed: int = 0,
) -> dict[str, Latency]:
    """Time several forms as ``latency`` does, each on the same queries, in alternating blocks.

    forms: by name, see ``Form.of``; modules among them must be in eval mode. Blocks alternate, not single queries,
    since forms would then evict each other's data from the caches.

    Example::

        >>> from torch_geometric.nn import MLP
        >>> mlp = Form.of(MLP([8, 3], norm=None).eval(), data)
        >>> told = latencies({"mlp": mlp, "gnn": Form.of(teacher, data, fetch=1)}, nodes=range(48), queries=250)
        >>> told["mlp"].edges_mean, told["gnn"].edges_mean > 0
        (0.0, True)
    """
    ids = _ids(nodes, batch)
    for name, value in (("threads", threads), ("queries", queries)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name!r} must be a whole number of at least 1, got {value!r}")
    random = np.random.default_rng(seed)
    blocks = max(_ROUNDS, math.ceil(queries / _BLOCK))
    found: dict[str, list[_Block]] = {name: [] for name in forms}
    with torch_threads(threads):
        for form in forms.values():
            for query in _drawn(random, ids, batch, _WARM):
                form(query)
        for _ in range(blocks):
            asked = _drawn(random, ids, batch, _BLOCK)
            for name, form in forms.items():
                found[name].append(_block(form, asked))
    return {name: _summary(parts, batch, threads) for name, parts in found.items()}


class _Block(NamedTuple):
    """Seconds per query of a block: by both clocks, and without gathering by the wall clock; and edges per query."""

    wall: Array
    cpu: Array
    compute: Array
    edges: Array


def _block(form: Form, queries: list[Array]) -> _Block:
    wall, cpu = _timed(form, queries)
    gathered = [form.gather(query) for query in queries]
    compute, _ = _timed(form.compute, gathered)
    return _Block(wall, cpu, compute, np.array([form.reach(each) for each in gathered]))


def _timed(function: Callable[[Any], Any], given: list[Any]) -> tuple[Array, Array]:
    """Measure the seconds of each call, by the wall clock and the processor's."""
    wall, cpu = np.empty(len(given)), np.empty(len(given))
    with no_collection():
        for place, each in enumerate(given):
            before = time.process_time()
            start = time.perf_counter()
            function(each)
            wall[place] = time.perf_counter() - start
            cpu[place] = time.process_time() - before
    return wall, cpu


def _summary(blocks: list[_Block], batch: int, threads: int) -> Latency:
    wall, cpu, compute, edges = (np.concatenate(column) for column in zip(*blocks, strict=True))
    middles = sorted(_percentile(block.wall, 50) for block in blocks)
    p50, cpu_p50 = _percentile(wall, 50), _percentile(cpu, 50)
    busy = threads == 1 and p50 > _BUSY * cpu_p50
    tails = [_percentile(wall, q) if not busy and len(wall) >= _ENOUGH[q] else None for q in (95, 99)]
    vary = bool(edges.min() < edges.max() and cpu.min() < cpu.max())
    return Latency(
        batch=batch,
        threads=threads,
        queries=len(wall),
        p50=p50,
        p95=tails[0],
        p99=tails[1],
        cpu_p50=cpu_p50,
        cpu_mean=1e3 * float(cpu.mean()),
        rounds=(middles[0], middles[len(middles) // 2], middles[-1]),
        compute_p50=_percentile(compute, 50),
        queries_per_second=batch / float((cpu if busy else wall).mean()),
        busy=busy,
        edges_mean=float(edges.mean()),
        edges_p99=float(np.percentile(edges, 99, method="higher")),
        edges_correlation=float(np.corrcoef(edges, cpu)[0, 1]) if vary else None,
    )


def _percentile(seconds: Array, q: int) -> float:
    """Compute a percentile in milliseconds, by the upper order statistic."""
    return 1e3 * float(np.percentile(seconds, q, method="higher"))


def _ids(nodes: Any, batch: int) -> Array:
    ids = np.unique(np.asarray(nodes))
    if ids.dtype.kind not in "iu" or np.asarray(nodes).ndim != 1:
        raise TypeError(f"'nodes' must be ids (n,), whole numbers, got {ids.dtype} {np.asarray(nodes).shape}")
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= len(ids):
        raise ValueError(f"'batch' must be from 1 to the {len(ids)} nodes that there are, got {batch!r}")
    return ids.astype(np.int64)


def _drawn(random: np.random.Generator, ids: Array, batch: int, count: int) -> list[Array]:
    return [random.choice(ids, batch, replace=False, shuffle=False) for _ in range(count)]


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch run on ``count`` threads, and restore their number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from running."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
