"""How many nodes a student still gets right when features are changed against it, by how it was trained.

``python -m benchmarks.robust --dataset cora --split cpf --teacher gcn --student mlp --seeds 5 --threads 1``

The attack is the one that ``adversarial`` and ``ard`` train against, with more steps: features of all test nodes within
``--epsilon``, chosen with the weights at hand and the labels known (PGD). An MLP's nodes are attacked one by one, a
GNN's all at once. ``rescaled`` is the same with logits of a deviation of 1: what only hides its gradients falls there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from tqdm import tqdm

from benchmarks import gnn
from benchmarks.graph.methods import METHODS
from benchmarks.graph.models import HIDDEN
from benchmarks.graph.recipes import TEACHERS
from benchmarks.graph.robust import Attack, robust_methods
from benchmarks.options import add_options, collect, use_options
from benchmarks.report import Row, show
from datasets import DATASETS, load
from graphkd.core.rng import seeded
from graphkd.core.view import Batch, Viewer
from graphkd.schemes import attacked, changed
from graphkd.tasks import accuracy

DEFAULT = ("none", "kd", "defensive", "adversarial", "ard_plain", "ard")


def withstood(model: nn.Module, data: Data, attack: Attack, steps: int, seed: int) -> dict[str, float]:
    """Accuracy on test nodes as they are, and changed within the budget by PGD, rescaled PGD and one step (FGSM)."""
    model.eval()
    rescaled = Viewer(model, call=partial(_divided, by=float(_logits(model, data).std())))
    options = {"epsilon": attack.epsilon, "steps": steps, "step_size": attack.epsilon / 4}
    with seeded(seed):
        changes = {
            "pgd": attacked(model, data, **options),
            "rescaled": attacked(rescaled, data, **options),
            "fgsm": attacked(
                model, data, epsilon=attack.epsilon, steps=1, step_size=attack.epsilon, start=torch.zeros_like(data.x)
            ),
        }
    under = {name: accuracy(model, changed(data, x=x)) for name, x in changes.items()}
    return {"accuracy": accuracy(model, data), **under}


@torch.no_grad()
def _logits(model: nn.Module, batch: Batch) -> Tensor:
    return Viewer(model)(batch)["logits"]


def _divided(model: nn.Module, batch: Batch, by: float) -> Tensor:
    return Viewer(model)(batch)["logits"] / by


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a measured value, seed by seed."""
    attack = Attack(arguments.epsilon / 255, arguments.steps)
    known = METHODS | robust_methods(attack)
    with tqdm(total=arguments.seeds * (len(arguments.methods) + 1), unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            data = load(arguments.dataset, split=arguments.split, seed=seed)
            for run in gnn.runs(arguments, gnn.Setting.of(data, seed, inductive=False), seed, known):
                about = {
                    "dataset": arguments.dataset,
                    "split": arguments.split or next(iter(DATASETS[arguments.dataset])),
                    "teacher": arguments.teacher,
                    "student": arguments.teacher if run.method == "teacher" else arguments.student,
                    "method": run.method,
                    "seed": seed,
                    "epsilon": arguments.epsilon,
                    "train_seconds": run.train_seconds,
                    **gnn.cost(run.model, data),
                }
                for metric, value in withstood(run.model, data, attack, arguments.test_steps, seed).items():
                    yield {**about, "metric": metric, "value": value}
                shown.set_postfix(seed=seed, method=run.method)
                shown.update()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robust", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--dataset", choices=sorted(DATASETS), default="digits", help="default: %(default)s, embedded")
    add("--split", help="a split of the dataset (default: its first; 'public' or 'cpf' for Cora)")
    add("--teacher", choices=sorted(TEACHERS), default="gcn", help="default: %(default)s")
    add("--student", choices=sorted(HIDDEN), default="mlp", help="default: %(default)s")
    add("--epsilon", type=float, default=8, help="the largest change of a feature, in 255ths (default: %(default)s)")
    add("--steps", type=int, default=3, help="of the attack in training (default: %(default)s)")
    add("--test-steps", type=int, default=20, help="of the attack on test nodes (default: %(default)s)")
    add("--epochs", type=int, help="at most (default: the recipe's, 200)")
    add_options(parser, list(METHODS), default=",".join(DEFAULT), groups=["robust"])
    arguments = parser.parse_args(argv)
    use_options(parser, arguments, {"robust": DEFAULT}, gnn.method)
    if arguments.epsilon <= 0:
        parser.error(f"'--epsilon' must be positive, got {arguments.epsilon}")
    return arguments


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    title = f"{arguments.dataset}, features within {arguments.epsilon:g}/255, {arguments.seeds} seeds"
    show(measured, title, ["pgd", "accuracy", "rescaled", "fgsm"])
    return measured


if __name__ == "__main__":
    main()
