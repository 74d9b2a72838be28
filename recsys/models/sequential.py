"""Sequential recommenders: models that map a history to a state, whose products with items are scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from graphkd.core.ensemble import Ensemble
from recsys.data.sequence_rows import Histories, SequenceRows, SequenceSplit
from recsys.models.base import Recommender
from recsys.models.mean import members
from recsys.models.tables import Tables

_ROWS = 1024  # histories in a forward pass


class SequentialRecommender(nn.Module):
    """Score every item by the product of its row in a table with the state after a history.

    A subclass overrides ``items``. If its state at a position depends only on the items up to it (``causal``), it also
    overrides ``states``, otherwise ``last``. Called with histories (B, L), padded with 0 on the right, and their
    lengths (B,), it returns the scores of all items, (B, num_items); it is exported in this form. Item 0 is padding.
    max_length: greatest length of a history.

    Example::

        >>> class Latest(SequentialRecommender):  # what comes next is like the latest item
        ...     def items(self):
        ...         return torch.eye(self.num_items)
        ...     def states(self, sequences):
        ...         return self.items()[sequences]
        >>> Latest(num_items=4, max_length=3)(torch.tensor([[1, 3, 0]]), lengths=torch.tensor([2]))
        tensor([[0., 0., 0., 1.]])
    """

    causal = True
    padding = True
    has_tables = True

    def __init__(self, num_items: int, max_length: int) -> None:
        super().__init__()
        self.num_items, self.max_length = num_items, max_length

    def forward(self, sequences: Tensor, lengths: Tensor, owners: Tensor | None = None) -> Tensor:
        """Score all items after each history, (B, L), (B,) -> (B, num_items); owners: user ids, where they are used."""
        return self.last(sequences, lengths, owners) @ self.items().t()

    def states(self, sequences: Tensor) -> Tensor:  # noqa: ARG002 - a causal model overrides it
        """Compute states after every item, (B, L) -> (B, L, d); those after the end of a history are meaningless."""
        raise TypeError(f"{type(self).__name__} has states at the end of histories alone, see 'causal'")

    def last(self, sequences: Tensor, lengths: Tensor, owners: Tensor | None = None) -> Tensor:  # noqa: ARG002 - see Caser
        """Compute states at the end of histories, (B, L), (B,) -> (B, d)."""
        found = self.states(sequences)
        return found[torch.arange(found.size(0), device=found.device), lengths - 1]

    def items(self) -> Tensor:
        """Return the table of items, (num_items, d)."""
        raise NotImplementedError

    def tables_of(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Compute states of a batch's rows (N, d), and return them with the table of items; see ``SequenceBatches``."""
        sequences = batch["sequences"]
        if "at" in batch:
            return self.states(sequences).flatten(0, 1).index_select(0, batch["at"]), self.items()
        return self.last(sequences, batch["lengths"], batch.get("owners")), self.items()


class MeanSequential(SequentialRecommender):
    """The mean score of several sequential recommenders: states and tables side by side, with ``weights`` (K,)."""

    weights: Tensor

    def __init__(self, models: Sequence[SequentialRecommender], weights: Tensor | None = None) -> None:
        sizes = {model.num_items for model in models}
        if len(sizes) != 1:
            raise ValueError(f"'models' must be recommenders of the same items, one at least, got {sorted(sizes)}")
        super().__init__(sizes.pop(), min(model.max_length for model in models))
        self.models = nn.ModuleList(models)
        self.causal = all(model.causal for model in models)
        shares = torch.ones(len(models)) if weights is None else weights.clone()
        self.register_buffer("weights", shares / shares.sum(), persistent=False)

    def states(self, sequences: Tensor) -> Tensor:
        """Concatenate the models' states."""
        return self._joined([model.states(sequences) for model in self._models()])

    def last(self, sequences: Tensor, lengths: Tensor, owners: Tensor | None = None) -> Tensor:
        """Concatenate the models' states at the end of histories."""
        return self._joined([model.last(sequences, lengths, owners) for model in self._models()])

    def items(self) -> Tensor:
        """Concatenate the models' tables."""
        return torch.cat([model.items() for model in self._models()], dim=1)

    def _joined(self, states: list[Tensor]) -> Tensor:
        return torch.cat([share * each for share, each in zip(self.weights, states, strict=True)], dim=-1)

    def _models(self) -> list[SequentialRecommender]:
        return cast("list[SequentialRecommender]", list(self.models))


