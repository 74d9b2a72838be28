"""Recommenders as one graph from ids to lists, for ONNX Runtime and for torch without this library; each is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.files import replacing
from graphkd.serving.onnx_packages import needed, quiet
from recsys.models.base import Recommender
from recsys.models.tables import tables_of

INPUTS: Mapping[str, tuple[str, ...]] = {"users": ("users",), "histories": ("sequences", "lengths")}
_ROWS = 5  # of the batch on which a graph is checked


class TopItems(nn.Module):
    """Return the best k items of a model that scores all items.

    Called with the inputs of ``model``, which must return scores (B, num_items), and with ``left_out`` (B, S): items
    that are not recommended to a row, S at least 1, filled up with -1. Returns items (B, k), best first, and their
    scores (B, k); where fewer are left, items are -1 and scores minus infinity. padding: item 0 is never recommended.
    """

    def __init__(self, model: nn.Module, k: int, *, padding: bool) -> None:
        super().__init__()
        self.model, self.k, self.padding = model, k, padding

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best items; ``inputs`` are those of the model, then ``left_out``."""
        *given, left_out = inputs
        scores = F.pad(self.model(*given), (0, 1))  # a spare column, to which -1 in ``left_out`` points
        scores = scores.scatter(1, torch.where(left_out < 0, scores.size(1) - 1, left_out), -torch.inf)[:, :-1]
        if self.padding:
            scores = torch.cat([torch.full_like(scores[:, :1], -torch.inf), scores[:, 1:]], dim=1)
        best = scores.topk(self.k, dim=1)
        return best.indices.masked_fill(best.values == -torch.inf, -1), best.values


class _ByTables(nn.Module):
    """Score all items by two tables, without checking ids."""

    user: Tensor
    item: Tensor

    def __init__(self, user: Tensor, item: Tensor) -> None:
        super().__init__()
        self.register_buffer("user", user)
        self.register_buffer("item", item)

    def forward(self, users: Tensor) -> Tensor:
        return self.user.index_select(0, users) @ self.item.T


def kind_of(model: nn.Module) -> str:
    """Name the inputs of a model's graph: "users", row numbers, or "histories", sequences (B, L) and lengths (B,)."""
    if isinstance(model, Recommender):
        return "users"
    if isinstance(getattr(model, "max_length", None), int) and isinstance(getattr(model, "num_items", None), int):
        return "histories"
    raise TypeError(
        "'model' must be a recommender with tables, or a module of sequences (B, L) and lengths (B,) that has "
        f"'num_items' and 'max_length', as recsys.models.SASRec, got {type(model).__name__}"
    )


