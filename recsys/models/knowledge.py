"""Triples of a knowledge graph in training batches, and the loss that a model uses in an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphkd.core.draws import below
from recsys.data.interactions import Interactions
from recsys.data.sampling import Outside


class Triples:
    """Triples (head, relation, tail), (n,) each, with ids from 1 to ``entities`` - 1; names: of columns in a batch.

    The last of the four names is the negative tail's: drawn uniformly over entities in no triple with that head, as in
    RecBole.
    """

    def __init__(self, heads: Tensor, relations: Tensor, tails: Tensor, entities: int, names: Sequence[str]) -> None:
        self.columns, self.names = (heads.long(), relations.long(), tails.long()), tuple(names)
        inputs = Interactions.from_pairs(self.columns[0], self.columns[2], entities, entities, padding=True)
        self._outside = Outside(inputs)
        self._outside.check(heads.long().unique(), 1)

    def __len__(self) -> int:
        return self.columns[0].size(0)

    def draw(self, count: int, device: Any) -> dict[str, Tensor]:
        """Draw ``count`` triples, uniformly with replacement, each with a negative tail: columns (count,) by name.

        RecBole iterates over all triples in random order, repeatedly; the mean of a batch's loss is the same.
        """
        rows = below(torch.full((count,), len(self)))
        found = [column[rows] for column in self.columns]
        found.append(self._outside.one(found[0]))
        return {name: column.to(device) for name, column in zip(self.names, found, strict=True)}


def losses_of(model: Any, kind: str, rows: Any, epoch: int) -> Any:
    """Compute the losses of a knowledge-graph model for rows with triples, by epoch, as RecBole's trainers do.

    KTUP alternates between epochs of one loss and of the other (``train_rec_step``, ``train_kg_step``). RecBole trains
    KGAT on pairs, then on triples; here both are parts of one step, and its attention is renewed before every epoch but
    the first. All other models have one loss of pairs and triples.
    """
    recommending, knowing = model.turns
    if kind == "KTUP":
        turn = epoch % (recommending + knowing) < recommending
        return model.calculate_loss(rows) if turn else model.calculate_kg_loss(rows)
    if kind == "KGAT":
        if epoch and vars(model).get("attended") != epoch:
            with torch.no_grad():
                model.update_attentive_A()
        model.attended = epoch
        return model.calculate_loss(rows), model.calculate_kg_loss(rows)
    return model.calculate_loss(rows)
