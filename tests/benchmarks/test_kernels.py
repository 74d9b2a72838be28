"""The kernels' benchmark: providers agree, the figures are right, nothing is left out in silence."""

import json

import pytest
import torch

from benchmarks.kernel_cases import OURS, Size
from benchmarks.kernels import MODES, OPS, main, measure, pull
from benchmarks.measure import machine, peak_memory, timed
from graphkd.kernels import edge_layout, edge_squared_distance

CPU = torch.device("cpu")
KEYS = {"op", "provider", "mode", "N", "E", "d_student", "d_teacher", "seconds", "peak_memory_mb"}


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def tiny(op):
    return OPS[op][1][0]._replace(nodes=40, edges=200 if OPS[op][1][0].edges else 0)


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
    assert want.abs().max() > 1e-4, "nothing to compare"
    for name in case.providers:
        assert close(values[name], want), name
        assert all(close(*pair) for pair in zip(gradients[name], gradients["reference"], strict=True)), name


def close(got, want):
    return (got - want).abs().max() <= 1e-5 * want.abs().max()


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
