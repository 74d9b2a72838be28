"""The kernels' benchmark: providers agree, the figures are right, nothing is left out in silence."""

import json

import pytest
import torch

from benchmarks import kernels
from benchmarks.cases.common import SCATTER, Size, aten_bodies, library, ours
from benchmarks.cases.costs import MODES, measure, pull
from benchmarks.cases.sweep import SWEEPS, SWEPT, growth
from benchmarks.kernels import OPS, main
from benchmarks.measure import machine, peak_memory, timed
from graphkd.kernels import edge_layout, edge_squared_distance

CPU = torch.device("cpu")
OURS = ours(CPU)
KEYS = {"op", "provider", "mode", "N", "E", "d_student", "d_teacher", "seconds", "peak_memory_mb"}


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def tiny(op):
    return OPS[op][1][0]._replace(nodes=40, edges=200 if OPS[op][1][0].edges else 0)


@pytest.fixture
def wide():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("op", OPS)
def test_providers_agree_in_value_and_gradient(op):
    torch.manual_seed(0)
    case = OPS[op][0](tiny(op), CPU)
    assert {"reference", OURS} <= case.providers.keys()
    values, gradients = {}, {}
    for name, provider in case.providers.items():
        output = provider.forward()
        weight = torch.linspace(1, 2, output.numel(), dtype=output.dtype).view_as(output)
        values[name], gradients[name] = output.detach(), pull(output, case.leaves, weight)
    want = values["reference"]
    assert want.abs().max() > 1e-6, "nothing to compare"
    for name in case.providers:
        assert close(values[name], want), name
        assert all(close(*pair) for pair in zip(gradients[name], gradients["reference"], strict=True)), name


def close(got, want):
    return (got - want).abs().max() <= 1e-6 * want.abs().max()


def test_ours_is_aten_on_a_cpu_and_torch_scatter_is_a_provider_where_it_is_installed():
    assert OURS == "aten"
    assert list(library(lambda: torch.ones(1), CPU)) == ["aten"]
    for op in ("edge_spmm", "segment_log_softmax", "edge_kl"):
        assert ("torch_scatter" in OPS[op][0](tiny(op), CPU).providers) == SCATTER


def test_aten_bodies_stand_in_for_tritons():
    bodies = pytest.importorskip("graphkd.kernels.cuda", exc_type=ImportError).BODIES
    with aten_bodies():
        assert all(operator._disabled_kernel == {"cuda"} for operator in bodies)
    assert not any(operator._disabled_kernel for operator in bodies)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("op", OPS)
def test_both_bodies_agree_on_a_gpu(op):
    device = torch.device("cuda")
    torch.manual_seed(0)
    case = OPS[op][0](tiny(op), device)
    values = {}
    for name in ("aten", "triton"):
        with case.providers[name].within():
            values[name] = case.providers[name].forward().detach()
    assert (values["triton"] - values["aten"]).abs().max() <= 1e-4 * values["aten"].abs().max()


@pytest.mark.parametrize("op", ["gsp_cosine", "lsp", "gcrd"])
def test_plain_forms_agree_on_more_nodes(op):
    torch.manual_seed(1)
    case = OPS[op][0](tiny(op)._replace(nodes=1000, edges=10_000), CPU)
    ours, plain = (float(case.providers[name].forward().detach()) for name in (OURS, "reference"))
    assert ours == pytest.approx(plain, rel=1e-5)


