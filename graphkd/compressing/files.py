"""Files of the command: read and check a graph, read a teacher's answers or weights, and write the student."""

from __future__ import annotations

import copy
import inspect
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch_geometric.data import Data

from graphkd.compressing.front import Front, Member
from graphkd.core.task import Task
from graphkd.core.wrappers import load_plain_state
from graphkd.loaders.files import read_graph
from graphkd.serving.exported import export
from graphkd.serving.numpy_mlp import NumpyMLP

_NEEDED = ("x", "edge_index", "y", "train_mask", "val_mask")
_MASKS = ("train_mask", "val_mask", "test_mask")


class Answers(nn.Module):
    """Teacher that returns recorded answers of nodes.

    logits: (N, C), in the order of the graph's nodes.
    """

    logits: Tensor

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, x: Tensor, n_id: Tensor | None = None) -> Tensor:
        """(B, F), node ids (B,) or None for all nodes -> (B, C). ValueError without ids for another number of rows."""
        if n_id is not None:
            return self.logits[n_id]
        if x.size(0) != self.logits.size(0):
            raise ValueError(f"recorded answers are of all {self.logits.size(0)} nodes, asked for are {x.size(0)}")
        return self.logits


def read_data(path: str | Path, task: Task) -> Data:
    """Read a graph for a task of nodes, ``.npz`` or ``.pt``, and check all entries that a compression reads.

    Entries: ``x`` (N, F), ``edge_index`` (2, E), ``y``, ``train_mask`` and ``val_mask`` (N,); optionally ``test_mask``
    (N,) and ``edge_weight`` (E,); see ``graphkd.loaders.read_graph``. No code in the file is run.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: it has another kind of graph.
        ValueError: entries are missing, of wrong shapes or not finite, or masks overlap; the message names them.
    """
    try:
        data = read_graph(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # zip, pickle and numpy have errors of their own for what is damaged
        raise ValueError(f"{path} must be a graph, .npz or .pt, and cannot be read: {error}") from error
    if not isinstance(data, Data):
        raise TypeError(f"{path} must hold a graph of one type of nodes, PyG's Data, got {type(data).__name__}")
    missing = [name for name in _NEEDED if name not in data]
    if missing:
        raise ValueError(f"{path} must have {list(_NEEDED)}, it lacks {missing} and has {sorted(data.keys())}")
    _check_entries(path, data)
    try:
        prepared = task.prepare(data)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    _check_masks(path, prepared)
    return data


def read_answers(path: str | Path, nodes: int) -> Answers:
    """Read a teacher's logits, (N, C) as ``numpy.save`` writes them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has something else, another number of rows, or entries that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with path.open("rb") as file:  # numpy leaves open what it cannot read
            array = np.load(file, allow_pickle=False)
    except Exception as error:  # numpy has many for what is damaged
        raise ValueError(f"{path} must hold logits (N, C) as numpy.save writes them: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.ndim != 2 or not array.shape[1]:
        what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise ValueError(f"{path} must hold logits (N, C), floating numbers, got {what}")
    if len(array) != nodes:
        raise ValueError(f"{path} must have a row for each of the graph's {nodes} nodes, got {len(array)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{path} must be finite, got {int((~np.isfinite(array)).sum())} entries that are not")
    return Answers(torch.from_numpy(array.astype(np.float32)))


def make_teacher(path: str, weights: str | Path | None) -> nn.Module:
    """Call a function by its dotted path, ``package.module:make``, and load weights (safetensors) into its module.

    Raises:
        TypeError: the function returns no module.
        ValueError: there is no such function, or the weights belong to another model.
        FileNotFoundError: there is no such file of weights.
    """
    module, _, name = path.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"a teacher is named by module, colon and function, 'package.module:make', got {path!r}")
    try:
        make = getattr(import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"there is no {path!r}: {error}; run the command where Python finds it") from error
    if not callable(make) or any(
        each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        for each in inspect.signature(make).parameters.values()
    ):
        raise ValueError(f"{path!r} must be a function without arguments that makes the teacher")
    model = make()
    if not isinstance(model, nn.Module):
        raise TypeError(f"{path!r} must make a torch module, it made {type(model).__name__}")
    if weights is not None:
        _load(model, Path(weights))
    return model.eval()


def write_student(front: Front, member: Member, data: Data, folder: str | Path) -> list[str]:
    """Write a student's weights and card, the report, and forms that run without this library; return the files' names.

    Files: ``model.safetensors`` and ``card.json`` for ``Distilled.load``, ``report.html``, ``student.pt2`` for
    ``torch.export.load``, and if the student is a chain of layers ``student.safetensors`` for ``NumpyMLP.load``.
    """
    folder = Path(folder)
    member.save(folder)
    front.report(folder / "report.html")
    names = ["card.json", "model.safetensors", "report.html", "student.pt2"]
    rows = data.x[:2] if data.x.layout == torch.strided else data.x.to_dense()[:2]
    needs = inspect.signature(member.model.forward).parameters
    example = {"x": rows} | ({"edge_index": torch.tensor([[0, 1], [1, 0]])} if "edge_index" in needs else {})
    export(member.model, example if "edge_index" in needs else rows, folder / "student.pt2")
    if str(member.card["form"]).startswith("numpy"):
        NumpyMLP.of(copy.deepcopy(member.model)).save(folder / "student.safetensors")
        names.append("student.safetensors")
    return names


def _load(model: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        load_plain_state(model, load(path.read_bytes()))
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} must hold the weights of {type(model).__name__}: {error}") from error


def _check_entries(path: str | Path, data: Data) -> None:
    x = data.x
    if x.dim() != 2 or not x.is_floating_point():
        raise ValueError(f"{path}: 'x' must be (N, F) numbers, got {x.dtype} {tuple(x.shape)}")
    values = x if x.layout == torch.strided else x.values()
    if not bool(values.isfinite().all()):
        raise ValueError(f"{path}: 'x' must be finite, got {int((~values.isfinite()).sum())} entries that are not")
    weight, edges = data.get("edge_weight"), data.edge_index.size(1)
    fits = isinstance(weight, Tensor) and weight.shape == (edges,) and bool(weight.isfinite().all())
    if weight is not None and not fits:
        got = tuple(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(f"{path}: 'edge_weight' must be ({edges},) finite numbers, got {got}")


def _check_masks(path: str | Path, prepared: Any) -> None:
    """Raise ValueError if parts are empty or share nodes."""
    masks = {name: prepared[name] for name in _MASKS if name in prepared}
    for name, mask in masks.items():
        if not bool(mask.any()):
            raise ValueError(f"{path}: {name!r} must select a node at least, it selects none")
    for one, other in combinations(masks, 2):
        shared = int((masks[one] & masks[other]).sum())
        if shared:
            raise ValueError(f"{path}: {one!r} and {other!r} must not overlap, they share {shared} nodes")
