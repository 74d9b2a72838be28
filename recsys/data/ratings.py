"""Ratings that are likes or dislikes, and KDCRec's batches of biased and of uniform ratings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from graphkd.losses._checks import choose


class Ratings(NamedTuple):
    """Hold pairs with values -1 (disliked) or 1 (liked): users, items, values, (n,) each.

    Example::

        >>> ratings = Ratings(torch.tensor([0, 0, 1]), torch.tensor([2, 0, 1]), torch.tensor([1.0, -1.0, 1.0]))
        >>> dense(ratings, num_users=2, num_items=3).tolist()
        [[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """

    users: Tensor
    items: Tensor
    values: Tensor


def dense(pairs: Ratings, num_users: int, num_items: int) -> Tensor:
    """Build rows of all items, 0 where unobserved: (num_users, num_items). Of repeated pairs the last one counts."""
    rows = torch.zeros(num_users, num_items)
    rows[pairs.users, pairs.items] = pairs.values.to(rows.dtype)
    return rows


@dataclass(frozen=True, eq=False)
class UniformSplit:
    """Hold biased ratings ``logged``, and a uniform sample as ``train``, ``valid`` and ``test``.

    Example::

        >>> parts = [Ratings(torch.tensor([u]), torch.tensor([i]), torch.ones(1)) for u in (0, 1) for i in (0, 2)]
        >>> split = UniformSplit(*parts, num_users=2, num_items=3)
        >>> split.logged_rows.tolist(), split.uniform_rows.tolist()
        ([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    """

    logged: Ratings
    train: Ratings
    valid: Ratings
    test: Ratings
    num_users: int
    num_items: int

    @cached_property
    def logged_rows(self) -> Tensor:
        """Return the logged ratings as rows of all items, (num_users, num_items)."""
        return dense(self.logged, self.num_users, self.num_items)

    @cached_property
    def uniform_rows(self) -> Tensor:
        """Return the uniform training ratings as rows of all items, (num_users, num_items)."""
        return dense(self.train, self.num_users, self.num_items)


class PairBatches:
    """Batches for ``BiasedMF``: ``users``, ``items``, ``ratings``, (B,) each, of the logged ratings in random order.

    Every batch of logged ratings also has ``logged`` (B,) bool, False for uniform ratings, and ``entries`` (B,), the
    numbers of the samples. uniform: further ratings, used by ``how``. "union" mixes them in. "copies" does so too, with
    their items numbered I...2I-1. "delay" puts a batch of them, drawn without replacement, before every ``step``-th
    batch, from the first on. random: (users, items), numbers of ids; the batch then has (B,) uniform ``random_users``
    and ``random_items``, drawn with replacement. The authors drop a last, smaller batch; here it stays.
    """

    def __init__(
        self,
        logged: Ratings,
        uniform: Ratings | None = None,
        *,
        how: Literal["union", "copies", "delay"] = "union",
        num_items: int = 0,
        step: int = 20,
        random: tuple[int, int] | None = None,
        batch_size: int = 128,
    ) -> None:
        choose("how", how, ("union", "copies", "delay"))
        self.uniform = uniform if how == "delay" else None
        self.step, self.random, self.batch_size = step, random, batch_size
        self.logged = torch.ones(len(logged.users), dtype=torch.bool)
        if uniform is not None and how != "delay":
            shifted = uniform._replace(items=uniform.items + num_items) if how == "copies" else uniform
            self.logged = torch.cat([self.logged, torch.zeros(len(uniform.users), dtype=torch.bool)])
            logged = Ratings(*(torch.cat(both) for both in zip(logged, shifted, strict=True)))
        self.pairs = logged

    def __len__(self) -> int:
        batches = -(-len(self.logged) // self.batch_size)
        return batches + (-(-batches // self.step) if self.uniform is not None else 0)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        order = torch.randperm(len(self.logged))
        for number, entries in enumerate(order.split(self.batch_size)):
            if self.uniform is not None and number % self.step == 0:
                yield self._batch(self.uniform, torch.randperm(len(self.uniform.users))[: self.batch_size])
            batch = self._batch(self.pairs, entries)
            yield {**batch, "logged": self.logged[entries], "entries": entries}

    def _batch(self, pairs: Ratings, entries: Tensor) -> dict[str, Tensor]:
        users, items, ratings = (column[entries] for column in pairs)
        batch = {"users": users, "items": items, "ratings": ratings.float()}
        if self.random is not None:
            drawn = (torch.randint(size, users.shape) for size in self.random)
            batch |= dict(zip(("random_users", "random_items"), drawn, strict=True))
        return batch


class BlockBatches:
    """Batches for ``AutoRec``: ``ratings`` (B, I) of users in random order, their ids as ``entries`` (B,).

    logged, uniform: (U, I) of -1, 0, 1. "union" adds the uniform ratings, which win where both have a pair (the authors
    add the two); ``logged`` (B, I) bool then marks the others. "delay" gives the uniform ratings instead of the logged
    ones in every ``step``-th epoch, from the first on. sampled: adds ``sampled`` (B, I), a fair coin for every entry,
    drawn anew in every epoch.
    """

    def __init__(
        self,
        logged: Tensor,
        uniform: Tensor | None = None,
        *,
        how: Literal["union", "delay"] = "union",
        step: int = 3,
        sampled: bool = False,
        batch_size: int = 128,
    ) -> None:
        choose("how", how, ("union", "delay"))
        self.rows, self.step, self.sampled, self.batch_size = logged, step, sampled, batch_size
        self.logged: Tensor | None = None
        self.uniform = uniform if how == "delay" else None
        self.epoch = 0
        if uniform is not None and how == "union":
            self.logged = (logged != 0) & (uniform == 0)
            self.rows = torch.where(uniform != 0, uniform, logged)

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - ``fit`` gives both
        """Set the number of the next epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        late = self.uniform is not None and self.epoch % self.step == 0
        rows = self.uniform if late and self.uniform is not None else self.rows
        for users in torch.randperm(len(rows)).split(self.batch_size):
            batch = {"ratings": rows[users], "entries": users}
            if self.logged is not None:
                batch["logged"] = self.logged[users]
            if self.sampled:
                batch["sampled"] = torch.randint(2, batch["ratings"].shape).to(rows.dtype)
            yield batch