def test_file_and_table(tmp_path, capsys):
    out = tmp_path / "kernels.jsonl"
    main(["--ops", "lsp_cached,edge_kl", "--nodes", "50", "--edges", "300", "--repeats", "2", "--out", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    providers = {(row["op"], row["provider"]) for row in rows}
    assert {("lsp_cached", "reference_cached"), ("edge_kl", "pyg"), ("edge_kl", OURS)} <= providers
    assert len(rows) == len(providers) * len(MODES)
    for row in rows:
        assert row.keys() >= KEYS
        assert row["seconds"] > 0
        assert row["peak_memory_mb"] > 0
    assert {(row["N"], row["E"], row["d_teacher"]) for row in rows} == {(50, 300, 256), (50, 300, None)}
    printed = capsys.readouterr().out
    assert "speed-up" in printed
    assert "lsp_cached" in printed


def test_a_sweep_doubles_the_graph_and_fits_both_exponents(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kernels, "SWEEPS", [sweep._replace(doublings=2) for sweep in SWEEPS])
    out = tmp_path / "sweep.jsonl"
    sizes = ["--nodes", "40", "--edges", "160", "--repeats", "1"]
    main(["--sweep", "--ops", "lsp,gcrd,edge_kl", *sizes, "--out", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    measured = [row for row in rows if "metric" not in row]
    assert all(row.keys() >= KEYS for row in measured)
    assert {row["provider"] for row in measured} == {OURS}
    sizes = [(row["N"], row["E"]) for row in measured if row["op"] == "lsp" and row["mode"] == "full"]
    assert sizes == [(40, 160), (40, 320), (40, 640), (40, 160), (80, 320), (160, 640)]
    assert sorted({row["N"] for row in measured if row["op"] == "gcrd"}) == [40, 80, 160]
    fits = {(row["op"], *row["doubles"], row["metric"]): row for row in rows if "metric" in row}
    assert {(op, *doubles) for op, *doubles, _ in fits} == {  # others have no sweep
        ("lsp", "edges"),
        ("lsp", "edges", "nodes"),
        ("gcrd", "nodes"),
    }
    assert fits["lsp", "edges", "seconds_exponent"]["bar"] == 1.1
    assert fits["gcrd", "nodes", "peak_memory_mb_exponent"]["bar"] == 1.1
    assert fits["gcrd", "nodes", "seconds_exponent"]["bar"] is None
    full = [row for row in measured if row["op"] == "gcrd" and row["mode"] == "full"]
    want = growth([row["N"] for row in full], [row["peak_memory_mb"] for row in full])
    assert fits["gcrd", "nodes", "peak_memory_mb_exponent"]["value"] == want.exponent
    printed = capsys.readouterr().out
    assert "memory exponent" in printed
    assert "1.1" in printed


def test_a_sweep_of_nothing_lists_what_can_be_swept(capsys):
    with pytest.raises(SystemExit):
        main(["--sweep", "--ops", "edge_kl"])
    message = capsys.readouterr().err
    assert all(op in message for op in SWEPT)


def test_growth_of_known_laws():
    sizes = [10, 20, 40, 80]
    assert growth(sizes, [3 * n**1.5 for n in sizes]) == pytest.approx((1.5, 0), abs=1e-7)
    noisy = growth(sizes, [n * factor for n, factor in zip(sizes, (1.1, 0.9, 0.9, 1.1), strict=True)])
    assert noisy.exponent == pytest.approx(1)  # the noise is symmetric
    assert noisy.error == pytest.approx(0.1 * 2**0.5 / 5**0.5 / 0.6931, rel=0.01)  # residuals 0.1, doublings ln 2 apart
    with pytest.raises(ValueError, match=r"'sizes' must hold at least three points .*, got 2"):
        growth([1, 2], [1, 2])


def test_what_needs_too_much_memory_is_said_not_run(tmp_path, capsys):
    out = tmp_path / "kernels.jsonl"
    main(["--ops", "gsp_cosine", "--nodes", "60", "--repeats", "1", "--limit-gb", "1e-9", "--out", str(out)])
    assert {json.loads(line)["provider"] for line in out.read_text().splitlines()} == {OURS}
    assert "needs about" in " ".join(capsys.readouterr().out.split())


def test_a_reference_that_takes_too_long_is_said_not_run():
    costs = measure(OPS["edge_kl"][0](Size(30_000, 70_000), CPU), 1, 12.0, CPU)
    assert "a node at a time" in costs["reference"].refusal
    assert costs[OURS].seconds["full"] == pytest.approx(
        costs[OURS].seconds["forward"] + costs[OURS].seconds["backward"]
    )


def test_an_unknown_op_lists_the_ops(capsys):
    with pytest.raises(SystemExit):
        main(["--ops", "lsp,lps"])
    message = capsys.readouterr().err
    assert "unknown op lps" in message
    assert all(op in message for op in OPS)


def test_peak_memory_of_known_allocations():
    x = torch.ones(1000, 1000)
    assert peak_memory(lambda: x + 1, CPU) == pytest.approx(4e6, rel=0.01)
    assert peak_memory(lambda: ((x + 1) * 2).sum(), CPU) == pytest.approx(8e6, rel=0.01)
    assert peak_memory(lambda: [x + 1 for _ in range(3)], CPU) == pytest.approx(12e6, rel=0.01)
    assert peak_memory(lambda: x.sum(), CPU) < 1000


def test_peak_memory_sees_inside_custom_operators():
    x = torch.randn(40_000, 64)
    layout = edge_layout(torch.randint(40_000, (2, 100)), 40_000)
    assert peak_memory(lambda: edge_squared_distance(x, layout), CPU) > x.nbytes  # the square of x, then summed


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_peak_memory_on_the_gpu():
    x = torch.ones(1000, 1000, device="cuda")
    assert peak_memory(lambda: x + 1) == pytest.approx(4e6, rel=0.1)


def test_timed_and_machine():
    seconds = timed(lambda: torch.ones(10), 3)
    assert len(seconds) == 3
    assert min(seconds) > 0
    assert machine(CPU).keys() == {"torch", "threads", "device"}
    assert machine(CPU)["threads"] == torch.get_num_threads()
