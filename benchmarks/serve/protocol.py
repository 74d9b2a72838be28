"""How queries are timed: forms in blocks that take turns, hot or cold, in a closed loop or as they arrive."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.serve.graphs import Numbers
from graphkd.serving import Form
from graphkd.serving.timing import no_collection, torch_threads

BLOCK, WARM, ROUNDS = 50, 20, 5
_HELD = 1 << 28  # bytes that are gathered before they are computed on
_LEAST = 2  # calls of a form that is slow
Draw = Callable[[int], list[Numbers]]  # a number of queries -> their ids
Size = Callable[[Any], tuple[int, int]]


@dataclass(frozen=True)
class Plan:
    """How much is asked: queries of a form, and the seconds that it may take for them, but five rounds in any case."""

    queries: int
    seconds: float


@dataclass
class Times:
    """Seconds of each query, by the wall's clock and the processor's, and of its two halves apart; what it gathered.

    begins: at which query each block began. block: queries in a block, fewer than 50 where the form is slow. served: of
    an open loop, in which ``wall`` begins at the arrival, what answering took.
    """

    block: int = BLOCK
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    gather: list[float] = field(default_factory=list)
    compute: list[float] = field(default_factory=list)
    edges: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    spent: float = 0.0
    per_second: float | None = None  # queries, of an open loop


class Draws:
    """Queries from a seed: ``batch`` distinct ids each, uniform, or with probabilities as their weights.

    With weights ids are drawn one after the other, each by the weights of those that are left, which drawing with
    repeats and leaving these out comes to.
    """

    def __init__(self, ids: Numbers, batch: int, seed: int, weights: Numbers | None = None) -> None:
        if not 1 <= batch <= len(ids):
            raise ValueError(f"'batch' must be from 1 to the {len(ids)} nodes that are held out, got {batch}")
        self.ids, self.batch, self.random = ids, batch, np.random.default_rng(seed)
        self.reached = None if weights is None else np.cumsum(weights / weights.sum())

    def __call__(self, count: int) -> list[Numbers]:
        """Some queries."""
        return [self._one() for _ in range(count)]

    def _one(self) -> Numbers:
        if self.reached is None:
            return self.random.choice(self.ids, self.batch, replace=False, shuffle=False)
        found: Numbers = np.empty(0, np.int64)
        while len(found) < self.batch:
            more = np.searchsorted(self.reached, self.random.random(2 * self.batch), side="right")
            every = np.concatenate([found, np.minimum(more, len(self.ids) - 1)])
            found = every[np.sort(np.unique(every, return_index=True)[1])]
        return self.ids[found[: self.batch]]


def closed(
    forms: Mapping[str, Form], draw: Draw, plan: Plan, size: Size, flush: Callable[[], None] | None = None
) -> dict[str, Times]:
    """Time forms on the same queries, one query after the other: whole, and unless ``flush`` is given in two halves.

    Blocks of 50 take turns: alternating query by query would have each form evict what another keeps in the caches.
    flush: runs before each query, untimed: the caches are cold. A form that takes more than the plan's seconds for one
    query is left out.
    """
    found: dict[str, Times] = {}
    flushing = 0.0 if flush is None else _taken(flush)
    for name, form in forms.items():
        each = _warmed(form, draw(WARM), plan)
        if each <= plan.seconds:
            block = int(plan.seconds / (ROUNDS * (2 * each + flushing)))  # whole, and in halves
            found[name] = Times(block=min(BLOCK, max(block, 1)))
    turn = 0
    while any(not _done(times, plan, turn) for times in found.values()):
        asked = draw(BLOCK)
        for name, times in found.items():
            if not _done(times, plan, turn):
                _block(forms[name], asked[: times.block], times, size, flush)
        turn += 1
    return found


def _taken(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _done(times: Times, plan: Plan, turn: int) -> bool:
    return turn >= ROUNDS and (len(times.wall) >= plan.queries or times.spent >= plan.seconds)


def _warmed(form: Form, queries: Sequence[Numbers], plan: Plan) -> float:
    """Seconds of a query, from those that warm up: all, but of a slow form at least two."""
    taken: list[float] = []
    for query in queries:
        start = time.perf_counter()
        form(query)
        taken.append(time.perf_counter() - start)
        if len(taken) >= _LEAST and sum(taken) > plan.seconds / 10:
            break
    return max(float(np.median(taken[1:])), 1e-9)


def _block(form: Form, queries: Sequence[Numbers], times: Times, size: Size, flush: Callable[[], None] | None) -> None:
    began = time.perf_counter()
    times.begins.append(len(times.wall))
    with no_collection():
        for query in queries:
            if flush is not None:
                flush()
            _timed(form, query, times.wall, times.cpu)
        _halves(form, queries, times, size, timed=flush is None)
    times.spent += time.perf_counter() - began


def _halves(form: Form, queries: Sequence[Numbers], times: Times, size: Size, *, timed: bool) -> None:
    """The same queries gathered, and then computed on, as many as memory holds at a time."""
    held: list[Any] = []
    kept = 0
    for place, query in enumerate(queries):
        start = time.perf_counter()
        given = form.gather(query)
        times.gather += [time.perf_counter() - start] if timed else []
        rows, many = size(given)
        times.edges.append(form.reach(given))
        times.rows.append(rows)
        times.bytes.append(many)
        held.append(given)
        kept += many
        if kept > _HELD or place + 1 == len(queries):
            if timed:
                for each in held:
                    _timed(form.compute, each, times.compute)
            held, kept = [], 0


def _timed(function: Callable[[Any], Any], given: Any, wall: list[float], cpu: list[float] | None = None) -> None:
    before, start = time.process_time(), time.perf_counter()
    function(given)
    wall.append(time.perf_counter() - start)
    if cpu is not None:
        cpu.append(time.process_time() - before)


def opened(form: Form, draw: Draw, plan: Plan, load: float, seed: int) -> Times:
    """Time queries from their arrival to their answer: arrivals are Poisson's, at a share of what the form can do.

    The closed loop's rate is measured first; each query waits for those before it. What a closed loop hides: a slow
    query delays all that come while it is at work.
    """
    times, random = Times(), np.random.default_rng(seed)
    _warmed(form, draw(WARM), plan)
    each = _mean(form, draw(BLOCK), plan)
    count = max(min(plan.queries, int(load * plan.seconds / each)), ROUNDS)
    queries, arrivals = draw(count), np.cumsum(random.exponential(each / load, count))
    with no_collection():
        begun = time.perf_counter()
        for place, (query, arrival) in enumerate(zip(queries, arrivals, strict=True)):
            if place % BLOCK == 0:
                times.begins.append(place)
            while time.perf_counter() - begun < arrival:  # sleeping would wake too late for a tenth of a millisecond
                pass
            _timed(form, query, times.served, times.cpu)
            times.wall.append(time.perf_counter() - begun - arrival)
        times.spent = time.perf_counter() - begun
    times.per_second = count / times.spent
    return times


def _mean(form: Form, queries: Sequence[Numbers], plan: Plan) -> float:
    """Seconds of a query in a closed loop, by the processor's time: another's turn does not count."""
    wall: list[float] = []
    cpu: list[float] = []
    with no_collection():
        for query in queries:
            _timed(form, query, wall, cpu)
            if len(wall) >= ROUNDS and sum(wall) > plan.seconds / ROUNDS:
                break
    return max(float(np.mean(cpu)), 1e-6)


class Flush:
    """Evicts what the caches hold: writes twice the last-level cache, at most 256 MB."""

    def __init__(self) -> None:
        names = ("SC_LEVEL4_CACHE_SIZE", "SC_LEVEL3_CACHE_SIZE", "SC_LEVEL2_CACHE_SIZE")
        known = [os.sysconf(name) for name in names if name in os.sysconf_names]
        self.memory = np.zeros(min(2 * max([*known, 1 << 25]), 1 << 28), np.uint8)
        self.turn = 0

    def __call__(self) -> None:
        """Write."""
        self.turn = (self.turn + 1) % 256
        self.memory[:] = self.turn


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Let torch, and numpy's BLAS, which is another library, run on so many threads."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        if int(os.environ.get("OMP_NUM_THREADS", 0)) != count:
            print(f"numpy runs on threads of its own: set OMP_NUM_THREADS={count}, or install threadpoolctl")
        limits: Any = nullcontext()
    else:
        limits = threadpool_limits(count)
    with limits, torch_threads(count):
        yield


def all_threads() -> int:
    """Those that the machine has for this process."""
    return max(math.floor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1), 1)
