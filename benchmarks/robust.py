"""How many nodes a student still gets right when features are changed against it, by how it was trained.

``python -m benchmarks.robust --dataset cora --split cpf --teacher gcn --student mlp --seeds 5 --threads 1``

The attack is the one that ``adversarial`` and ``ard`` train against, with more steps: features of all test nodes within
``--epsilon``, chosen with the weights at hand and the labels known (PGD). An MLP's nodes are attacked one by one, a
GNN's all at once. ``rescaled`` is the same with logits of a deviation of 1: what only hides its gradients falls there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from benchmarks import gnn
from benchmarks.graph.scene import Scene
from benchmarks.options import add_methods, use_methods
from benchmarks.rows import Row, failed
from benchmarks.runs import Place, tabulate
from graphkd.core.batches import changed
from graphkd.core.rng import seeded
from graphkd.core.view import Batch, Viewer
from graphkd.losses import CE
from graphkd.schemes import attacked
from graphkd.tasks import accuracy

DEFAULT = ("none", "kd", "defensive", "adversarial", "ard_plain", "ard")


def withstood(model: nn.Module, data: Data, epsilon: float, steps: int, seed: int) -> dict[str, float]:
    """Accuracy on test nodes as they are, and changed within the budget by PGD, rescaled PGD and one step (FGSM)."""
    model.eval()
    attack = partial(attacked, batch=data, loss=CE(where="test_mask"), epsilon=epsilon)
    rescaled = Viewer(model, call=partial(_divided, by=float(_logits(model, data).std())))
    with seeded(seed):
        changes = {
            "pgd": attack(model, steps=steps, step_size=epsilon / 4),
            "rescaled": attack(rescaled, steps=steps, step_size=epsilon / 4),
            "fgsm": attack(model, steps=1, step_size=epsilon, start=torch.zeros_like(data.x)),
        }
    under = {name: accuracy(model, changed(data, x=x)) for name, x in changes.items()}
    return {"accuracy": accuracy(model, data), **under}


@torch.no_grad()
def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return Viewer(model)(batch)["logits"]


def _divided(model: nn.Module, batch: Batch, by: float) -> Tensor:
    return Viewer(model)(batch)["logits"] / by


def measured(arguments: argparse.Namespace, scene: Scene, student: gnn.Student, _: Place) -> Iterator[Row]:
    """What a model withstands, and its costs."""
    whole = changed(scene.whole, **student.entries)
    costs = {**gnn.cost(student.model, whole), **student.costs}
    found = withstood(student.model, whole, arguments.epsilon / 255, arguments.test_steps, scene.seed)
    yield from ({"metric": metric, "value": value, **costs} for metric, value in found.items())


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; the attack is given to all methods that train against one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robust", description=(__doc__ or "").splitlines()[0])
    gnn.add_models(parser, teacher="gcn")
    add, known = parser.add_argument, list(gnn.METHODS.values())
    add("--epsilon", type=float, default=8, help="the largest change of a feature, in 255ths (default: %(default)s)")
    add("--steps", type=int, default=3, help="of the attack in training (default: %(default)s)")
    add("--test-steps", type=int, default=20, help="of the attack on test nodes (default: %(default)s)")
    groups = {"robust": DEFAULT}
    add_methods(parser, known, default=",".join(DEFAULT), groups=groups)
    arguments = parser.parse_args(argv)
    use_methods(parser, arguments, known, groups, arguments.teacher)
    if arguments.epsilon <= 0:
        parser.error(f"'--epsilon' must be positive, got {arguments.epsilon}")
    attack = {"epsilon": arguments.epsilon / 255, "steps": arguments.steps}
    for name, given in arguments.given.items():
        if attack.keys() <= gnn.METHODS[name].settings.keys():
            arguments.given[name] = attack | given
    return arguments


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    about = {"epsilon": arguments.epsilon, "test_steps": arguments.test_steps}
    title = f"{arguments.dataset}, features within {arguments.epsilon:g}/255, {arguments.seeds} seeds"
    runs = gnn.jobs(arguments, partial(measured, arguments), **about)
    return tabulate(arguments, runs, title, metrics=["pgd", "accuracy", "rescaled", "fgsm"])


if __name__ == "__main__":
    sys.exit(failed(main()))
