"""Forms answer as their models do, and what is said of their time is what the clock said."""

from __future__ import annotations

import functools
import gc

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN, MLP, GraphSAGE, SGConv

import graphkd
from graphkd.serving import Form, Neighbourhoods, NumpyMLP, export, latencies, latency
from graphkd.serving import timing as clocked

IDS = np.array([4, 0, 17])


def data_of():
    random = torch.Generator().manual_seed(0)
    return Data(torch.randn(30, 6, generator=random), torch.randint(30, (2, 70), generator=random))


def student():
    torch.manual_seed(0)
    return MLP([6, 8, 3]).eval()


FORMS = {
    "module": lambda model: model,
    "numpy": NumpyMLP.of,
    "distilled": lambda model: graphkd.Distilled(model, {}, "kd"),
}


class TestForms:
    @pytest.mark.parametrize("finish", ["softmax", "sigmoid", "none"])
    @pytest.mark.parametrize("form", FORMS)
    def test_students(self, form, finish):
        model, data = student(), data_of()
        wanted = {"softmax": lambda x: x.softmax(1), "sigmoid": torch.sigmoid, "none": lambda x: x}[finish](
            model(data.x[IDS]).detach()
        )
        found = Form.of(FORMS[form](model), data, finish=finish)(IDS)
        assert isinstance(found, np.ndarray)
        torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("kind", [GraphSAGE, GCN])
    def test_teachers(self, kind):
        torch.manual_seed(0)
        model, data = kind(6, 8, 2, 3).eval(), data_of()
        graph = Neighbourhoods(data.edge_index, 30)
        wanted = model(data.x, data.edge_index)[IDS].softmax(1).detach()
        for fetch in (2, [-1, -1], functools.partial(graph.fetch, hops=2)):
            form = Form.of(model, data, fetch)
            torch.testing.assert_close(torch.from_numpy(form(IDS)), wanted, rtol=1e-5, atol=1e-6)
            assert form.reach(form.gather(IDS)) == graph.fetch(IDS).edge_index.size(1)

    @pytest.mark.slow
    def test_files(self, tmp_path):
        pytest.importorskip("onnxruntime")
        model, data = student(), data_of()
        export(model, data.x[:2], tmp_path / "student.onnx")
        found = Form.of(tmp_path / "student.onnx", data)(IDS)
        torch.testing.assert_close(
            torch.from_numpy(found), model(data.x[IDS]).softmax(1).detach(), rtol=1e-5, atol=1e-6
        )

    def test_a_module_that_trains_is_refused(self):
        with pytest.raises(ValueError, match=r"MLP must be in eval mode, its '' is training: give model.eval\(\)"):
            Form.of(student().train(), data_of())

    def test_large_answers_do_not_overflow(self):
        data = Data(torch.tensor([[1000.0, -1000.0]]))
        for finish, wanted in (("softmax", [1.0, 0.0]), ("sigmoid", [1.0, 0.0])):
            assert Form.of(lambda rows: rows, data, finish=finish)(np.array([0]))[0].tolist() == wanted


