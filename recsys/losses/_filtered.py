"""Common parts of FreqD and GraphD: tables compared after each entity is mixed with its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from graphkd.core.loss import Loss
from recsys.data.entity_graphs import Around, EntityGraph
from recsys.losses._averaged import AveragedExperts
from recsys.losses._tables import Tables, Triplets, constant_tables

Weight = float | Tensor
Kept = Mapping[str, Tensor]  # masks of kept edges, under "users", "positives" and "negatives"


class FilteredLoss(Loss):
    """Users + (positives + negatives) / 2, over the distinct entities of a batch; only these and neighbours are read.

    Edges are drawn for each of the three separately: a share ``keep``, redrawn in every step, unless ``kept`` gives
    them.
    """

    on = ("user", "item")

    def __init__(
        self,
        users: AveragedExperts,
        items: AveragedExperts,
        graphs: tuple[EntityGraph, EntityGraph],
        keep: float,
        on: tuple[str, str] | None,
    ) -> None:
        super().__init__(on=on)
        if not 0 < keep <= 1:
            raise ValueError(f"'keep' must be in (0, 1], got {keep}")
        self.users, self.items, self.keep = users, items, keep
        for side, graph in zip(("user", "item"), graphs, strict=True):
            for name, part in graph._asdict().items():
                self.register_buffer(f"{side}_{name}", part, persistent=False)

    def graph(self, side: int) -> EntityGraph:
        """Return the graph of users (0) or of items (1)."""
        of = ("user", "item")[side]
        return EntityGraph(*(getattr(self, f"{of}_{name}") for name in EntityGraph._fields))

    def errors(
        self, student: Tensor, teacher: Tensor, around: Around, experts: AveragedExperts, own: tuple[Weight, Weight]
    ) -> Tensor:
        """Measure each entity: the tables' rows of the touched nodes (m, d_s), (m, d_t) -> (n,).

        own: the weights of the entity's own row in the student's and in the teacher's mixture; neighbours get the rest.
        """
        raise NotImplementedError

    def total(
        self,
        student: Tables,
        teacher: Tables,
        batch: Triplets,
        kept: Kept | None,
        own: Sequence[tuple[Weight, Weight]],
    ) -> Tensor:
        """Compute the weighted sum over users, positives and negatives; ``own``: weights of their own rows for each."""
        teacher, kept = constant_tables(teacher, student), kept or {}
        for side, table in enumerate(student):
            if (size := len(self.graph(side).ptr) - 1) != table.size(0):
                of = ("user", "item")[side]
                raise ValueError(f"'{of}_graph' must have the {table.size(0)} rows of the '{of}' table, got {size}")
        if (got := (teacher[0].size(1), teacher[1].size(1))) != (self.users.widths[1],) * 2:
            raise ValueError(f"'teacher' must have tables of the width {self.users.widths[1]}, got {got}")
        sums = []
        for (name, ids), side, weights in zip(batch._asdict().items(), (0, 1, 1), own, strict=True):
            around = self.graph(side).around(ids.unique(), self.keep, kept.get(name))
            ours, theirs = (tables[side].index_select(0, around.nodes) for tables in (student, teacher))
            sums.append(self.errors(ours, theirs, around, (self.users, self.items)[side], weights).sum())
        return sums[0] + (sums[1] + sums[2]) / 2