class RowScores(Recommender):
    """A sequential model as recommender of rows, numbered from 1: it ranks items for training histories.

    The model is evaluated in eval mode without gradients, then set back to its own mode. Its parameters are not
    registered here.
    """

    padding = True

    def __init__(self, model: SequentialRecommender, rows: SequenceRows, *, windows: bool) -> None:
        super().__init__(len(rows) + 1, model.num_items)
        self.rows, self.windows = rows, windows
        object.__setattr__(self, "model", model)  # plain attribute, so that its parameters are not registered

    def tables(self) -> tuple[Tensor, Tensor]:
        """Compute states of all rows, row 0 of zeros, and return them with the table of items; O(R) histories."""
        return row_tables(cast("Any", self.model), self.rows, windows=self.windows)


def sequential_of(teacher: Any, name: str = "teacher") -> SequentialRecommender:
    """Return a teacher of any kind as one sequential recommender; TypeError for another model."""
    models = members(teacher)
    for model in models:
        if not isinstance(model, SequentialRecommender):
            raise TypeError(
                f"{name!r} must be a recsys.models.SequentialRecommender, as SASRec or what recsys.bridge.recommender "
                f"makes of one of RecBole's, got {type(model).__name__}"
            )
    if not isinstance(teacher, Ensemble):
        return cast("SequentialRecommender", models[0])
    return MeanSequential(models, teacher.weights if isinstance(teacher.weights, Tensor) else None)


@torch.no_grad()
def row_tables(model: SequentialRecommender, rows: SequenceRows, *, windows: bool) -> tuple[Tensor, Tensor]:
    """Compute states of all rows (R + 1, d), row 0 of zeros, and return them with the items (I, d); in eval mode.

    windows: read rows in ``SequenceRows.windows``, one pass over a user's items; otherwise each row's history
    separately.
    """
    training = model.training
    model.eval()
    try:
        item = model.items()
        found = item.new_zeros(len(rows) + 1, item.size(1))
        size = len(rows.windows) if windows else len(rows)
        for ids in torch.arange(size).split(_ROWS):
            if windows:
                member, at = rows.windows.members(ids)
                read = {"sequences": rows.windows.histories(ids).sequences, "at": at}
                found[member + 1] = model.tables_of({name: each.to(item.device) for name, each in read.items()})[0]
            else:
                found[ids + 1] = end_states(model, rows.histories(ids), item.device)
        return found, item.detach()
    finally:
        model.train(training)


def end_states(model: SequentialRecommender, histories: Histories, device: torch.device) -> Tensor:
    """Compute states at the end of histories (B, d); a causal model that can leaves their padding out."""
    sequences, lengths, owners = (each.to(device) for each in histories)
    if not model.causal or type(model).last is not SequentialRecommender.last:
        return model.last(sequences, lengths, owners)
    inside = torch.arange(sequences.size(1), device=device) < lengths[:, None]
    states, _ = model.tables_of({"sequences": sequences, "at": inside.flatten().nonzero().squeeze(1)})
    return states.index_select(0, lengths.cumsum(0) - 1)


def tables_at(model: SequentialRecommender, split: SequenceSplit) -> Tables:
    """Make tables of a sequential model's states after every user's training items: a teacher of rankings.

    A user's row is the state after all training items, zeros for users without any. MF and other models then learn from
    SASRec by ``recsys.distil("rrd", MF(...), tables_at(sasrec, split), split.pairs())``. O(U) histories.

    Example::

        >>> from recsys.data import Sequences
        >>> from recsys.models import SASRec
        >>> split = SequenceSplit.leave_one_out(Sequences.from_arrays([0, 0, 3, 6], [1, 2, 3, 3, 2, 4]))
        >>> teacher = tables_at(SASRec(split.num_items, width=8), split)
        >>> tuple(teacher.user.shape), tuple(teacher.item.shape)  # of rankings, for split.pairs()
        ((3, 8), (5, 8))
    """
    check_items(model, split)
    histories = split.whole_training()
    states, item = row_tables(model, histories, windows=False)
    user = states.new_zeros(split.sequences.num_users, states.size(1))
    user[histories.users.to(user.device)] = states[1:]
    return Tables(user, item.clone(), padding=True)


def check_items(model: SequentialRecommender, split: SequenceSplit, name: str = "model") -> None:
    """Raise ValueError unless a model has the items of a split and reads histories of its greatest length."""
    if model.num_items != split.num_items:
        raise ValueError(f"{name!r} must score {split.num_items} items, padding and all, got {model.num_items}")
    if model.max_length < split.max_length:
        raise ValueError(
            f"{name!r} must read histories of {split.max_length} items, got {model.max_length}: give it that "
            f"max_length, or split with max_length={model.max_length}"
        )
