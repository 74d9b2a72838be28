"""Graphs from files of one's own: arrays of numpy, PyG's data as torch saves them, edges and nodes as tables."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graphkd.core.archives import read_arrays

_SPARSE = ("x_indptr", "x_indices", "x_data")
_SPLITS = {"train": "train_mask", "val": "val_mask", "valid": "val_mask", "test": "test_mask"}
_LABEL, _SPLIT = ("y", "label"), "split"  # columns of a table of nodes that are not features


def read_graph(path: str | Path, nodes: str | Path | None = None) -> Data | HeteroData:
    """Read a graph from a file; nothing in it is run as code.

    Args:
        path: one of
            ``.npz``: arrays by PyG's names, ``edge_index`` (2, E), ``x`` (N, F) or compressed rows ``x_indptr``,
            ``x_indices``, ``x_data`` (with ``x_shape`` where last columns are empty), ``y``, ``train_mask`` and so on;
            other arrays are kept unchanged;
            ``.pt``: PyG's ``Data`` or ``HeteroData`` as ``torch.save`` writes it, or a mapping of tensors;
            ``.csv``: edges, two columns of node ids, source and target, under one line of names.
        nodes: for edges as ``.csv``, a table of nodes: the column of ids first, then features, which are numbers. A
            column ``y`` or ``label`` has the class, a number or a word, empty where it is not known; a column ``split``
            has ``train``, ``val``, ``test`` or nothing.

    Returns:
        The graph. From tables, ``node_names`` are the ids in the order of rows, ``class_names`` the classes in that of
        class ids.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the content does not fit; the message has the file and, for tables, the line.
        TypeError: a ``.pt`` file has neither a graph nor a mapping.

    Example::

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/graph.npz", x=np.eye(3), edge_index=np.array([[0, 1], [1, 2]]), y=np.arange(3))
        ...     read_graph(f"{folder}/graph.npz")
        Data(x=[3, 3], edge_index=[2, 2], y=[3])
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix != ".csv" and nodes is not None:
        raise ValueError(f"'nodes' goes with edges as .csv, got {path}")
    if path.suffix == ".npz":
        return _from_arrays(path)
    if path.suffix in (".pt", ".pth"):
        return _from_torch(path)
    if path.suffix == ".csv":
        if nodes is None:
            raise ValueError(f"{path} has edges: give nodes=, a table of their features")
        return _from_tables(path, Path(nodes))
    raise ValueError(f"a graph is read from .npz, .pt or .csv, got {path}")


def _from_arrays(path: Path) -> Data:
    entries = {name: _tensor(array, path, name) for name, array in read_arrays(path).items()}
    if "edge_index" not in entries:
        raise ValueError(f"{path} must have 'edge_index', (2, E), it has {sorted(entries)}")
    given = [name for name in _SPARSE if name in entries]
    if given and len(given) < len(_SPARSE):
        raise ValueError(f"{path}: sparse features are {_SPARSE}, it has only {given}")
    if given:
        ptr, columns, values = (entries.pop(name) for name in _SPARSE)
        width = int(columns.max()) + 1 if columns.numel() else 0
        shape = entries.pop("x_shape", torch.tensor([len(ptr) - 1, width])).tolist()
        entries["x"] = torch.sparse_csr_tensor(ptr.long(), columns.long(), values.float(), shape)
    return _checked(Data(**entries), path)


def _tensor(array: np.ndarray, path: Path, name: str) -> Tensor:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{path}: {name!r} must hold numbers, got {array.dtype}: leave it out, or code it as numbers")
    known = {np.uint16: np.int32, np.uint32: np.int64, np.uint64: np.int64}  # torch computes with few unsigned ones
    array = array.astype(known.get(array.dtype.type, array.dtype.newbyteorder("=")))
    return torch.from_numpy(array.astype(np.float32) if name == "x" and array.dtype.kind != "f" else array)


def _from_torch(path: Path) -> Data | HeteroData:
    from torch_geometric.data import data as of_data
    from torch_geometric.data import storage

    allowed: list[Any] = [Data, HeteroData, of_data.DataEdgeAttr, of_data.DataTensorAttr]
    allowed += [storage.BaseStorage, storage.NodeStorage, storage.EdgeStorage, storage.GlobalStorage]
    with torch.serialization.safe_globals(allowed):
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ValueError(
                f"{path} must hold PyG's Data or HeteroData, or a mapping of tensors, and nothing else: {error}"
            ) from error
    if isinstance(found, dict):
        found = Data(**found)
    if isinstance(found, HeteroData):
        return found
    if isinstance(found, Data):
        return _checked(found, path)
    raise TypeError(f"{path} must hold PyG's Data or HeteroData, or a mapping of tensors, got {type(found).__name__}")


