"""Top lists of an outside teacher, such as a language model, and its vectors of the items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recsys.data._ranked_files import Columns, Known, lists_in, vectors_in
from recsys.data.ids import check_ids, read_ids
from recsys.data.interactions import Interactions
from recsys.data.lists import list_length
from recsys.data.sequence_rows import SequenceRows

_SHOWN = 5  # users that a message names


@dataclass(frozen=True, eq=False)
class Ranked:
    """Hold the top lists of a teacher, computed once and offline: one list for each user, or for each row of a history.

    users: (n,) ids. items: (n, K) ids, best first, distinct within a list. distances: (n, K), 0 or more, how far each
    item is from the teacher's answer; zeros where it is equally sure of all. steps: (n,), how many items of the user's
    history precede the list, from 1; or None, where each list serves all rows of its user and must be made without the
    later items, since it would reveal the targets. vectors: (num_items, D) of all items, row 0 being padding's where
    there is padding, or None.

    Example::

        >>> lists = torch.tensor([[2, 0], [1, 2]])
        >>> ranked = Ranked(users=torch.tensor([1, 0]), items=lists, distances=torch.zeros(2, 2))
        >>> ranked.of_users(Interactions.from_pairs([0, 1], [0, 1], 2, 3)).tolist()
        [[1, 2], [2, 0]]
    """

    users: Tensor
    items: Tensor
    distances: Tensor
    steps: Tensor | None = None
    vectors: Tensor | None = None

    def __post_init__(self) -> None:
        users, items = read_ids("users", self.users), read_ids("items", self.items)
        if (
            users.dim() != 1
            or items.dim() != 2
            or items.size(0) != users.size(0)
            or self.distances.shape != items.shape
        ):
            got = [tuple(each.shape) for each in (self.users, self.items, self.distances)]
            raise ValueError(f"'users' must be (n,), 'items' and 'distances' (n, K), got {got}")
        if self.steps is not None and self.steps.shape != users.shape:
            raise ValueError(f"'steps' must be {tuple(users.shape)}, one a list, got {tuple(self.steps.shape)}")
        ordered = items.sort(dim=1).values
        if bool((ordered.diff(dim=1) == 0).any()):
            raise ValueError("'items' must list an item once for a user, got one twice in a list")
        if not bool((self.distances.isfinite() & (self.distances >= 0)).all()):
            raise ValueError("'distances' must be finite and 0 or more, got others")
        if len(self._keys().unique()) < len(users):
            raise ValueError("'users' and 'steps' must name every list once, got some twice")

    @property
    def k(self) -> int:
        """Return the number of items in a list."""
        return self.items.size(1)

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        data: Any,
        *,
        user: str = "user",
        item: str = "item",
        distance: str = "distance",
        step: str = "step",
        k: int | None = None,
        vectors: str | Path | None = None,
        vector: str = "vector",
    ) -> Ranked:
        """Read lists, and vectors of items, by the tokens of the data; nothing in the files is executed.

        Args:
            path: ``.jsonl``, ``.npz`` or ``.parquet`` with one record a list, whose ``item`` is a list of tokens, best
                first; or these, ``.csv`` or ``.tsv`` with one record an item, in the order of the list.
            data: the split, sequences or pairs whose ``user_tokens`` and ``item_tokens`` the file uses; without tokens,
                ids are the tokens.
            user: name of the entry with the user's token.
            item: of the entry with the token, or the tokens, of items.
            distance: of the entry with as many numbers as items, 0 or more; zeros where there is no such entry.
            step: of the entry with the step, see the class; it may be absent.
            k: how many items of every list are taken; None: all, and lists must be of one length.
            vectors: a file of any of these kinds, with exactly one record for every item.
            vector: name of the entry with its numbers; in ``.csv`` and ``.tsv`` these are all columns but ``item``.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: an entry is missing, a token is unknown, an item occurs twice in a list, a list is too short, or
                a number is invalid, not finite or negative; the message names file and line.

        Example::

            Ranked.from_file("lists.csv", split, user="reader", item="isbn", distance="l2", k=10)
        """
        users, items = Known.users(data), Known.items(data)
        found = lists_in(Path(path), users, items, Columns(user, item, distance, step), k)
        table = None if vectors is None else vectors_in(Path(vectors), items, item, vector)
        return cls(found.users, found.items, found.distances, found.steps, table)

    def of_rows(self, rows: SequenceRows, k: int | None = None) -> tuple[Tensor, Tensor]:
        """Look up the lists of training rows: items (R, k) int64 and distances (R, k); k: all by default.

        A row gets the list of its user and step, where lists have steps, else that of its user. Raises ValueError that
        names the users of rows without a list, and for items that the data of the rows do not have.
        """
        k = list_length("k", k, self.k, self.k, "what a list of 'ranked' has")
        check_ids("items", self.items, rows.sequences.num_items, padding=True)
        keys, order = self._keys().sort()
        asked = (
            rows.users if self.steps is None else self._pair(rows.users, rows.places - rows.sequences.ptr[rows.users])
        )
        place = torch.searchsorted(keys, asked).clamp_(max=max(len(keys) - 1, 0))
        lacking = keys[place] != asked if len(keys) else torch.ones(len(asked), dtype=torch.bool)
        if bool(lacking.any()):
            users, tokens = rows.users[lacking].unique().tolist(), rows.sequences.user_tokens
            named = [tokens[each] if tokens else each for each in users[:_SHOWN]]
            what = "user" if self.steps is None else "user and step"
            raise ValueError(
                f"'ranked' must have a list for the {what} of each of {len(rows)} training rows, it lacks those of "
                f"{int(lacking.sum())}, of the users {named}{' ...' if len(users) > _SHOWN else ''}: make their lists, "
                "or leave these users out of the data"
            )
        chosen = order[place]
        return self.items[chosen, :k].long(), self.distances[chosen, :k]

    def of_users(self, pairs: Interactions) -> Tensor:
        """Return the lists of all users of some pairs as a table (U, K) int32, like ``top_items``, for sources.

        Raises ValueError for lists with steps, for a user without a list, and for ids that the pairs do not have.
        """
        if self.steps is not None:
            raise ValueError("'ranked' has lists of single rows, which no table of users holds: ask of_rows")
        check_ids("users", self.users, pairs.num_users, padding=pairs.padding)
        check_ids("items", self.items, pairs.num_items, padding=pairs.padding)
        table = torch.full((pairs.num_users, self.k), -1, dtype=torch.int32)
        table[self.users] = self.items.int()
        first = int(pairs.padding)
        lacking = (table[first:, 0] < 0).nonzero().squeeze(1) + first
        if len(lacking):
            raise ValueError(
                f"'ranked' must have a list for each of {pairs.num_users - first} users, it lacks {len(lacking)}, the "
                f"first are {lacking[:_SHOWN].tolist()}"
            )
        return table.clamp_(min=0)  # row 0, where it is padding, lists item 0

    def _keys(self) -> Tensor:
        users = self.users.long()
        return users if self.steps is None else self._pair(users, self.steps.long())

    @staticmethod
    def _pair(users: Tensor, steps: Tensor) -> Tensor:
        return users * 2**31 + steps
