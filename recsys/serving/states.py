"""A sequential recommender as tables: the state of every user after all items that this user took."""

from __future__ import annotations

import torch

from recsys.data.interactions import Interactions
from recsys.data.sequence_rows import SequenceRows
from recsys.data.sequences import Sequences
from recsys.models.sequential import SequentialRecommender, row_tables
from recsys.models.tables import Tables


def latest_tables(model: SequentialRecommender, sequences: Sequences) -> Tables:
    """Compute states of users after their latest items (U, d), zeros for users without any, and the items (I, d).

    Inner products are the model's scores of the next item. O(U) calls of the model. Raises ValueError for a model with
    other items.
    """
    if model.num_items != sequences.num_items:
        raise ValueError(f"'model' must score {sequences.num_items} items, padding and all, got {model.num_items}")
    users = sequences.lengths().nonzero().squeeze(1)
    rows = SequenceRows(sequences, users, sequences.ptr[users + 1], model.max_length)
    states, item = row_tables(model, rows, windows=False)
    user = states.new_zeros(sequences.num_users, states.size(1))
    user[users.to(user.device)] = states[1:]
    return Tables(user, item.clone(), padding=True)


def taken(sequences: Sequences) -> Interactions:
    """Return all items that users took, as pairs."""
    users = torch.repeat_interleave(sequences.lengths())
    return Interactions.from_pairs(users, sequences.items, sequences.num_users, sequences.num_items, padding=True)
