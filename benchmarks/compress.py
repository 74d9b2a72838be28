"""Search a small student of a graph neural network: students x methods x settings under a budget, a Pareto front.

``python -m benchmarks.compress --dataset cora --teacher gcn --latency-ms 0.2 --trials 40 --report cora.html``

The teacher is trained first, by its recipe; the table has its scores and costs beside the students'.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import graphkd
from benchmarks.graph.recipes import TEACHERS
from benchmarks.graph.scene import Scene
from benchmarks.options import add_data
from benchmarks.runs import Place
from datasets import DATASETS
from graphkd import Budget
from graphkd.compressing.front import Front


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compress", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add_data(parser, DATASETS, "digits")
    add("--teacher", choices=list(TEACHERS), default="sage", help="default: %(default)s")
    add("--latency-ms", type=float, help="the most milliseconds of a query, median")
    add("--parameters", type=int, help="the most parameters")
    add("--megabytes", type=float, help="the most megabytes of weights")
    add("--methods", default="auto", help="names with commas (default: those that fit)")
    add("--trials", type=int, default=40, help="default: %(default)s")
    add("--epochs", type=int, help="of a whole training, the teacher's too (default: its recipe's, the methods')")
    add("--seed", type=int, default=0, help="of split, teacher and search (default: %(default)s)")
    add("--threads", type=int, help="threads on the CPU (default: torch's choice)")
    add("--checkpoint", type=Path, help="folder of the search, which goes on where it was broken off")
    add("--report", type=Path, help="write picture, table and settings as one HTML file")
    add("--save", type=Path, help="write the best student within the budget into a folder")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> Front:
    """Train the teacher, search, print the table, write what was asked for; returns the front."""
    asked = parse(argv)
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    scene = Scene(
        asked.dataset, asked.seed, student="mlp", teacher=asked.teacher, split=asked.split, epochs=asked.epochs
    )
    teacher, started = scene.teacher(Place()).model, time.perf_counter()
    front = graphkd.compress(
        teacher,
        scene.seen,
        scene.task,
        methods=asked.methods if asked.methods == "auto" else asked.methods.split(","),
        budget=Budget(asked.latency_ms, asked.parameters, asked.megabytes),
        trials=asked.trials,
        epochs=asked.epochs,
        seed=asked.seed,
        hidden=scene.hidden[1],
        checkpoint=asked.checkpoint,
        resume="auto" if asked.checkpoint is not None else False,
    )
    print(front.table())
    for row in front.left_out:
        print(f"Not trained: {row['student']}, {row['reason']}")
    print(f"{len(front.tried)} trainings of {asked.trials} trials, {time.perf_counter() - started:.0f} s")
    if asked.report is not None:
        front.report(asked.report)
    if asked.save is not None:
        front.best().save(asked.save)
    return front


if __name__ == "__main__":
    main(sys.argv[1:])
