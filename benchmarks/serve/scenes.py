"""A graph with its teachers and its student, trained where it has labels, and what is computed of them beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import GAT, GCN, MLP, GraphSAGE

from benchmarks.graph.recipes import student_recipe
from benchmarks.rows import Row
from benchmarks.runs import Place, shared_model
from benchmarks.serve.graphs import Graph, Numbers, graph
from benchmarks.serve.layers import answered, hidden_rows, last_rows
from graphkd.core.distilled import Distilled
from graphkd.core.rng import seeded
from graphkd.serving import Neighbourhoods, export

WIDTH, HEADS = 128, 8
STUDENT = "mlp-2"
FILES: Mapping[str, bool] = {"student.onnx": False, "student-int8.onnx": True}  # whether in int8
_GNN: Mapping[str, tuple[Callable[..., nn.Module], int]] = {
    "sage-2": (GraphSAGE, 2),
    "sage-3": (GraphSAGE, 3),
    "gcn-2": (GCN, 2),
    "gat-2": (GAT, 2),
}
_ARRAYS = ("x", "edge_index", "hidden", "answers", "student_hidden", "held_out")
_MANY = 20_000  # nodes, from which GLNN is published with batches of 4,096


def built(model: str, features: int, classes: int, dropout: float = 0.0) -> nn.Module:
    """A model of that name, without training."""
    if model == STUDENT:
        return MLP([features, WIDTH, classes], norm=None, dropout=dropout)
    kind, layers = _GNN[model]
    more = {"heads": HEADS} if kind is GAT else {}
    return kind(features, WIDTH, layers, classes, dropout=dropout, **more)


def layers_of(model: str) -> int:
    """How many hops a teacher reaches."""
    return _GNN[model][1]


class Scene:
    """What forms are made of: features, the index of the graph, models, and tables computed beforehand.

    Models are trained for ``epochs`` where the graph has labels (the student by GLNN, taught by ``sage-2``) and have
    random weights elsewhere, where quality is not judged: the time of an answer does not depend on them. They are kept
    where ``runs`` is a folder. folder: for exported files.
    """

    def __init__(self, name: str, seed: int, epochs: int, place: Place, folder: Path, runs: Path | None = None) -> None:
        self.name, self.seed, self.epochs, self.folder = name, seed, epochs, folder
        self.given: Graph = graph(name, seed)
        self.x, self.classes = self.given.x, self.given.classes
        self._place, self._runs = place, runs
        self._models: dict[str, nn.Module] = {}

    @property
    def trained(self) -> bool:
        """Whether quality means something here."""
        return self.given.labels is not None

    @cached_property
    def graph(self) -> Neighbourhoods:
        """The index of neighbourhoods."""
        return Neighbourhoods(self.given.edge_index, len(self.x))

    @property
    def edge_index(self) -> Tensor:
        """(2, E)."""
        return self.given.edge_index

    @property
    def held_out(self) -> Numbers:
        """Nodes that queries ask for."""
        return self.given.held_out

    def model(self, name: str) -> nn.Module:
        """A teacher or the student, in eval mode."""
        if name not in self._models:
            self._models[name] = self._trained(name) if self.trained else self._fresh(name)
        return self._models[name].eval()

    @cached_property
    def hidden(self) -> Tensor:
        """The hidden layer of ``sage-2``, for all nodes."""
        return hidden_rows(self.model("sage-2"), self.x, self.graph)

    @cached_property
    def answers(self) -> Numbers:
        """Probabilities of ``sage-2`` for all nodes."""
        return last_rows(self.model("sage-2"), self.hidden, self.graph).softmax(1).numpy()

    @cached_property
    @torch.no_grad()
    def student_hidden(self) -> Tensor:
        """The hidden layer of the student, for all nodes."""
        return self.model(STUDENT).lins[0](self.x).relu_()  # type: ignore[index,operator]

    def file(self, name: str) -> Path:
        """The student as an ONNX file; ImportError where the packages are missing."""
        path = self.folder / name
        if not path.exists():
            export(self.model(STUDENT), self.x[:2], path, int8=FILES[name])
        return path

    def save(self) -> None:
        """Write arrays and weights into the folder, for ``Stored``; files are there once they were asked for."""
        for name in _ARRAYS:
            if not (self.folder / f"{name}.npy").exists():
                np.save(self.folder / f"{name}.npy", np.asarray(getattr(self, name)), allow_pickle=False)
        for name in (STUDENT, *_GNN):
            if not (self.folder / name).is_dir():
                card = {"scores": {}, "method": name}
                Distilled(self.model(name), {}, name, card=card).save(self.folder / name)

    def reference(self, model: str, ids: Numbers) -> Tensor:
        """Probabilities on the whole graph, or where that takes too much memory by PyG's own sub-graph."""
        edges = None if model == STUDENT else self.edge_index
        return answered(self.model(model), self.x, edges, ids).softmax(1)

    def _fresh(self, name: str, dropout: float = 0.0) -> nn.Module:
        with seeded(self.seed):
            return built(name, self.x.size(1), self.classes, dropout)

    def _trained(self, name: str) -> nn.Module:
        """By ``distil``; Adam and its settings are the library's defaults."""
        teacher = self.model("sage-2") if name == STUDENT else None
        method = "none" if teacher is None else "glnn"
        settings = {} if teacher is None else {"batch_size": 4096 if len(self.x) > _MANY else 512}  # as published
        fresh = self._fresh(name, 0.5 if teacher is None else student_recipe("mlp", self.name).dropout)
        about = {"dataset": self.name, "model": name, "method": method, "seed": self.seed, "epochs": self.epochs}
        about |= settings

        def train(place: Place) -> tuple[Distilled, Row]:
            given = self.given
            asked = {"task": given.task, "epochs": self.epochs, "seed": self.seed, **settings}
            return place.distil(method, fresh, teacher, given.data, **asked)

        return shared_model(about, fresh, train, self._place, self._runs).model


class Stored:
    """A scene as it was saved, of which only what is asked for is read: what a process of its own measures."""

    def __init__(self, folder: Path, features: int, classes: int) -> None:
        self.folder, self._features, self.classes = folder, features, classes

    @cached_property
    def x(self) -> Tensor:
        """(N, F)."""
        return torch.from_numpy(self._array("x"))

    @cached_property
    def edge_index(self) -> Tensor:
        """(2, E)."""
        return torch.from_numpy(self._array("edge_index"))

    @cached_property
    def graph(self) -> Neighbourhoods:
        """The index, without the edges that it was made of."""
        nodes = len(np.load(self.folder / "x.npy", mmap_mode="r", allow_pickle=False))  # whose rows are not read
        return Neighbourhoods(self._array("edge_index"), nodes)

    @cached_property
    def held_out(self) -> Numbers:
        """See ``Scene``."""
        return self._array("held_out")

    @cached_property
    def hidden(self) -> Tensor:
        """See ``Scene``."""
        return torch.from_numpy(self._array("hidden"))

    @cached_property
    def answers(self) -> Numbers:
        """See ``Scene``."""
        return self._array("answers")

    @cached_property
    def student_hidden(self) -> Tensor:
        """See ``Scene``."""
        return torch.from_numpy(self._array("student_hidden"))

    def model(self, name: str) -> nn.Module:
        """A model with the weights that were saved."""
        return Distilled.load(self.folder / name, built(name, self._features, self.classes)).model

    def file(self, name: str) -> Path:
        """An exported file."""
        return self.folder / name

    def _array(self, name: str) -> Any:
        return np.load(self.folder / f"{name}.npy", allow_pickle=False)
