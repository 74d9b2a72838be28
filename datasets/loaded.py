"""Data and the task that evaluates on them: from graphs with masks, from parts of graphs, and from parts of links."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import DataLoader

from datasets.link_splits import Links
from datasets.molecules import Graphs
from graphkd.tasks import (
    GraphClassification,
    GraphRegression,
    LinkPrediction,
    MultiLabelNodeClassification,
    NodeClassification,
)
from graphkd.tasks.splits import part_of

__all__ = ["TASKS", "Loaded", "labelled_type", "loaded"]

GRAPHS = 64  # a batch
_OF_NODES = (NodeClassification, MultiLabelNodeClassification)
_OF_GRAPHS = (GraphClassification, GraphRegression)
TASKS: dict[str, Any] = {task.kind: task for task in (*_OF_NODES, *_OF_GRAPHS, LinkPrediction)}


class Loaded(NamedTuple):
    """Arguments `data` and `task` of `graphkd.distil`."""

    data: Any
    task: Any


def loaded(
    kind: str,
    parts: Data | HeteroData | Graphs | Links,
    *,
    inductive: bool = False,
    node_type: str | None = None,
    **options: Any,
) -> Loaded:
    """Return data with their task.

    Args:
        kind: a key of `TASKS`.
        parts: one graph with masks; `Graphs`, whose training part becomes a loader of batches; or `Links`.
        inductive: keep the nodes of `new_mask` from training; the task evaluates them separately.
        node_type: the predicted type of a heterogeneous graph, by default the only type with labels.
        options: of the task, e.g. `split` for two-dimensional masks, or `metrics`.

    Raises:
        ValueError: parts of this form do not fit a task of this kind.
    """
    task = TASKS[kind]
    if task in _OF_GRAPHS and isinstance(parts, Graphs):
        val, test = (DataLoader(part, 4 * GRAPHS) for part in (parts.val, parts.test))
        return Loaded(DataLoader(parts.train, GRAPHS, shuffle=True), task(val=val, test=test, **options))
    if task is LinkPrediction and isinstance(parts, Links):
        return Loaded(parts.train, task(val=parts.val, test=parts.test, **options))
    if task not in _OF_NODES or not isinstance(parts, (Data, HeteroData)):
        raise ValueError(f"a {kind} is not of {type(parts).__name__}: give another 'task'")
    if isinstance(parts, HeteroData):
        if inductive:
            raise ValueError("the inductive setting is of graphs with one type of nodes: leave 'inductive' out")
        return Loaded(parts, task(node_type=node_type or labelled_type(parts), **options))
    if not inductive:
        return Loaded(parts, task(**options))
    if "new_mask" not in parts:
        raise ValueError(
            "the inductive setting needs nodes that training does not see, 'new_mask': choose another split"
        )
    return Loaded(part_of(parts, ~parts.new_mask), task(evaluate_on=parts, new=parts.new_mask, **options))


def labelled_type(data: HeteroData) -> str:
    """Return the only node type with labels; ValueError if several or none have labels."""
    found = [kind for kind in data.node_types if "y" in data[kind]]
    if len(found) != 1:
        raise ValueError(f"give 'node_type', the type of nodes that is predicted: {found or data.node_types} may be")
    return str(found[0])