def to_onnx(model: nn.Module, path: str | Path, k: int = 20) -> dict[str, Any]:
    """Write a model as an ONNX graph from ids to its best k items, see ``TopItems``, and check it against eager torch.

    model: a recommender with tables, whose graph takes ``users`` (B,) int64, or a sequential one, whose graph takes
    ``sequences`` (B, L), padded with 0 on the right, and ``lengths`` (B,). Both also take ``left_out`` (B, S). B and S
    are variable, L is the model's ``max_length``. Returns the entries for the card: inputs, k, and the largest
    difference of scores. Raises ImportError that names missing packages, ``pip install "graphkd[onnx]"``; RuntimeError
    where ONNX Runtime gives other lists than torch.

    Example::

        to_onnx(student, "student.onnx", k=20)
        lists, scores = onnxruntime.InferenceSession("student.onnx").run(None, {"users": users, "left_out": seen})
    """
    runtime, _ = needed("onnxruntime"), [needed(name) for name in ("onnx", "onnxscript")]
    graph, batch, names, free = _traced(model, k)
    with quiet():
        program = torch.onnx.export(
            graph,
            batch,
            input_names=names,
            output_names=["items", "scores"],
            dynamic_shapes=(free,),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    written = program.model_proto.SerializeToString()
    session = runtime.InferenceSession(written, providers=["CPUExecutionProvider"])

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        given = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        return [torch.from_numpy(found) for found in session.run(None, given)]

    difference = _compared("ONNX Runtime", graph, run, model)
    _write(path, written)
    return {"inputs": names, "k": graph.k, "largest_difference": difference}


def to_program(model: nn.Module, path: str | Path, k: int = 20) -> dict[str, Any]:
    """Write a model by ``torch.export`` as a graph from ids to its best k items, and check it against eager torch.

    Otherwise as ``to_onnx``; ``torch.export.load(path).module()`` runs it without this library.
    """
    graph, batch, names, free = _traced(model, k)
    with quiet():
        program = torch.export.export(graph, batch, dynamic_shapes=(free,))
        module = program.module()
    difference = _compared("the exported program", graph, lambda inputs: list(module(*inputs)), model)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.export.save(program, file)
    return {"inputs": names, "k": graph.k, "largest_difference": difference}


def _traced(model: nn.Module, k: int) -> tuple[TopItems, tuple[Tensor, ...], list[str], tuple[dict[int, Any], ...]]:
    """Return the graph's module on the CPU, a batch for it, names of its inputs, and which of their sizes vary."""
    kind = kind_of(model)
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"'k' must be at least 1, got {k!r}")
    items = int(model.num_items)  # type: ignore[arg-type]
    scorer = deepcopy(model) if kind == "histories" else _ByTables(*tables_of(model).tables())  # type: ignore[arg-type]
    graph = TopItems(scorer.cpu(), min(k, items), padding=bool(getattr(model, "padding", False))).eval()
    rows, left = torch.export.Dim("rows"), torch.export.Dim("left", min=1)
    free: list[dict[int, Any]] = [{0: rows} for _ in INPUTS[kind]]
    return graph, batch_of(model, _ROWS), [*INPUTS[kind], "left_out"], (*free, {0: rows, 1: left})


def batch_of(model: nn.Module, rows: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Draw random inputs of a model's graph, to trace and to check it."""
    random = torch.Generator().manual_seed(seed)
    first, items = int(getattr(model, "padding", False)), int(model.num_items)  # type: ignore[arg-type]

    def draw(least: int, most: int, *shape: int) -> Tensor:
        return torch.randint(least, max(most, least + 1), shape, generator=random)

    left_out = draw(-1, items, rows, 3)
    if kind_of(model) == "users":
        return draw(first, int(model.num_users), rows), left_out  # type: ignore[arg-type]
    length = int(model.max_length)  # type: ignore[arg-type]
    lengths = draw(1, length + 1, rows)
    return draw(first, items, rows, length) * (torch.arange(length) < lengths[:, None]), lengths, left_out


def _compared(
    what: str, graph: TopItems, run: Callable[[Sequence[Tensor]], Sequence[Tensor]], model: nn.Module
) -> float:
    """Return the largest difference of scores from eager torch; RuntimeError where lists differ by more than ties."""
    largest = 0.0
    for seed, rows in ((1, 1), (2, _ROWS), (3, 8 * _ROWS)):
        batch = batch_of(model, rows, seed)
        with torch.no_grad():
            items, scores = graph(*batch)
            others, found = run(batch)
        finite = scores.isfinite()
        near = 1e-4 * max(float(scores[finite].abs().max()) if bool(finite.any()) else 0.0, 1e-6)
        gap = (scores - found)[finite].abs()
        tied = torch.zeros_like(finite)
        steps = scores.diff(dim=1).abs() < near
        tied[:, 1:] |= steps
        tied[:, :-1] |= steps
        tied[:, -1:] = True  # the next item, beyond the list, may have the same score
        if (
            not torch.equal(finite, found.isfinite())
            or bool((gap > near).any())
            or bool(((items != others) & ~tied).any())
        ):
            raise RuntimeError(
                f"{what} must give the lists that torch gives, got others for {rows} rows: its release may be at "
                "fault, see constraints.txt for one that was tried"
            )
        largest = max(largest, float(gap.max()) if gap.numel() else 0.0)
    return largest


def _write(path: str | Path, content: bytes) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(content)
