"""Answer queries by a model: node ids in, class probabilities out, in two steps that are timed separately."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor, nn

from graphkd.core.distilled import Distilled
from graphkd.core.lazy import lacks_shapes
from graphkd.core.wrappers import unwrapped
from graphkd.serving.fetched import asked, check_local
from graphkd.serving.neighbourhoods import Neighbourhood, Neighbourhoods
from graphkd.serving.onnx_packages import needed

Fetch = None | int | Sequence[int] | Callable[[Any], Neighbourhood]
Finish = Literal["softmax", "sigmoid", "none"]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Form:
    """Answer queries in two steps, gathering and computing, which are timed separately.

    gather: ids (B,) -> the model's inputs from memory: rows of features, for a GNN with the neighbourhood. compute:
    these inputs -> probabilities (B, C) as numpy. reach: these inputs -> their number of edges.

    Example::

        >>> form = Form.of(teacher, data, fetch=2)
        >>> around = form.gather(np.array([3, 17]))
        >>> form.compute(around).shape, form.reach(around) > 0
        ((2, 3), True)
    """

    gather: Callable[[Array], Any]
    compute: Callable[[Any], Array]
    reach: Callable[[Any], int]

    def __call__(self, ids: Array) -> Array:
        """Answer a query."""
        return self.compute(self.gather(ids))

    @classmethod
    def of(
        cls,
        model: Any,
        data: Any,
        fetch: Fetch = None,
        *,
        finish: Finish = "softmax",
        margin: int = 0,
        threads: int = 1,
    ) -> Self:
        """Make a form of a model; the index of edges and a session are built here, outside the timed query.

        Args:
            model: a module on the CPU in eval mode, or the result of ``distil``; a function of numpy rows, e.g. a
                ``NumpyMLP``; or the path of an ONNX file with one input, for ONNX Runtime.
            data: ``x`` (N, F), and unless ``fetch`` is a function or None ``edge_index``, as PyG's ``Data``.
            fetch: how a GNN's neighbourhood is fetched: the number of hops, a list of fan-outs, or a function
                ids -> ``Neighbourhood``; None for a model of features alone.
            finish: the function from answers to probabilities, "softmax", "sigmoid" or "none"; a part of each query.
            margin: see ``answer_fetched``.
            threads: of ONNX Runtime's session.

        Raises TypeError or ValueError for a model that cannot answer such queries: in training mode, not on the CPU,
        with edges but without ``fetch``, or of another kind.
        """
        if finish not in get_args(Finish):
            raise ValueError(f"'finish' must be one of {get_args(Finish)}, got {finish!r}")
        x = _features(data)
        model = model.model if isinstance(model, Distilled) else model
        if isinstance(model, nn.Module):
            model = _checked(unwrapped(model), fetch)
            return cls(
                *(_of_rows(model, x, finish) if fetch is None else _of_graph(model, data, fetch, finish, margin))
            )
        if fetch is not None:
            raise TypeError(f"'fetch' is for a torch module that takes edges, got {type(model).__name__}: leave it out")
        run = _session(model, threads) if isinstance(model, (str, Path)) else model
        if not callable(run):
            raise TypeError(
                f"'model' must be a torch module, a function of numpy rows, or the path of an ONNX file, got "
                f"{type(model).__name__}"
            )
        rows, last = x.numpy(), _FINISHES[finish]
        return cls(lambda ids: rows[ids], lambda given: last(run(given)), _no_edges)


def _of_rows(model: nn.Module, x: Tensor, finish: Finish) -> tuple[Callable, Callable, Callable]:
    last = _TORCH[finish]
    return lambda ids: x[torch.from_numpy(ids)], torch.no_grad()(lambda given: last(model(given)).numpy()), _no_edges


def _of_graph(
    model: nn.Module, data: Any, fetch: Any, finish: Finish, margin: int
) -> tuple[Callable, Callable, Callable]:
    x, find, last = data.x, _finder(data, fetch), _TORCH[finish]
    check_local(model, x, _neighbourhood(find(np.zeros(1, np.int64))), {}, margin)

    def gather(ids: Array) -> tuple[Tensor, Neighbourhood]:
        around = find(ids)
        return x[around.nodes], around

    return (
        gather,
        torch.no_grad()(lambda given: last(asked(model, given[0], given[1], None, margin)).numpy()),
        lambda given: int(given[1].edge_index.size(1)),
    )


def _finder(data: Any, fetch: Any) -> Callable[[Array], Neighbourhood]:
    if callable(fetch):
        return fetch
    graph = Neighbourhoods(data.edge_index, int(data.x.size(0)))
    if isinstance(fetch, int):
        return lambda ids: graph.fetch(ids, fetch)
    if not isinstance(fetch, (list, tuple)):
        raise TypeError(
            f"'fetch' must be a number of hops, a list of fan-outs, or a function of ids, got {type(fetch).__name__}"
        )
    return lambda ids: graph.fetch(ids, fan_outs=fetch)


def _neighbourhood(found: Any) -> Neighbourhood:
    if not isinstance(found, Neighbourhood):
        raise TypeError(f"'fetch' must give a Neighbourhood, as Neighbourhoods.fetch does, got {type(found).__name__}")
    return found


def _features(data: Any) -> Tensor:
    x = getattr(data, "x", None)
    if not isinstance(x, Tensor) or x.dim() != 2 or x.device.type != "cpu" or x.layout != torch.strided:
        got = f"{x.layout} {tuple(x.shape)} on {x.device}" if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"'data' must have features 'x', a dense tensor (N, F) on the CPU, got {got}")
    return x.detach()


def _checked(model: nn.Module, fetch: Fetch) -> nn.Module:
    if lacks_shapes(model):
        raise TypeError(f"{type(model).__name__} has layers without widths yet: call it once")
    if training := [path for path, part in model.named_modules() if part.training]:
        raise ValueError(
            f"{type(model).__name__} must be in eval mode, its {training[0]!r} is training: give model.eval()"
        )
    if any(each.device.type != "cpu" for each in (*model.parameters(), *model.buffers())):
        raise ValueError(f"{type(model).__name__} must be on the CPU, where queries are timed: give model.cpu()")
    wanted = inspect.signature(model.forward).parameters
    if fetch is None and "edge_index" in wanted and wanted["edge_index"].default is inspect.Parameter.empty:
        raise ValueError(f"{type(model).__name__} takes edges: say by 'fetch' how many hops are fetched for a query")
    return model


def _session(path: str | Path, threads: int) -> Callable[[Array], Array]:
    runtime = needed("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    if len(names) != 1:
        raise ValueError(f"{str(path)!r} must take features alone, it takes {names}")
    return lambda rows: session.run(None, {names[0]: rows})[0]


def _no_edges(_: Any) -> int:
    return 0


def _softmax(x: Array) -> Array:
    found: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    found /= found.sum(axis=-1, keepdims=True)
    return found


def _sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), by tanh, which does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


_FINISHES: dict[Finish, Callable[[Array], Array]] = {"softmax": _softmax, "sigmoid": _sigmoid, "none": lambda x: x}
_TORCH: dict[Finish, Callable[[Tensor], Tensor]] = {
    "softmax": lambda x: x.softmax(-1),
    "sigmoid": torch.sigmoid,
    "none": lambda x: x,
}
