"""A training step of methods on a graph of Cora's size: ``python -m benchmarks.steps``, CPU milliseconds on one thread.

Each is run by ``distil`` for one epoch and for several more, so that a step has all that a user waits for; the figure
is the difference over the epochs between, the median of ``--repeats``. The graph is random, with Cora's largest
component's size and share of entries that are not 0; the teacher is a GCN with 64 hidden units and is kept.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch_geometric.nn import GCN, MLP
from tqdm import tqdm

import graphkd

NODES, FEATURES, EDGES, CLASSES, SHARE = 2485, 1433, 10138, 7, 0.013
LAYERS = ("lins.0", "convs.0")  # of student and teacher
METHODS = ("none", "kd", "rkd", "gsp", "lsp", "information_flow", "crd", "hkd", "mcl_okd")


def graph(seed: int = 0) -> dict[str, torch.Tensor]:
    """A random graph of Cora's size, all nodes labelled."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(NODES, (2, EDGES // 2), generator=generator)
    return {
        "x": (torch.rand(NODES, FEATURES, generator=generator) < SHARE).float(),
        "edge_index": torch.cat([ends, ends.flip(0)], dim=1),
        "y": torch.randint(CLASSES, (NODES,), generator=generator),
        "train_mask": torch.ones(NODES, dtype=torch.bool),
    }


def mlp() -> nn.Module:
    """The student."""
    return MLP([FEATURES, 128, CLASSES], norm=None, dropout=0.0)


def gcn() -> nn.Module:
    """The teacher, and a student of its own."""
    return GCN(FEATURES, 64, 2, CLASSES)


def cases() -> dict[str, partial[Any]]:
    """Name -> distil, but for data and epochs."""
    teacher = gcn()
    found = {}
    for name in METHODS:
        row = next(each for each in graphkd.methods() if each.name == name)
        taught: Any = (teacher, LAYERS) if row.teacher else (None, LAYERS[0])
        found[f"{name}, MLP"] = partial(_distil, name, mlp, *taught, needs=row.needs)
    found["none, GCN"] = partial(_distil, "none", gcn, None, None, needs=())
    return found


def _distil(
    method: str, student: Any, teacher: Any, hidden: Any, data: Any, epochs: int, *, needs: Any, **more: Any
) -> None:
    named = {"hidden": hidden} if "hidden" in needs else {}
    named |= {"negatives": 16384} if method == "mcl_okd" else {}
    graphkd.distil(method, student, teacher, data, epochs=epochs, progress=False, **named, **more)


def milliseconds(run: partial[Any], data: Any, steps: int, **more: Any) -> float:
    """CPU time of one step."""
    taken = []
    for epochs in (1, 1 + steps):
        started = time.process_time()
        run(data, epochs, **more)
        taken.append(time.process_time() - started)
    return (taken[1] - taken[0]) / steps * 1e3


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", default="all", help="names between commas (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="steps of a measurement (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="measurements (default: %(default)s)")
    parser.add_argument("--features", default="auto,dense", help="how first layers multiply (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="append JSON lines")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    data, known, modes = graph(), cases(), arguments.features.split(",")
    wanted = [
        name for name in known if arguments.methods == "all" or name.split(",")[0] in arguments.methods.split(",")
    ]
    table = Table(
        *["method", *(f"ms, features={mode}" for mode in modes)], title=f"{NODES} nodes, torch {torch.__version__}"
    )
    for name in tqdm(wanted, unit="method", disable=None):
        found = {
            mode: median(
                milliseconds(known[name], data, arguments.steps, features=mode) for _ in range(arguments.repeats)
            )
            for mode in modes
        }
        table.add_row(name, *(f"{value:.1f}" for value in found.values()))
        if arguments.out:
            with arguments.out.open("a") as file:
                file.write(json.dumps({"op": "step", "method": name, "ms": found, "steps": arguments.steps}) + "\n")
    Console().print(table)


if __name__ == "__main__":
    main()
