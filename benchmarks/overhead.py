"""What ``fit`` adds to a hand-written loop, in milliseconds a step: two losses, one of a teacher that is kept.

``python -m benchmarks.overhead``: both loops alternate in one run, on one thread; the figure is the median of the
differences of their CPU times. ``--nodes`` and ``--features`` make the step larger, which adds nothing to it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP
from tqdm import trange

from graphkd import Cached, Distiller, fit
from graphkd.losses import CE, KL

CLASSES, TEMPERATURE = 7, 4.0
Loop = Callable[[nn.Module, nn.Module, Data, int], None]


def made(nodes: int, features: int, seed: int = 0) -> Data:
    """Random rows, a third of them labelled."""
    generator = torch.Generator().manual_seed(seed)
    return Data(
        x=torch.randn(nodes, features, generator=generator),
        y=torch.randint(CLASSES, (nodes,), generator=generator),
        train_mask=torch.arange(nodes) % 3 == 0,
    )


def by_hand(student: nn.Module, teacher: nn.Module, data: Data, steps: int) -> None:
    """The loop that a user would write, the teacher's answers computed before it."""
    optimizer = torch.optim.Adam(student.parameters(), lr=0.01)
    with torch.no_grad():
        soft = (teacher.eval()(data.x) / TEMPERATURE).softmax(dim=1)
    student.train()
    for _ in range(steps):
        logits = student(data.x)
        loss = F.cross_entropy(logits[data.train_mask], data.y[data.train_mask])
        own = (logits / TEMPERATURE).log_softmax(dim=1)
        loss = loss + TEMPERATURE**2 * F.kl_div(own, soft, reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def by_fit(student: nn.Module, teacher: nn.Module, data: Data, steps: int) -> None:
    """The same with ``fit``."""
    losses = CE(where="train_mask") + KL(TEMPERATURE)
    fit(Distiller(student, Cached(teacher), losses), data, epochs=steps, progress=False)


def milliseconds(loop: Loop, data: Data, steps: int) -> float:
    """CPU time of one step."""
    width = data.x.size(1)
    student, teacher = (MLP([width, hidden, CLASSES], norm=None) for hidden in (16, 32))
    started = time.process_time()
    loop(student, teacher, data, steps)
    return (time.process_time() - started) / steps * 1e3


def main(argv: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="steps of each measurement (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=15, help="measurements (default: %(default)s)")
    parser.add_argument("--nodes", type=int, default=200, help="rows (default: %(default)s)")
    parser.add_argument("--features", type=int, default=16, help="width of the rows (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="append a JSON line")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    data, times = made(arguments.nodes, arguments.features), []
    for number in trange(arguments.repeats + 1, unit="repeat", disable=None):
        pair = [milliseconds(loop, data, arguments.steps) for loop in (by_hand, by_fit)]
        times += [pair] if number else []  # the first warms up
    hand, ours = (median(column) for column in zip(*times, strict=True))
    added = median(b - a for a, b in times)
    Console().print(f"by hand {hand:.2f} ms a step, fit {ours:.2f} ms a step: {added:+.2f} ms")
    if arguments.out:
        row = {"op": "fit", "by_hand_ms": hand, "fit_ms": ours, "added_ms": added, "steps": arguments.steps}
        with arguments.out.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
