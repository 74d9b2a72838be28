"""The distillation methods of the GNN benchmark, by name: one literal table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Data

from graphkd import Cached, Distiller, Loss, fit
from graphkd.core.view import Viewer
from graphkd.gnn import glnn
from graphkd.losses import AT, CE, GCRD, GSP, KL, LSP, FitNet, LogitMSE

Widths = tuple[int, int]


@dataclass(frozen=True)
class Lesson:
    """A student to train: its teacher, the graph, the hidden layer (a tap path) of both, and options of ``fit``."""

    student: nn.Module
    teacher: nn.Module
    data: Data
    hidden: tuple[str, str]
    options: Mapping[str, Any]


Train = Callable[[Lesson], nn.Module]
_LABELS = CE(where="train_mask")


def _with(loss: Callable[[Widths], Loss]) -> Train:
    """Full-batch training on labels and a loss, which may need the widths of the hidden layers of both sides."""

    def train(lesson: Lesson) -> nn.Module:
        models = (lesson.student, lesson.teacher)
        student, teacher = (_width(model, lesson.data, path) for model, path in zip(models, lesson.hidden, strict=True))
        task = Distiller(
            lesson.student, Cached(lesson.teacher), loss((student, teacher)), taps={"hidden": lesson.hidden}
        )
        return fit(task, lesson.data, **lesson.options)

    return train


@torch.no_grad()
def _width(model: nn.Module, data: Data, path: str) -> int:
    viewer = Viewer(model.eval(), taps={"hidden": path})
    width = viewer(data)["hidden"].size(1)
    viewer.close()
    return width


def _none(lesson: Lesson) -> nn.Module:
    return fit(Distiller(lesson.student, losses=_LABELS), lesson.data, **lesson.options)


def _glnn(lesson: Lesson) -> nn.Module:
    return glnn(lesson.student, lesson.teacher, lesson.data, **lesson.options)


# Weights: the papers' or those of the efficient-gnns scripts for a loss used without soft targets.
METHODS: dict[str, Train] = {
    "none": _none,
    "kd": _with(lambda _: 0.1 * _LABELS + 0.9 * KL(4.0)),
    "logit_mse": _with(lambda _: _LABELS + 1.0 * LogitMSE()),
    "fitnet": _with(lambda widths: _LABELS + 100 * FitNet(*widths, normalise=True)),
    "at": _with(lambda _: _LABELS + 100 * AT()),
    "lsp": _with(lambda _: _LABELS + 100 * LSP.efficient_gnns("rbf")),
    "gsp": _with(lambda _: _LABELS + 100 * GSP()),
    "gcrd": _with(lambda widths: _LABELS + 0.1 * GCRD(*widths, projection=128)),
    "glnn": _glnn,
}


def method(name: str) -> Train:
    """The method of that name; ValueError that lists the names where there is none."""
    if name not in METHODS:
        raise ValueError(f"'methods' must be among {list(METHODS)} or 'all', got {name!r}")
    return METHODS[name]
