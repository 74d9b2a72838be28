"""The ways to answer a query about nodes that are compared: scenario, system, model, and what is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.utils import k_hop_subgraph

from benchmarks.rows import Row
from benchmarks.serve.graphs import Numbers
from benchmarks.serve.layers import by_layers, one_layer
from benchmarks.serve.scenes import STUDENT, Scene, layers_of
from graphkd.serving import Form, Neighbourhood, NumpyMLP

FULL, LAYERS, PYG = "full", "full, by layers", "full, PyG k_hop_subgraph"
EAGER = "features"
TOLERANCE = 1e-5
_CHUNK = 256  # nodes that are judged at a time
Make = Callable[[Any, int], Form]  # a scene (or what was saved of one) and threads -> a form


@dataclass(frozen=True)
class Entry:
    """One way to answer.

    fetch: what is gathered for a query, in words. exact: whether answers must be the model's own on the whole graph; of
    draws of neighbours and of int8 they are not. parts: what it holds in memory, names of a scene.
    """

    scenario: str
    system: str
    model: str
    fetch: str
    make: Make
    parts: tuple[str, ...]
    exact: bool = True

    @property
    def name(self) -> str:
        """Its four words."""
        return f"{self.scenario}, {self.system}, {self.model}, {self.fetch}"

    def about(self) -> Row:
        """What its rows begin with."""
        return {"scenario": self.scenario, "system": self.system, "model": self.model, "fetch": self.fetch}


def entries() -> list[Entry]:
    """All ways, the eager student first, which ratios are against."""
    return [*_students(), *_teachers(), *_kept()]


def _students() -> Iterator[Entry]:
    student = partial(Entry, "fresh", "student")
    yield student(STUDENT, EAGER, lambda scene, _: Form.of(scene.model(STUDENT), scene), ("x",))
    runner: Make = lambda scene, _: Form.of(NumpyMLP.of(scene.model(STUDENT)), scene)  # noqa: E731
    yield student(f"{STUDENT} numpy", EAGER, runner, ("x",))
    for name, file in (("onnx", "student.onnx"), ("onnx int8", "student-int8.onnx")):
        yield student(f"{STUDENT} {name}", EAGER, partial(_of_file, file), ("x",), exact="int8" not in name)


def _teachers() -> Iterator[Entry]:
    teacher = partial(Entry, "fresh", "teacher", parts=("x", "graph"))
    for model, fan_outs in (("sage-2", (15, 10)), ("sage-3", (15, 10, 5)), ("gcn-2", (15, 10)), ("gat-2", (15, 10))):
        drawn = "-".join(map(str, fan_outs))
        yield teacher(model, FULL, partial(_fetched, model, {"hops": len(fan_outs)}))
        yield teacher(model, LAYERS, partial(_by_layers, model, {"hops": len(fan_outs)}))
        yield teacher(model, drawn, partial(_fetched, model, {"fan_outs": fan_outs}), exact=False)
        if model.startswith("sage"):
            how = partial(_by_layers, model, {"fan_outs": fan_outs})
            yield teacher(model, f"{drawn}, by layers", how, exact=False)
    yield teacher("sage-2", PYG, partial(_by_pyg, "sage-2"), parts=("x", "edge_index"))


def _kept() -> Iterator[Entry]:
    yield Entry("static", "teacher", "sage-2", "hidden layer kept, 1 hop", _hidden_kept, ("hidden", "graph"))
    yield Entry("static", "student", STUDENT, "hidden layer kept", _student_kept, ("student_hidden",))
    yield Entry("table", "teacher", "sage-2", "answers kept", _answers_kept, ("answers",))


def _of_file(file: str, scene: Any, threads: int) -> Form:
    return Form.of(scene.file(file), scene, threads=threads)


def _fetched(model: str, how: Any, scene: Any, _: int) -> Form:
    return Form.of(scene.model(model), scene, partial(scene.graph.fetch, **how))


def _by_layers(model: str, how: Any, scene: Any, _: int) -> Form:
    net, x, graph = scene.model(model), scene.x, scene.graph

    def gather(ids: Numbers) -> tuple[Tensor, Neighbourhood]:
        around = graph.fetch(ids, **how)
        return x[around.nodes], around

    return Form(gather, lambda given: _finished(by_layers(net, *given)), _edges_of)


def _by_pyg(model: str, scene: Any, _: int) -> Form:
    """PyG's own tools, which look at all edges in every hop of every query."""
    net, x, edge_index, hops = scene.model(model), scene.x, scene.edge_index, layers_of(model)

    def gather(ids: Numbers) -> tuple[Tensor, Tensor, Tensor]:
        options = {"relabel_nodes": True, "num_nodes": len(x)}
        nodes, edges, place, _ = k_hop_subgraph(torch.from_numpy(ids), hops, edge_index, **options)
        return x[nodes], edges, place

    compute = torch.no_grad()(lambda given: _finished(net(given[0], given[1])[given[2]]))
    return Form(gather, compute, lambda given: int(given[1].size(1)))


