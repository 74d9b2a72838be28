"""Costs of students, measured before any training: the time of a query, alternating between all students."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing

from graphkd.compressing.budget import Costs
from graphkd.compressing.sparse_input import SparseInput
from graphkd.compressing.students import takes_edges
from graphkd.core.batches import first_batch, on_device
from graphkd.core.by_name import entry, names
from graphkd.core.lazy import give_shapes
from graphkd.core.modes import evaluating
from graphkd.core.rng import seeded
from graphkd.core.task import Task
from graphkd.core.view import Call, Viewer
from graphkd.core.wrappers import plain_state, unwrapped
from graphkd.serving.forms import Finish, Form
from graphkd.serving.numpy_mlp import NumpyMLP
from graphkd.serving.timing import Latency, latencies

QUERIES = 500
_SPARSE = 0.1  # share of non-zero features below which rows count as sparse
_FINISH: Mapping[str, Finish] = {"node_classification": "softmax", "multi_label_node_classification": "sigmoid"}
NODES = (*_FINISH, "regression")  # tasks with one node per query

Measure = Callable[[Mapping[str, nn.Module]], Mapping[str, Costs]]


def measure_by(data: Any, task: Task, call: Call | None, latency: Callable[[nn.Module], float] | None) -> Measure:
    """Make the measure of students: on a graph by queries of one node each, else by the first batch of the data.

    latency: the user's measure, module -> milliseconds, or None.
    """
    with seeded(0):  # reading a loader draws random numbers
        batch = on_device(first_batch(data), torch.device("cpu"))
    if latency is not None:
        return partial(_by_function, latency, batch, call)
    x = batch["x"] if names(data) is not None and "x" in batch else None
    by_node = call is None and task.kind in NODES and getattr(task, "node_type", None) is None
    if not by_node or not isinstance(x, Tensor) or x.dim() != 2 or not x.is_floating_point():
        return lambda models: _by_batch(models, batch, call)
    graph = Data(x=x.detach() if x.layout == torch.strided else x.detach().to_dense())
    graph.edge_index = entry(batch, "edge_index")
    return lambda models: _by_node(models, graph, batch, _FINISH.get(task.kind, "none"))


def costs_of(model: nn.Module, milliseconds: float, form: str) -> Costs:
    """Collect the costs of a model."""
    state = [value for value in plain_state(model).values() if isinstance(value, Tensor)]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Costs(milliseconds, parameters, sum(value.nbytes for value in state) / 1e6, form)


def middle(told: Latency) -> float:
    """Return the median milliseconds of a query, by processor time if other work kept the machine busy."""
    return told.cpu_p50 if told.busy else told.p50


def _by_function(
    latency: Callable[[nn.Module], float], batch: Any, call: Call | None, models: Mapping[str, nn.Module]
) -> dict[str, Costs]:
    """Measure by the user's function, with models in eval mode."""
    ready = {name: _ready(model, batch, call).eval() for name, model in models.items()}
    return {name: costs_of(model, float(latency(model)), "given") for name, model in ready.items()}


def _by_batch(models: Mapping[str, nn.Module], batch: Any, call: Call | None) -> dict[str, Costs]:
    """Time one batch, since it is unknown how to query a single row."""
    forms = {}
    for name, model in models.items():
        plain = _ready(model, batch, call)
        forms[name] = _of_batch(Viewer(plain, call=call), batch)
    with evaluating(nn.ModuleList(models.values())):
        told = latencies(forms, np.arange(1), queries=QUERIES // 10)
    return {name: costs_of(models[name], middle(told[name]), "torch, a batch") for name in models}


def _of_batch(show: Viewer, batch: Any) -> Form:
    return Form(lambda _: batch, lambda given: show(given)["logits"].numpy(), lambda _: 0)


def _by_node(models: Mapping[str, nn.Module], graph: Data, batch: Any, finish: Finish) -> dict[str, Costs]:
    """Time a query of one node in every form that a model has, and return the fastest."""
    sparse = float(graph.x.count_nonzero()) < _SPARSE * graph.x.numel()
    forms = {}
    for name, model in models.items():
        plain = _ready(model, batch, None).eval()
        for form, made in _forms(name, plain, graph, finish, sparse=sparse):
            forms[name, form] = made
    named = {str(place): form for place, form in enumerate(forms.values())}
    told = latencies(named, np.arange(graph.x.size(0)), queries=QUERIES)
    times = {key: middle(told[str(place)]) for place, key in enumerate(forms)}
    found = {}
    for name, model in models.items():
        own = {form: time for (owner, form), time in times.items() if owner == name}
        fastest = min(own, key=lambda form: own[form])
        found[name] = costs_of(model, own[fastest], fastest)
    return found


def _forms(name: str, model: nn.Module, graph: Data, finish: Finish, *, sparse: bool) -> list[tuple[str, Form]]:
    """List the forms in which a model may answer a query."""
    plain = unwrapped(model)
    if takes_edges(plain):
        hops = sum(isinstance(part, MessagePassing) for part in plain.modules())
        try:
            return [(f"torch, {hops} hops", Form.of(plain, graph, hops, finish=finish))]
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"the student {name!r} cannot be timed by queries of a node: {error}; give 'latency', a function of a "
                "module to milliseconds"
            ) from error
    found = [("torch", Form.of(plain, graph, finish=finish))]
    try:
        runner = NumpyMLP.of(plain)
    except (TypeError, ValueError):  # not a chain of layers that numpy can run
        return found
    found.append(("numpy", Form.of(runner, graph, finish=finish)))
    if sparse and runner.steps[0].one is not None and runner.steps[0].one.ndim == 2:
        found.append(("numpy, sparse input", Form.of(SparseInput(runner), graph, finish=finish)))
    return found


def _ready(model: nn.Module, batch: Any, call: Call | None) -> nn.Module:
    """Return the model on the CPU, with lazy layers initialised."""
    with seeded(0):
        model.cpu()
        give_shapes(model, lambda: Viewer(model, call=call)(batch))
    return model
