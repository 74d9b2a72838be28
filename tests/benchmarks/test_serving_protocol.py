"""How the benchmark of serving times queries, and what its rows say of the times."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from benchmarks.serve import protocol
from benchmarks.serve.figures import figures
from benchmarks.serve.protocol import Draws, Flush, Plan, Times, closed, opened
from graphkd.serving import Form

FEW = Plan(1, 0.1)


class Clock:
    """Goes on by what forms say they take, and by a microsecond each time it is looked at."""

    def __init__(self):
        self.wall = self.cpu = 0.0

    def look(self):
        self.wall += 1e-6
        return self.wall

    def form(self, milliseconds, seen=None):
        def compute(ids):
            if seen is not None:
                seen.append((ids.tolist(), gc.isenabled()))
            self.wall += milliseconds / 1e3
            self.cpu += milliseconds / 1e3
            return ids

        return Form(lambda ids: ids, compute, len)


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(protocol.time, "perf_counter", found.look)
    monkeypatch.setattr(protocol.time, "process_time", lambda: found.cpu)
    return found


def told(ids):
    return len(ids), ids.nbytes


def test_forms_see_the_same_queries_in_turn_without_the_collector(clock):
    one, other = [], []
    found = closed(
        {"a": clock.form(0, one), "b": clock.form(0, other)}, Draws(np.arange(9), 3, 0), Plan(250, 1e6), told
    )
    assert [ids for ids, _ in one[20:]] == [ids for ids, _ in other[20:]]
    assert not any(on for _, on in one[20:])
    assert gc.isenabled()
    times = found["a"]
    assert len(times.wall) == len(times.gather) == len(times.compute) == len(times.edges) == 250
    assert times.begins == [0, 50, 100, 150, 200]
    assert (times.rows[0], times.bytes[0], times.edges[0]) == (3, 24, 3)


def test_a_slow_form_has_smaller_blocks_and_no_fewer_than_five(clock):
    found = closed({"a": clock.form(2), "b": clock.form(0)}, Draws(np.arange(9), 1, 0), Plan(100, 0.02), told)
    assert found["a"].block == 1  # of 4 ms, whole and in halves, five in 20
    assert len(found["a"].begins) == 5
    assert len(found["b"].wall) == 250
    assert found["a"].wall == pytest.approx([2e-3] * 5, abs=1e-4)


def test_a_form_that_takes_more_than_the_seconds_of_a_series_is_left_out(clock):
    found = closed({"a": clock.form(20), "b": clock.form(0)}, Draws(np.arange(9), 1, 0), Plan(1, 0.01), told)
    assert list(found) == ["b"]


def test_cold_queries_are_flushed_before_each(clock):
    flushed = []
    found = closed({"a": clock.form(0)}, Draws(np.arange(9), 1, 0), FEW, told, lambda: flushed.append(1))
    assert len(flushed) == 1 + len(found["a"].wall)  # one is timed beforehand
    assert found["a"].compute == []
    flush = Flush()
    flush()
    assert flush.memory.nbytes >= 1 << 25
    assert flush.memory[-1] == 1


def test_queries_by_degree_are_distinct_and_come_by_weight():
    weights = np.array([1.0, 1.0, 8.0, 90.0])
    draw = Draws(np.array([10, 11, 12, 13]), 2, 0, weights)
    queries = draw(4000)
    assert all(len(set(query)) == 2 for query in queries)
    first = np.bincount([query[0] - 10 for query in queries], minlength=4) / 4000
    np.testing.assert_allclose(first, weights / 100, atol=0.02)
    second = np.mean([13 in query for query in queries])
    assert second == pytest.approx(0.9 + sum(w / 100 * 90 / (100 - w) for w in (1, 1, 8)), abs=0.02)
    with pytest.raises(ValueError, match="'batch' must be from 1 to the 4 nodes that are held out, got 5"):
        Draws(np.arange(4), 5, 0)


def test_an_open_loop_counts_from_the_arrival(clock):
    times = opened(clock.form(1), Draws(np.arange(9), 1, 0), Plan(40, 10.0), 0.8, 0)
    assert len(times.wall) == 40
    assert min(times.wall) >= min(times.served) - 1e-4
    assert times.served == pytest.approx([1e-3] * 40, abs=1e-4)
    assert sum(times.wall) > 1.2 * sum(times.served)  # some waited for those before them
    assert times.spent > 40e-3 / 0.8 * 0.5
    assert times.per_second == pytest.approx(40 / times.spent)


def milliseconds(values, **more):
    seconds = [value / 1e3 for value in values]
    edges = {"edges": list(range(len(seconds))), "rows": [2] * len(seconds), "bytes": [8] * len(seconds)}
    return Times(wall=seconds, cpu=list(seconds), begins=list(range(0, len(seconds), 50)), **{**edges, **more})


def test_percentiles_are_upper_order_statistics_and_take_enough_queries():
    rows = list(figures(milliseconds(range(1, 1001)), 2, 1))
    assert [row["percentile"] for row in rows] == [50, 95]  # 99 takes 10,000
    assert [row["milliseconds"] for row in rows] == [pytest.approx(501), pytest.approx(951)]
    assert rows[0]["rounds"] == pytest.approx([26, 526, 976])
    assert rows[0]["queries_per_second"] == pytest.approx(2 / 0.5005)
    assert rows[0]["edges_correlation"] == pytest.approx(1)
    assert [row["percentile"] for row in figures(milliseconds(range(1, 400)), 1, 1)] == [50]
    assert len(list(figures(milliseconds([1.0] * 10_000), 1, 1))) == 3


def test_a_busy_machine_shows_no_tails():
    times = milliseconds([2.0] * 1000)
    times.cpu = [1e-3] * 1000
    (row,) = figures(times, 1, 1)
    assert row["busy"]
    assert row["queries_per_second"] == pytest.approx(1000)  # by the processor's time
    assert len(list(figures(times, 1, 2))) == 2  # on several threads the clocks differ anyway


def test_threads_are_set_and_put_back():
    before = torch.get_num_threads()
    with protocol.on_threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
    assert protocol.all_threads() >= 1
