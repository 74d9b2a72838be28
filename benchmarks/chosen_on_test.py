"""What choosing the epoch on test nodes adds, which some published code does: an illustration, never a result.

``python -m benchmarks.chosen_on_test --dataset cora --split cpf --methods glnn --seeds 10``

Each method trains twice, from the same weights by the same teacher, whose own epoch is chosen on validation nodes: once
the student's epoch is chosen on validation nodes, once on the test nodes that it is then measured on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks.gnn import METHODS, add_models, cost, groups, own_settings, student_of
from benchmarks.graph.scene import Scene, split_name
from benchmarks.options import add_methods, seeds, use_methods
from benchmarks.plot import plot
from benchmarks.rows import Row, failed
from benchmarks.runs import Job, Place, about, tabulate
from graphkd.core.batches import changed
from graphkd.tasks import accuracy

MASKS = {"validation": "val_mask", "test": "test_mask"}


def run(arguments: argparse.Namespace, name: str, chosen: str, seed: int, place: Place) -> Iterator[Row]:
    """A student of a method whose epoch is chosen on some nodes of the data of a seed."""
    models = {"student": arguments.student, "teacher": arguments.teacher, "runs": arguments.runs}
    scene = Scene(arguments.dataset, seed, split=arguments.split, epochs=arguments.epochs, **models)
    scene.teacher(place)  # of the data as they are
    scene.seen = changed(scene.seen, val_mask=scene.seen[MASKS[chosen]])
    found = student_of(METHODS[name], scene, arguments.given[name], place)
    costs = {**cost(found.model, scene.whole), **found.costs}
    yield {"metric": "accuracy", "value": accuracy(found.model, scene.whole), **costs}


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Both choices of every method, seed by seed."""
    known = about(arguments, arguments.dataset, split_name(arguments.dataset, arguments.split), "epochs")
    known |= {"teacher": arguments.teacher, "student": arguments.student}
    for seed in seeds(arguments):
        for name in arguments.methods:
            for chosen in MASKS:
                own = {"method": f"{name}, {chosen}", "seed": seed, "settings": arguments.given[name]}
                yield Job({**known, **own}, partial(run, arguments, name, chosen, seed))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    about = "The student's epoch chosen on validation nodes and, as no result may be, on test nodes."
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chosen_on_test", description=about)
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
