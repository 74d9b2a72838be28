"""The benchmark of scale, on a small graph."""

from __future__ import annotations

import json

import pytest
import torch
from torch_geometric.nn import SAGEConv

from benchmarks.scale import MeanSAGE, main, peak_gb

SMALL = ["--nodes", "2000", "--edges", "20000", "--teacher-epochs", "20", "--hidden", "16"]
KEYS = {"dataset", "split", "teacher", "student", "method", "seed", "metric", "value"}


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(*options):
    return main([*SMALL, "--threads", "1", "--epochs", "30", *options])


def test_full_batches(tmp_path, capsys):
    before = 1e3 * peak_gb()
    figures = run("--out", str(tmp_path / "scale.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "scale.jsonl").read_text().splitlines()]
    assert all(row.keys() >= KEYS for row in rows)
    assert {row["metric"]: row["value"] for row in rows} == figures
    assert figures["nodes"] == 2000
    assert figures["edges"] == pytest.approx(20_000, rel=0.05)
    assert figures["last_loss"] < figures["first_loss"]
    assert figures["agreement"] > 0.4  # of ten classes
    assert figures["teacher_accuracy"] > figures["accuracy"] > 0.3
    phases = [value for name, value in figures.items() if name.endswith("_seconds") and "epoch" not in name]
    assert len(phases) == 5
    assert min(phases) > 0
    assert figures["nodes_per_second"] == pytest.approx(2000 * 30 / figures["distillation_seconds"])
    assert figures["peak_memory_mb"] >= before
    printed = capsys.readouterr().out
    assert "nodes per second" in printed
    assert "peak memory mb" in printed


def test_random_parts_with_the_teachers_view_on_disk_learn_as_those_in_memory(tmp_path):
    one, other = (run("--parts", "4", "--epochs", "8", *store) for store in ([], ["--store", str(tmp_path / "store")]))
    assert (tmp_path / "store" / "manifest.json").is_file()
    assert one["last_loss"] == other["last_loss"]
    assert one["agreement"] == other["agreement"] > 0.4


def test_the_teachers_layer_is_pygs():
    torch.manual_seed(0)
    x, edge_index = torch.randn(6, 4), torch.randint(6, (2, 15))
    ours, theirs = MeanSAGE(4, 5, 3).layers[0], SAGEConv(4, 5)
    with torch.no_grad():
        theirs.lin_r.weight.copy_(ours.weight[:, :4])
        theirs.lin_l.weight.copy_(ours.weight[:, 4:])
        theirs.lin_l.bias.copy_(ours.bias)
    model = MeanSAGE(4, 5, 3)
    model.layers[0] = ours
    model.layers[1] = torch.nn.Identity()
    hidden = model(x, edge_index)[:, :5]
    torch.testing.assert_close(hidden, theirs(x, edge_index).relu())
