"""Schemes of the GNN benchmark for safety, privacy and lost data, by name.

Students are trained to the last epoch: accuracy on unchanged validation nodes says little about changed ones, and
validation labels are as private, or as lost, as others.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from benchmarks.graph.lessons import Lesson, Train, to_the_end
from benchmarks.graph.procedures import fresh
from graphkd import Cached, Distiller, fit
from graphkd.core.view import Viewer
from graphkd.losses import KL
from graphkd.schemes import (
    Record,
    RobustDistiller,
    changed,
    defensive,
    fit_masked,
    pate,
    private_teachers,
    reconstruct,
)

TEACHERS, QUERIES, KEPT, MADE = 10, 100, 0.5, 500


@dataclass(frozen=True)
class Attack:
    """What training withstands: features within ``epsilon``, by ``steps`` of half of it; the authors' 8/255."""

    epsilon: float = 8 / 255
    steps: int = 3

    def options(self) -> dict[str, Any]:
        """Of ``RobustDistiller``."""
        return {"epsilon": self.epsilon, "steps": self.steps, "step_size": self.epsilon / 2}


def robust_methods(attack: Attack) -> dict[str, Train]:
    """Training that withstands an attack."""

    def adversarial(lesson: Lesson) -> nn.Module:
        return fit(RobustDistiller(lesson.student, **attack.options()), lesson.data, **to_the_end(lesson))

    def ard_plain(lesson: Lesson) -> nn.Module:
        task = RobustDistiller(lesson.student, Cached(lesson.teacher), **attack.options())
        return fit(task, lesson.data, **to_the_end(lesson))

    def ard(lesson: Lesson) -> nn.Module:
        robust = fresh(lesson.teacher, lesson.options["seed"])
        fit(RobustDistiller(robust, **attack.options()), lesson.data, **to_the_end(lesson))
        task = RobustDistiller(lesson.student, Cached(robust), **attack.options())
        return fit(task, lesson.data, **to_the_end(lesson))

    return {"adversarial": adversarial, "ard_plain": ard_plain, "ard": ard}


def _defensive(lesson: Lesson) -> nn.Module:
    """The teacher is another of its kind, trained at the temperature too."""
    return defensive(lesson.student, fresh(lesson.teacher, lesson.options["seed"]), lesson.data, **lesson.options)


def private_parts(data: Data, rows: Tensor, count: int, generator: torch.Generator) -> list[Data]:
    """The sub-graphs of disjoint random parts of some rows, all labelled; edges between parts are lost."""
    order = rows[torch.randperm(rows.numel(), generator=generator)]
    known = changed(data, train_mask=torch.zeros_like(data["train_mask"]).index_fill(0, rows, True))
    return [known.subgraph(part) for part in order.tensor_split(count)]


def _pate(lesson: Lesson) -> nn.Module:
    """The labelled nodes are private, each of ten teachers of the student's kind has a tenth of them."""
    seed, data = lesson.options["seed"], lesson.data
    generator = torch.Generator().manual_seed(seed)
    rows = data["train_mask"].nonzero()[:, 0]
    parts = private_parts(data, rows, min(TEACHERS, rows.numel()), generator)
    teachers = [fresh(lesson.student, seed + 1000 * k) for k in range(1, len(parts) + 1)]
    private_teachers(teachers, parts, **to_the_end(lesson))
    public = data.subgraph(~data["train_mask"])
    asked = torch.randperm(public.num_nodes, generator=generator)[:QUERIES]
    public.query_mask = torch.zeros(public.num_nodes, dtype=torch.bool).index_fill(0, asked, True)
    return pate(lesson.student, teachers, public, gamma=1.0, generator=generator, **to_the_end(lesson)).student


def _records(lesson: Lesson) -> nn.Module:
    """Rows without edges, made from the mean and covariance of the teacher's logits and hidden layer."""
    viewer = Viewer(lesson.teacher.eval(), taps={"hidden": lesson.hidden[1]})
    with torch.no_grad():
        records = {name: Record.of(rows) for name, rows in viewer(lesson.data).items()}
    viewer.close()
    shape = (MADE, lesson.data["x"].size(1))
    made = reconstruct(lesson.teacher, records, {"hidden": lesson.hidden[1]}, shape, seed=lesson.options["seed"])
    rows = {"x": made, "edge_index": torch.empty(2, 0, dtype=torch.long)}
    return fit(Distiller(lesson.student, Cached(lesson.teacher), KL(4.0)), rows, **to_the_end(lesson))


@torch.no_grad()
def _pruned(lesson: Lesson) -> nn.Module:
    """Not the student: the teacher, with the smaller half of every layer's weights put to 0 and the rest refitted."""
    pruned = copy.deepcopy(lesson.teacher).eval()
    layers = [path for path, module in pruned.named_modules() if _is_linear(module)]
    for path in layers:
        inputs = [_inputs(model, path, lesson.data) for model in (pruned, lesson.teacher.eval())]
        weight: Tensor = lesson.teacher.get_submodule(path).weight  # type: ignore[assignment]
        mask = weight.abs() >= weight.abs().flatten().quantile(1 - KEPT)
        ours: Tensor = pruned.get_submodule(path).weight  # type: ignore[assignment]
        ours.copy_(fit_masked(*inputs, weight, mask))
    return pruned


def _is_linear(module: nn.Module) -> bool:
    return isinstance(getattr(module, "weight", None), Tensor) and module.weight.dim() == 2  # type: ignore[operator]


def _inputs(model: nn.Module, path: str, data: Data) -> Tensor:
    """What a layer sees of the labelled rows."""
    viewer = Viewer(model, taps={"inputs": f"{path}:in"})
    try:
        view: Mapping[str, Tensor] = viewer(data)
        return view["inputs"][data["train_mask"]]
    finally:
        viewer.close()


METHODS: dict[str, Train] = {
    "defensive": _defensive,
    **robust_methods(Attack()),
    "pate": _pate,
    "activation_records": _records,
    "cross_distillation": _pruned,
}
