"""What ``fit`` adds to a hand-written loop, in milliseconds a step, on a student of Cora's size.

``python -m benchmarks.overhead``: both loops alternate in one run; the figure is the median of their differences.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCN
from tqdm import trange

from graphkd import Distiller, fit
from graphkd.losses import CE


def cora_size(seed: int = 0) -> Data:
    """Random data of Cora's shape."""
    generator = torch.Generator().manual_seed(seed)
    nodes, edges, features, classes = 2708, 10556, 1433, 7
    return Data(
        x=(torch.rand(nodes, features, generator=generator) < 0.013).float(),
        edge_index=torch.randint(nodes, (2, edges), generator=generator),
        y=torch.randint(classes, (nodes,), generator=generator),
        train_mask=torch.arange(nodes) < 140,
    )


def by_hand(model: nn.Module, data: Data, steps: int) -> None:
    """The loop that a user would write."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    model.train()
    for _ in range(steps):
        loss = F.cross_entropy(model(data.x, data.edge_index)[data.train_mask], data.y[data.train_mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def by_fit(model: nn.Module, data: Data, steps: int) -> None:
    """The same with ``fit``."""
    fit(Distiller(model, losses=CE(where="train_mask")), data, epochs=steps)


def milliseconds(loop: partial[None], steps: int) -> float:
    """Of one step."""
    started = time.perf_counter()
    loop()
    return (time.perf_counter() - started) / steps * 1e3


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=50, help="steps of each measurement (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=15, help="measurements (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="append a JSON line")
    arguments = parser.parse_args(argv)
    data, times = cora_size(), []
    for _ in trange(arguments.repeats, unit="repeat", disable=None):
        pair = [
            milliseconds(partial(loop, GCN(1433, 16, 2, 7), data, arguments.steps), arguments.steps)
            for loop in (by_hand, by_fit)
        ]
        times.append(pair)
    hand, ours = (median(column) for column in zip(*times, strict=True))
    added = median(b - a for a, b in times)
    Console().print(f"by hand {hand:.2f} ms a step, fit {ours:.2f} ms a step: {added:+.2f} ms")
    if arguments.out:
        row = {"op": "fit", "by_hand_ms": hand, "fit_ms": ours, "added_ms": added, "steps": arguments.steps}
        with arguments.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
