"""Triples of a knowledge graph in training batches, and the loss of a model that is due in an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from graphkd.core.draws import below
from recsys.data.interactions import Interactions
from recsys.data.sampling import Outside


class Triples:
    """Triples (head, relation, tail), (n,) each, with ids from 1 to ``entities`` - 1; names: of the columns of a batch.

    The last name is that of a drawn tail: uniform over entities that no triple has with that head, as in RecBole.
    """

    def __init__(self, heads: Tensor, relations: Tensor, tails: Tensor, entities: int, names: Sequence[str]) -> None:
        self.columns, self.names = (heads.long(), relations.long(), tails.long()), tuple(names)
        facts = Interactions.from_pairs(self.columns[0], self.columns[2], entities, entities, padding=True)
        self._outside = Outside(facts)
        self._outside.check(heads.long().unique(), 1)

    def __len__(self) -> int:
        return self.columns[0].size(0)

    def draw(self, count: int, device: Any) -> dict[str, Tensor]:
        """Draw so many triples, uniformly with replacement, each with a negative tail: columns (count,) by name.

        RecBole goes through all triples in random order, over and over; the mean of a batch's loss is the same.
        """
        rows = below(torch.full((count,), len(self)))
        found = [column[rows] for column in self.columns]
        found.append(self._outside.one(found[0]))
        return {name: column.to(device) for name, column in zip(self.names, found, strict=True)}


def losses_of(model: Any, kind: str, rows: Any, epoch: int) -> Any:
    """Compute the losses of a knowledge-graph model for rows with triples, by epoch, as RecBole's trainers do.

    KTUP has epochs of the one loss and of the other in turns (``train_rec_step``, ``train_kg_step``); KGAT goes through
    pairs, then through triples, which are here the two parts of a step, and renews its attention before every epoch
    but the first. All others have one loss of both.
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
