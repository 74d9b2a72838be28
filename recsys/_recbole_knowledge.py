"""RecBole's knowledge-graph models: their data, and the graph in the form that models and losses read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import torch

from recsys._recbole_models import kinds
from recsys.models.knowledge import Triples

KNOWLEDGE = ("GENERAL", "TRADITIONAL", "KNOWLEDGE")  # general models may be their students
WANTED = "a general recommender or one of a knowledge graph"
# RecBole's own columns for such models; its readers need them by name.
USUAL: Mapping[str, Any] = {
    "load_col": {
        "inter": ["user_id", "item_id"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
    }
}


def is_knowledge(model: Any) -> bool:
    """Tell whether a RecBole model, given by name or class, reads a knowledge graph; False for anything else."""
    if isinstance(model, str):
        return kinds().get(model) == "KNOWLEDGE"
    return getattr(getattr(model, "type", None), "name", "") == "KNOWLEDGE"


def has_graph(dataset: Any) -> bool:
    """Tell whether a RecBole dataset was loaded with a knowledge graph."""
    return getattr(dataset, "kg_feat", None) is not None


def know(model: Any, dataset: Any, config: Any) -> None:
    """Attach to a knowledge-graph model the triples that its own loss reads, and the schedule of its two losses."""
    if not is_knowledge(type(model)):
        return
    columns = [dataset.head_entity_field, dataset.relation_field, dataset.tail_entity_field]
    heads, relations, tails = (torch.as_tensor(dataset.kg_feat[name]) for name in columns)
    names = (*columns, f"{config['NEG_PREFIX']}{dataset.tail_entity_field}")
    model.triples = Triples(heads, relations, tails, int(dataset.entity_num), names)
    model.turns = tuple(config[key] for key in ("train_rec_step", "train_kg_step"))


class _Graph:
    """Provide the parts of a DGL graph that KGAT uses: the edges of a relation and their adjacency matrix."""

    def __init__(self, ends: Sequence[torch.Tensor], size: int) -> None:
        self.ends, self.size = ends, size
        self.edata: dict[str, torch.Tensor] = {}
        self.data = self.edata

    def filter_edges(self, choose: Callable[[Any], torch.Tensor]) -> torch.Tensor:
        return choose(self).nonzero().squeeze(1)

    def adjacency_matrix(self, transpose: bool = False, scipy_fmt: str = "coo") -> Any:  # noqa: ARG002 - as it is called
        """Build the matrix. Without ``transpose``, rows are the target nodes of edges, as in DGL."""
        from scipy.sparse import coo_matrix

        row, column = self.ends if transpose else self.ends[::-1]
        values = np.ones(len(row))
        return coo_matrix((values, (row.numpy(), column.numpy())), shape=(self.size, self.size))


def _graph(ends: Sequence[torch.Tensor]) -> _Graph:
    return _Graph(ends, int(max(int(each.max()) for each in ends)) + 1)


def _part(graph: _Graph, edges: torch.Tensor, preserve_nodes: bool) -> _Graph:  # noqa: ARG001 - as it is called
    return _Graph([each[edges] for each in graph.ends], graph.size)


@contextmanager
def dgl_for_kgat() -> Iterator[None]:
    """Provide the three DGL functions that KGAT's constructor calls, inside the block, where DGL is not installed.

    DGL has no release for today's torch; KGAT uses it to build one matrix.
    """
    if "dgl" in sys.modules or find_spec("dgl") is not None:
        yield
        return
    stand_in: Any = ModuleType("dgl")
    stand_in.graph, stand_in.edge_subgraph = _graph, _part
    sys.modules["dgl"] = stand_in
    try:
        yield
    finally:
        del sys.modules["dgl"]