@pytest.fixture
def clocks(monkeypatch):
    """Clocks that go on by what a form says it took: (wall, cpu) milliseconds."""
    now = {"wall": 0.0, "cpu": 0.0}
    monkeypatch.setattr(clocked.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(clocked.time, "process_time", lambda: now["cpu"])

    def form(milliseconds, cpu=None, reach=lambda _: 0):
        count = iter(range(10**9))

        def gather(ids):
            return next(count), ids

        def compute(given):
            took = milliseconds(given[0] - 20)  # after the warm-up
            now["wall"] += took / 1e3
            now["cpu"] += (took if cpu is None else cpu(took)) / 1e3
            return np.zeros(len(given[1]))

        return Form(gather, compute, reach)

    return form


class TestTimes:
    def test_upper_order_statistics(self, clocks):
        # numbers of calls: blocks of 50 whole ones, each followed by 50 that are gathered beforehand
        form = clocks(lambda number: 1 + number // 100 * 50 + number % 50 if number >= 0 else 1e6)
        found = latencies({"a": form}, range(10), batch=2, queries=1000)["a"]
        assert (found.queries, found.batch, found.threads) == (1000, 2, 1)
        assert found.p50 == pytest.approx(501)  # of 1 .. 1000: never between two of them
        assert found.p95 == pytest.approx(951)
        assert found.p99 is None  # takes 10,000
        assert found.rounds == pytest.approx((26, 526, 976))
        assert found.compute_p50 == pytest.approx(501)
        assert found.cpu_mean == pytest.approx(500.5)
        assert found.queries_per_second == pytest.approx(2 / 0.5005)
        assert not found.busy

    def test_a_busy_machine_shows_no_tails(self, clocks):
        found = latencies({"a": clocks(lambda _: 2.0, lambda took: took / 2)}, range(10), queries=1000)["a"]
        assert found.busy
        assert (found.p50, found.cpu_p50, found.p95) == (pytest.approx(2), pytest.approx(1), None)
        assert found.queries_per_second == pytest.approx(1000)  # by the processor's time

    def test_edges(self, clocks):
        form = clocks(lambda number: 1 + number % 50, reach=lambda given: 10 * ((given[0] - 20) % 50))
        found = latencies({"a": form}, range(10), queries=1)["a"]
        assert found.queries == 250  # five blocks at least
        assert (found.edges_mean, found.edges_p99) == (245, 490)
        assert found.edges_correlation == pytest.approx(1)
        assert latencies({"a": clocks(lambda _: 1.0)}, range(10), queries=1)["a"].edges_correlation is None

    def test_forms_take_turns_on_the_same_queries(self):
        seen = {"a": [], "b": []}
        order, collecting = [], []

        def form(name):
            def compute(ids):
                seen[name].append(ids.tolist())
                order.append(name)
                collecting.append(gc.isenabled())
                return ids

            return Form(lambda ids: ids, compute, len)

        threads = torch.get_num_threads()
        latencies({"a": form("a"), "b": form("b")}, [3, 5, 7, 9], batch=3, queries=1)
        assert torch.get_num_threads() == threads
        assert gc.isenabled()
        assert order[40:] == (["a"] * 100 + ["b"] * 100) * 5
        assert not any(collecting[40:])
        assert seen["a"][20:] == seen["b"][20:]
        assert all(len(set(ids)) == 3 and set(ids) <= {3, 5, 7, 9} for ids in seen["a"])

    def test_threads(self):
        found = []
        form = Form(lambda ids: ids, lambda ids: found.append(torch.get_num_threads()), len)
        latencies({"a": form}, range(3), threads=2, queries=1)
        assert set(found) == {2}

    @pytest.mark.parametrize("fetch", [None, 1, [2]])
    def test_a_model(self, fetch):
        torch.manual_seed(0)
        model = (student() if fetch is None else GraphSAGE(6, 8, 1, 3)).train()
        found = latency(model, data_of(), torch.arange(30), fetch, batch=4, queries=1)
        assert model.training
        assert 0 < found.rounds[0] <= found.p50 <= found.rounds[2] * 50
        assert found.compute_p50 > 0
        assert (found.edges_mean > 0) == (fetch is not None)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"nodes": [0.5]}, TypeError, "'nodes' must be ids"),
        ({"nodes": [[1]]}, TypeError, "'nodes' must be ids"),
        ({"batch": 31}, ValueError, "'batch' must be from 1 to the 30 nodes that there are, got 31"),
        ({"batch": 0}, ValueError, "'batch' must be from 1 to the 30 nodes that there are, got 0"),
        ({"threads": 0}, ValueError, "'threads' must be a whole number of at least 1, got 0"),
        ({"queries": 0.5}, ValueError, "'queries' must be a whole number of at least 1, got 0.5"),
        ({"finish": "argmax"}, ValueError, "'finish' must be one of .* got 'argmax'"),
        ({"model": 3}, TypeError, "'model' must be a torch module, a function of numpy rows, or the path"),
        ({"model": GraphSAGE(6, 8, 1, 3)}, ValueError, "GraphSAGE takes edges: say by 'fetch' how many hops"),
        ({"model": SGConv(6, 3), "fetch": 1}, TypeError, "reads degrees of sources"),
        ({"model": nn.LazyLinear(3)}, TypeError, "LazyLinear has layers without widths yet"),
        ({"model": nn.Linear(6, 3, device="meta")}, ValueError, "Linear must be on the CPU"),
        ({"model": np.tanh, "fetch": 1}, TypeError, "'fetch' is for a torch module that takes edges, got ufunc"),
        ({"model": GraphSAGE(6, 8, 1, 3), "fetch": "all"}, TypeError, "'fetch' must be a number of hops"),
        ({"model": GraphSAGE(6, 8, 1, 3), "fetch": len}, TypeError, "'fetch' must give a Neighbourhood"),
        ({"data": Data()}, TypeError, "'data' must have features 'x', a dense tensor .* got NoneType"),
    ],
)
def test_what_is_refused(change, error, match):
    asked = {"model": student(), "data": data_of(), "nodes": range(30), "queries": 1, **change}
    with pytest.raises(error, match=match):
        latency(**asked)