def _checked(data: Data, path: Path) -> Data:
    """Check that edges and labels fit the nodes, and return the graph."""
    edges = data.edge_index
    if not isinstance(edges, Tensor) or edges.dim() != 2 or edges.size(0) != 2 or edges.is_floating_point():
        what = f"{edges.dtype} {tuple(edges.shape)}" if isinstance(edges, Tensor) else type(edges).__name__
        raise ValueError(f"{path}: 'edge_index' must be (2, E) whole numbers, got {what}")
    data.edge_index = edges = edges.long()
    if data.x is None:
        raise ValueError(f"{path} must have 'x', (N, F), it has {sorted(data.keys())}")
    rows = data.x.size(0)
    if edges.numel() and not (int(edges.min()) >= 0 and int(edges.max()) < rows):
        low, high = int(edges.min()), int(edges.max())
        raise ValueError(f"{path}: 'edge_index' must name {rows} nodes, from 0 to {rows - 1}, got {low} to {high}")
    if data.y is not None and data.y.size(0) != rows:
        raise ValueError(f"{path}: 'y' must have a row for each of {rows} nodes, got {tuple(data.y.shape)}")
    return data


class _Line(NamedTuple):
    number: int
    cells: list[str]


def _lines(path: Path) -> Iterator[_Line]:
    """Yield the lines of a table with their numbers; ValueError for one not as wide as the first."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        width = None
        for cells in (reader := csv.reader(file)):
            if not cells:
                continue
            width = width or len(cells)
            if len(cells) != width:
                raise ValueError(f"{path}, line {reader.line_num}: {width} columns are expected, got {len(cells)}")
            yield _Line(reader.line_num, cells)


def _from_tables(edges: Path, nodes: Path) -> Data:
    (_, names), *rows = _lines(nodes)
    if not rows:
        raise ValueError(f"{nodes} must have a line of names and a line for each node")
    place: dict[str, int] = {}
    for line in rows:
        if place.setdefault(line.cells[0], len(place)) != len(place) - 1:
            raise ValueError(f"{nodes}, line {line.number}: the node {line.cells[0]!r} is there twice")
    label = next((number for number, name in enumerate(names) if number and name in _LABEL), None)
    split = next((number for number, name in enumerate(names) if number and name == _SPLIT), None)
    columns = [number for number in range(1, len(names)) if number not in (label, split)]
    data = Data(x=_numbers(nodes, rows, columns, names), edge_index=_ends(edges, place))
    data.node_names = list(place)
    if label is not None:
        data.y, data.class_names = _classes([line.cells[label] for line in rows])
    if split is not None:
        data.update(_masks(nodes, rows, split))
    return data


def _numbers(path: Path, rows: Sequence[_Line], columns: Sequence[int], names: Sequence[str]) -> Tensor:
    if not columns:
        raise ValueError(f"{path} must have a column of numbers at least, it has {list(names)}")
    found = np.empty((len(rows), len(columns)), np.float32)
    for place, line in enumerate(rows):
        for column, number in enumerate(columns):
            try:
                found[place, column] = float(line.cells[number])
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {line.number}: {names[number]!r} must be a number, got {line.cells[number]!r}"
                ) from error
    return torch.from_numpy(found)


def _ends(path: Path, place: dict[str, int]) -> Tensor:
    (_, names), *lines = _lines(path)
    if len(names) < 2:
        raise ValueError(f"{path} must have two columns of node ids, source and target, it has {names}")
    found = []
    for line in lines:
        for cell in line.cells[:2]:
            if cell not in place:
                raise ValueError(f"{path}, line {line.number}: the table of nodes has no {cell!r}")
        found.append([place[cell] for cell in line.cells[:2]])
    return torch.tensor(found, dtype=torch.long).reshape(-1, 2).T.contiguous()


def _classes(cells: Sequence[str]) -> tuple[Tensor, list[str]]:
    """Return class ids, -1 for empty cells, and the names by id: numbers by size, then words."""
    given = {cell for cell in cells if cell}
    named = [*sorted(filter(str.isdigit, given), key=int), *sorted(cell for cell in given if not cell.isdigit())]
    ids = {name: number for number, name in enumerate(named)}
    return torch.tensor([ids.get(cell, -1) for cell in cells]), named


def _masks(path: Path, rows: Sequence[_Line], split: int) -> dict[str, Tensor]:
    found = {name: torch.zeros(len(rows), dtype=torch.bool) for name in dict.fromkeys(_SPLITS.values())}
    for place, line in enumerate(rows):
        part = line.cells[split]
        if part and part not in _SPLITS:
            raise ValueError(f"{path}, line {line.number}: 'split' must be {', '.join(_SPLITS)} or empty, got {part!r}")
        if part:
            found[_SPLITS[part]][place] = True
    return {name: mask for name, mask in found.items() if bool(mask.any())}