def _hidden_kept(scene: Any, _: int) -> Form:
    """The last layer over one hop of rows that were computed when features were last seen."""
    net, hidden, graph = scene.model("sage-2"), scene.hidden, scene.graph
    last = net.convs[-1]

    def gather(ids: Numbers) -> tuple[Tensor, Neighbourhood]:
        around = graph.fetch(ids, 1)
        return hidden[around.nodes], around

    @torch.no_grad()
    def compute(given: tuple[Tensor, Neighbourhood]) -> Numbers:
        rows, around = given
        return _finished(
            one_layer(last, rows, around, around.edge_index.size(1), int(around.place.max()) + 1)[around.place]
        )

    return Form(gather, compute, _edges_of)


def _student_kept(scene: Any, _: int) -> Form:
    """The student's last layer, by numpy, over rows that were computed when features were last seen."""
    rest = NumpyMLP.of(nn.Sequential(scene.model(STUDENT).lins[-1]).eval())
    return Form.of(rest, _Features(scene.student_hidden))


def _answers_kept(scene: Any, _: int) -> Form:
    answers = scene.answers
    return Form(lambda ids: answers[ids], lambda given: given, lambda _: 0)


@dataclass(frozen=True)
class _Features:
    """What ``Form.of`` reads features from."""

    x: Tensor


def _finished(answers: Tensor) -> Numbers:
    return answers.softmax(-1).numpy()


def _edges_of(given: Any) -> int:
    return int(given[1].edge_index.size(1))


def size_of(given: Any) -> tuple[int, int]:
    """Rows of features that a query gathered, and bytes of all it did: features, edges and numbers of nodes."""
    parts = [given] if isinstance(given, (Tensor, np.ndarray)) else list(given)
    whole: list[Any] = []
    for part in parts:
        known = isinstance(part, Neighbourhood)
        whole += [part.nodes, part.edge_index, part.place, part.found] if known else [part]
    return len(parts[0]), sum(each.nbytes for each in whole)


# ---------------------------------------------------------------- correctness and quality, before any clock runs
def compared(entry: Entry, form: Form, wanted: Tensor, ids: Numbers) -> Row:
    """How far a form's answers are from ``wanted``, those of its model on the whole graph.

    RuntimeError where they must be those and are not.
    """
    reference, found = wanted.numpy(), form(ids)
    difference = float(np.abs(found - reference).max())
    if entry.exact and not difference <= TOLERANCE:
        raise RuntimeError(
            f"{entry.name} must answer as the model does on the whole graph, to {TOLERANCE:g}, got probabilities that "
            f"differ by {difference:.3g}: its times would be of something else"
        )
    same = float((found.argmax(1) == reference.argmax(1)).mean())
    return {"largest_difference": difference, "same_class": same}


def quality(entry: Entry, form: Form, scene: Scene) -> float | None:
    """Accuracy on the test nodes, in the form itself where it is not exact; None where nothing was trained."""
    if not scene.trained:
        return None
    test, labels = scene.given.test, scene.given.labels
    assert test is not None
    assert labels is not None
    if entry.exact:
        return _of_model(scene, plain(entry.model))
    return _right((form(part).argmax(1) for part in _parts(test)), test, labels)


@lru_cache(maxsize=16)
def _of_model(scene: Scene, model: str) -> float:
    test, labels = scene.given.test, scene.given.labels
    assert test is not None
    assert labels is not None
    return _right([scene.reference(model, test).argmax(1).numpy()], test, labels)


def _parts(ids: Numbers) -> Sequence[Numbers]:
    return [ids[begin : begin + _CHUNK] for begin in range(0, len(ids), _CHUNK)]


def _right(guesses: Any, test: Numbers, labels: Numbers) -> float:
    return float((np.concatenate(list(guesses)) == labels[test]).mean())


def plain(model: str) -> str:
    """The model without the engine that runs it."""
    return model.partition(" ")[0]
