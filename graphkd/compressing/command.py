"""``python -m graphkd compress``: make a folder with a student from a graph file and a teacher's answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from graphkd.compressing.budget import Budget

_TASKS = ("node_classification", "multi_label_node_classification", "regression")


def add_compress(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        "graph",
        type=Path,
        help=".npz with x, edge_index, y, train_mask, val_mask and, where there are, test_mask and "
        "edge_weight; or .pt with PyG's Data",
    )
    add("--teacher", required=True, help="logits of all nodes as .npy, (N, C); or package.module:make, a function")
    add("--weights", type=Path, help="weights of what that function makes, .safetensors")
    add("--task", choices=_TASKS, default=_TASKS[0], help="what is predicted (default: %(default)s)")
    add("--latency-ms", type=float, help="the most milliseconds of a query, median")
    add("--parameters", type=int, help="the most parameters")
    add("--megabytes", type=float, help="the most megabytes of weights")
    add("--methods", default="auto", help="names with commas (default: those that fit)")
    add("--trials", type=int, default=40, help="default: %(default)s")
    add("--epochs", type=int, help="of a whole training (default: the method's)")
    add("--seed", type=int, default=0, help="default: %(default)s")
    add("--checkpoint", type=Path, metavar="DIR", help="keep trials there, and go on where a search was broken off")
    add("--out", type=Path, required=True, metavar="DIR", help="where the student goes")


def compress_files(asked: argparse.Namespace, compress: Any) -> None:
    """Read the files, search for students, and write the best; ``compress`` is ``graphkd.compress``."""
    from graphkd.compressing.files import make_teacher, read_answers, read_data, write_student

    task = _task(asked.task)
    data = read_data(asked.graph, task)
    if ":" in asked.teacher:
        teacher = make_teacher(asked.teacher, asked.weights)
    elif asked.weights is not None:
        raise ValueError("'--weights' goes with a teacher that is made, --teacher package.module:make: leave it out")
    else:
        teacher = read_answers(asked.teacher, int(data.x.size(0)))
    kept = {} if asked.checkpoint is None else {"checkpoint": asked.checkpoint, "resume": "auto"}
    methods = asked.methods if asked.methods == "auto" else asked.methods.split(",")
    front = compress(
        teacher,
        data,
        task,
        methods=methods,
        budget=Budget(asked.latency_ms, asked.parameters, asked.megabytes),
        trials=asked.trials,
        epochs=asked.epochs,
        seed=asked.seed,
        **kept,
    )
    best = front.best()
    names = write_student(front, best, data, asked.out)
    sys.stdout.write(f"{front.table()}\n\n{best.card['student']} by {best.card['method']} is in {asked.out}: ")
    sys.stdout.write(f"{', '.join(names)}\n")


def _task(kind: str) -> Any:
    from graphkd import tasks

    kinds = (tasks.NodeClassification, tasks.MultiLabelNodeClassification, tasks.Regression)
    return next(each for each in kinds if each.kind == kind)()
