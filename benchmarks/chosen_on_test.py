"""What choosing the epoch on test nodes adds, which some published code does: an illustration, never a result.

``python -m benchmarks.chosen_on_test --dataset cora --split cpf --methods glnn --seeds 10``

Each method trains twice, from the same weights by the same teacher, whose own epoch is chosen on validation nodes: once
the student's epoch is chosen on validation nodes, once on the test nodes that it is then measured on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from benchmarks.gnn import METHODS, add_models, cost, groups, own_settings, student_of
from benchmarks.graph.scene import Scene, split_name
from benchmarks.options import add_methods, seeds, use_methods
from benchmarks.plot import plot
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, about, tabulate
from graphkd.tasks import accuracy

MASKS = {"validation": "val_mask", "test": "test_mask"}


def run(settings: Mapping[str, Any], name: str, scene: Scene, place: Place) -> Iterator[Row]:
    """A student of a method."""
    found = student_of(METHODS[name], scene, settings, place)
    costs = {**cost(found.model, scene.whole), **found.costs}
    yield {"metric": "accuracy", "value": accuracy(found.model, scene.whole), **costs}


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Both choices of every method, seed by seed."""
    known = about(arguments, arguments.dataset, split_name(arguments.dataset, arguments.split), "epochs")
    known |= {"teacher": arguments.teacher, "student": arguments.student}
    names = ("student", "teacher", "split", "epochs", "runs")
    models = {name: getattr(arguments, name) for name in names}
    scene = lru_cache(maxsize=1)(partial(Scene, arguments.dataset, **models))

    def run_of(name: str, nodes: str, seed: int, place: Place) -> Iterator[Row]:
        return run(arguments.given[name], name, scene(seed).chosen_on(MASKS[nodes], place), place)

    for seed in seeds(arguments):
        for name in arguments.methods:
            for nodes in MASKS:
                own = {"method": f"{name}, {nodes}", "seed": seed, "settings": arguments.given[name]}
                yield Job({**known, **own}, partial(run_of, name, nodes, seed))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    words = "The student's epoch chosen on validation nodes and, as no result may be, on test nodes."
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chosen_on_test", description=words)
    add_models(parser, teacher="sage")
    known = list(METHODS.values())
    add_methods(parser, known, default="glnn", groups=groups("mlp"))
    arguments = parser.parse_args(argv)
    use_methods(parser, arguments, known, groups(arguments.student), arguments.teacher, student=own_settings)
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    title = f"{arguments.dataset}, by the nodes that chose the epoch"
    rows = tabulate(arguments, jobs(arguments), title, base=f"{arguments.methods[0]}, validation")
    if arguments.plot:
        plot(rows, arguments.plot, title)
    return rows


if __name__ == "__main__":
    sys.exit(failed(main()))
