"""Data sets of further tasks as one seed sees them: what trains, the task that judges, and how models are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from benchmarks.graph.recipes import Recipe
from benchmarks.graph.scene import options_of
from benchmarks.graph.task_models import built, hidden_of
from benchmarks.rows import Row
from benchmarks.runs import Place, shared_model
from datasets.debian import debian, debian_tags, debian_types
from datasets.link_splits import link_split
from datasets.molecules import Graphs, nci1, proteins, solubility
from datasets.planetoid import planetoid
from datasets.wordnet import wordnet, wordnet_types
from graphkd.core.distilled import Distilled
from graphkd.core.rng import seeded
from graphkd.core.task import Task
from graphkd.loaders import neighbour_loader
from graphkd.tasks import (
    GraphClassification,
    GraphRegression,
    LinkPrediction,
    MultiLabelNodeClassification,
    NodeClassification,
)

KINDS = {
    "node": "node_classification",
    "multi-label": "multi_label_node_classification",
    "graph": "graph_classification",
    "graph-regression": "graph_regression",
    "link": "link_prediction",
    "hetero": "node_classification",
}
GRAPHS = 64  # a batch


@dataclass(frozen=True)
class Loaded:
    """What a seed trains on, as it is looked at by models too; the task; how wide answers are."""

    data: Any
    example: Any
    task: Task
    answers: int


def _nodes(whole: Data, task: type, *, inductive: bool, answers: int, **options: Any) -> Loaded:
    new = {"evaluate_on": whole, "new": whole.new_mask} if inductive else {}
    seen = whole.subgraph(~whole.new_mask) if inductive else whole
    return Loaded(seen, seen, task(**new, **options), answers)


def _node_set(load: Callable[..., Data]) -> Callable[[int, bool], Loaded]:
    def made(seed: int, inductive: bool) -> Loaded:
        whole = load(seed)
        metrics = ("accuracy", "macro_f1")
        return _nodes(whole, NodeClassification, inductive=inductive, answers=int(whole.y.max()) + 1, metrics=metrics)

    return made


def _tags(seed: int, inductive: bool) -> Loaded:
    whole = debian_tags(seed)
    return _nodes(whole, MultiLabelNodeClassification, inductive=inductive, answers=whole.y.size(1))


def _graphs(load: Callable[..., Graphs], task: type, answers: int) -> Callable[[int, bool], Loaded]:
    def made(seed: int, inductive: bool) -> Loaded:  # noqa: ARG001 - test graphs are new
        parts = load(seed)
        val, test = (DataLoader(part, 4 * GRAPHS) for part in (parts.val, parts.test))
        train = DataLoader(parts.train, GRAPHS, shuffle=True)
        return Loaded(train, parts.train[0], task(val=val, test=test), answers)

    return made


def _links(load: Callable[[], Data]) -> Callable[[int, bool], Loaded]:
    def made(seed: int, inductive: bool) -> Loaded:  # noqa: ARG001 - nodes are all seen
        parts = link_split(load(), seed)
        metrics = ("hits@20", "auc", "average_precision")
        task = LinkPrediction(val=parts.val, test=parts.test, metrics=metrics)
        return Loaded(parts.train, parts.train, task, WIDTHS["link"])

    return made


def _types(load: Callable[[int], Any], kind: str) -> Callable[[int, bool], Loaded]:
    def made(seed: int, inductive: bool) -> Loaded:  # noqa: ARG001 - the whole graph trains
        data = load(seed)
        task = NodeClassification(node_type=kind, metrics=("accuracy", "macro_f1"))
        return Loaded(data, data, task, int(data[kind].y.max()) + 1)

    return made


WIDTHS = {"link": 128}  # of what stands for answers, where these are embeddings
# Task -> data set -> what a seed sees, in the inductive setting or not.
SETS: Mapping[str, Mapping[str, Callable[[int, bool], Loaded]]] = {
    "node": {
        "wordnet": _node_set(wordnet),
        "wordnet-words": _node_set(partial(wordnet, words=True)),
        "debian": _node_set(debian),
        "debian-random": _node_set(partial(debian, by_source=False)),
        "debian-words": _node_set(partial(debian, words=True)),
    },
    "multi-label": {"debian-tags": _tags},
    "graph": {
        "nci1": _graphs(nci1, GraphClassification, 2),
        "proteins": _graphs(proteins, GraphClassification, 2),
    },
    "graph-regression": {"solubility": _graphs(solubility, GraphRegression, 1)},
    "link": {
        "cora": _links(partial(planetoid, "Cora")),
        "citeseer": _links(partial(planetoid, "CiteSeer")),
        "wordnet": _links(wordnet),
    },
    "hetero": {"debian-types": _types(debian_types, "package"), "wordnet-types": _types(wordnet_types, "n")},
}

# The settings of the data sets' own baselines, but for links, where rate and dropout were chosen on validation pairs.
_NODES = Recipe(hidden=96, dropout=0.5, epochs=60)
TEACHERS: Mapping[str, Recipe] = {
    "node": _NODES,
    "multi-label": replace(_NODES, epochs=100),
    "hetero": replace(_NODES, hidden=64),
    "link": Recipe(hidden=128, dropout=0.5, lr=0.003, weight_decay=0.0, epochs=200),
    "graph": Recipe(hidden=48, dropout=0.0, lr=0.005, weight_decay=0.0, epochs=40),
    "graph-regression": Recipe(hidden=64, dropout=0.0, lr=0.005, weight_decay=0.0, epochs=40),
}
STUDENTS: Mapping[str, Recipe] = {
    "node": Recipe(hidden=512, dropout=0.1, lr=0.003, weight_decay=0.0, epochs=30),
    "multi-label": Recipe(hidden=512, dropout=0.1, lr=0.003, weight_decay=0.0, epochs=30),
    "hetero": Recipe(hidden=512, dropout=0.1, lr=0.003, weight_decay=0.0, epochs=30),
    "link": Recipe(hidden=128, dropout=0.5, lr=0.003, weight_decay=0.0, epochs=200),
    "graph": Recipe(hidden=48, dropout=0.0, lr=0.005, weight_decay=0.0, epochs=40),
    "graph-regression": Recipe(hidden=64, dropout=0.0, lr=0.005, weight_decay=0.0, epochs=40),
}


class TaskScene:
    """A data set as one seed sees it. Students of nodes learn from batches where ``batch`` says how large."""

    def __init__(
        self,
        name: str,
        dataset: str,
        seed: int,
        *,
        student: str,
        teacher: str,
        inductive: bool = False,
        batch: int | None = None,
        epochs: int | None = None,
        runs: Any = None,
    ) -> None:
        self.name, self.seed, self.runs, self.epochs = name, seed, runs, epochs
        self.kinds = student, teacher
        loaded = SETS[name][dataset](seed, inductive)
        self.data, self.example, self.answers = loaded.data, loaded.example, loaded.answers
        self.task: Any = loaded.task
        self.batches = self.data
        if batch is not None and isinstance(self.data, Data) and name in ("node", "multi-label"):
            self.batches = neighbour_loader(self.data, [0], None, batch_size=batch, shuffle=True)
            self.task = replace(self.task, evaluate_on=self.task.evaluate_on or self.data)
        self.about: Row = {"dataset": dataset, "task": name, "kind": teacher, "seed": seed, "inductive": inductive}
        self.hidden = tuple(hidden_of(name, kind, self.example) for kind in self.kinds)
        self._teacher: Distilled | None = None

    def student(self) -> nn.Module:
        """A new student with weights of the seed."""
        return self._built(self.kinds[0], STUDENTS[self.name])

    def training(self, recipe: Recipe) -> dict[str, Any]:
        """Options of ``distil``: the recipe's, with the epochs that were asked for."""
        return options_of(recipe.training() | ({} if self.epochs is None else {"epochs": self.epochs}))

    def teacher(self, place: Place) -> Distilled:
        """The teacher, which learns the labels of the whole graph at once."""
        if self._teacher is None:
            recipe = TEACHERS[self.name]
            model = self._built(self.kinds[1], recipe)
            options = {**self.training(recipe), "seed": self.seed, "task": self.task}
            train = partial(_on_labels, model=model, data=self.data, options=options)
            self._teacher = shared_model({**self.about, "epochs": self.epochs}, model, train, place, self.runs)
        return self._teacher

    def _built(self, kind: str, recipe: Recipe) -> nn.Module:
        with seeded(self.seed):
            return built(self.name, kind, self.example, self.answers, width=recipe.hidden, dropout=recipe.dropout)


def _on_labels(place: Place, model: nn.Module, data: Any, options: Mapping[str, Any]) -> tuple[Distilled, Row]:
    return place.distil("none", model, None, data, **options)
