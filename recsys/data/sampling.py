"""Samplers of the methods' lists: exact distributions, batched over rows, from torch's global generator."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.draws import below, first_distinct
from graphkd.kernels import race_top_k
from graphkd.kernels.operators import accumulation_dtype
from recsys.data.interactions import Interactions

_MOST_BYTES = 2**28  # bytes of the lists of all items outside users' sets
_BLOCK = 2**20  # entries of such lists that are made at once
_SEARCH = 4  # a binary search costs at least as much as listing this many items


def race(log_weights: Tensor, k: int, *, rows: int | None = None, chunk: int = 2**21) -> Tensor:
    """Successive sampling: draw k of N positions one after the other, each time in proportion to the weights left.

    log_weights: (R, N), or (N,) for ``rows`` rows alike; minus infinity excludes a position. -> (R, k) int64,
    ascending. Law: the k largest of log w - log E with E ~ Exp(1) (Efraimidis and Spirakis, 2006). O(R N); at most
    ``chunk`` random numbers exist at a time. Raises ValueError for a row with fewer than k positions of positive
    weight.
    """
    if log_weights.dim() == 1:
        if rows is None:
            raise ValueError("'rows' must say how many rows to draw from one vector of weights, got None")
        log_weights = log_weights.expand(rows, -1)
    size = log_weights.size(1)

    def drawn(part: Tensor) -> Tensor:
        # Uniform numbers in float64: those of float32 are multiples of 2**-24, too coarse for the smallest E.
        clock = torch.rand(part.shape, dtype=torch.float64, device=part.device).log_().neg_()
        return race_top_k(part, clock.to(accumulation_dtype(part)), k)

    positions = torch.cat([drawn(part) for part in log_weights.split(max(1, chunk // max(size, 1)))])
    short = (positions[:, -1:] == size).any(dim=1)
    if bool(short.any()):
        row = int(short.nonzero()[0])
        raise ValueError(f"every row must have {k} positions of positive weight, row {row} has fewer")
    return positions


class Outside:
    """Uniform draws of items outside each user's set, without rejection of the set's members.

    The r-th item outside a sorted set e_0 < e_1 < … is r + #{j : e_j - j <= r}, one binary search in the concatenated
    e_j - j. O(nnz) once, O(log nnz) a draw, exact. If lists of all outside items of all users take at most 256 MB, they
    are made once they pay off; a draw is then one look-up. A padding item counts as a member of every set.
    """

    def __init__(self, excluded: Interactions) -> None:
        self.excluded, self.first = excluded, int(excluded.padding)
        self.stride = excluded.num_items + 1
        self.ptr, sizes = excluded.ptr, excluded.degrees()
        self.free = excluded.num_items - self.first - sizes
        users = excluded.users()
        place = torch.arange(len(excluded), device=users.device) - excluded.ptr[users]
        self.keys = users * self.stride + (excluded.items - self.first - place)
        self._size, self._asked = int(self.free.sum()), 0  # outside items in all, and draws so far
        self._listed: tuple[Tensor, Tensor] | None = None

    def one(self, users: Tensor) -> Tensor:
        """Draw one item for each user, independently: (…) -> (…) int64. ValueError for a user with no item left."""
        self.check(users, 1)
        return self._items(users, below(self.free[users])).long()

    def each(self, users: Tensor, count: int) -> Tensor:
        """Draw ``count`` items for each user, independently: (R,) -> (R, count) int32; otherwise as ``one``."""
        self.check(users, 1)
        users = users[:, None]
        return self._items(users, below(self.free[users], (users.size(0), count))).int()

    def several(self, users: Tensor, k: int) -> Tensor:
        """Draw k distinct items for each user, uniform without replacement: (R,) -> (R, k) int64, ascending."""
        self.check(users, k)
        free = self.free[users]
        ranks = first_distinct(lambda rows: below(free[rows]), users.size(0), k, users.device)
        return self._items(users[:, None], ranks).long()

    def _items(self, users: Tensor, ranks: Tensor) -> Tensor:
        """Return the items at some ranks outside users' sets, (…), (…) -> (…) int32, or int64 from a binary search."""
        self._asked += ranks.numel()
        if self._listed is None and self._pays():
            self._listed = self._lists()
        if self._listed is None:
            return self._searched(users, ranks)
        starts, items = self._listed
        return items.index_select(0, (starts[users] + ranks).flatten()).view(ranks.shape)

    def _searched(self, users: Tensor, ranks: Tensor) -> Tensor:
        smaller = torch.searchsorted(self.keys, users * self.stride + ranks, right=True) - self.ptr[users]
        return ranks + smaller + self.first

    def _pays(self) -> bool:
        """Tell whether lists of all outside items are small, and cheaper than the searches so far."""
        return 4 * self._size <= _MOST_BYTES and _SEARCH * self._asked >= self._size

    def _lists(self) -> tuple[Tensor, Tensor]:
        """List all items outside each user's set: where each list begins, (U,), and the lists joined, int32."""
        starts = self.free.cumsum(0) - self.free
        everything = torch.arange(self.excluded.num_items, dtype=torch.int32, device=starts.device)
        listed = everything.new_empty(self._size)
        for users in torch.arange(len(starts), device=starts.device).split(max(1, _BLOCK // self.stride)):
            outside = torch.ones(len(users), len(everything), dtype=torch.bool, device=starts.device)
            outside[self.excluded.of(users)] = False
            outside[:, : self.first] = False
            part = everything.expand(len(users), -1)[outside]
            first = int(starts[users[0]])
            listed[first : first + len(part)] = part
        return starts, listed

    def check(self, users: Tensor, k: int) -> None:
        """Raise ValueError that names a user with fewer than k items left, and says how many such users there are."""
        short = self.free[users] < k
        if bool(short.any()):
            user, count = int(users[short][0]), users[short].unique().numel()
            raise ValueError(
                f"{k} items must be left to draw for every user, user {user} has {int(self.free[user])}; "
                f"{count} {'users have' if count > 1 else 'user has'} too few: leave them out, or draw fewer"
            )


def geometric_positions(lengths: Tensor, scale: float) -> Tensor:
    """Draw a position in [0, length) for each length, with P(r) proportional to exp(-(r+1)/scale): (…) -> (…) int64.

    Closed form r = floor(-scale log(1 - v (1 - exp(-length/scale)))), v uniform in [0, 1), in float64. O(1) a draw.
    """
    uniform = torch.rand(lengths.shape, dtype=torch.float64, device=lengths.device)
    mass = -torch.expm1(lengths / -scale)
    return (-scale * torch.log1p(-uniform * mass)).long().clamp_(max=lengths - 1)


def rank_log_weights(length: int, scale: float, device: torch.device | str = "cpu") -> Tensor:
    """Compute the logarithms of RRD's weights of positions, w_r = exp(-(r+1)/scale): (length,) float32."""
    return torch.arange(1, length + 1, device=device) / -float(scale)


def interesting_positions(rows: int, length: int, k: int, scale: float, device: torch.device | str = "cpu") -> Tensor:
    """RRD's interesting positions (Kang et al., CIKM 2020): K by successive sampling with exp(-(r+1)/T), ascending.

    -> (rows, k) int64. O(rows · length).
    """
    return race(rank_log_weights(length, scale, device), k, rows=rows)


def best_of_two_positions(
    rows: int, length: int, k: int, scale: float, *, distinct: bool = True, device: torch.device | str = "cpu"
) -> Tensor:
    """Draw CD's positions (Lee et al., ICDM 2019), the better of two draws with P(r) ~ exp(-(r+1)/scale): (rows, k).

    So P(r) = F_r² - F_{r+1}², F_r the mass from r on. ``distinct``: k different positions by successive sampling,
    ascending, as the paper intends; otherwise independent ones, as in both public codes, whose Python sets of tensors
    merge no repeats. UnKD's code has scale = length / lambda, RCE-KD's scale = length · T. O(rows · k) while k is well
    below ``length``.
    """

    def draw(which: Tensor) -> Tensor:
        lengths = torch.full_like(which, length)
        return torch.minimum(geometric_positions(lengths, scale), geometric_positions(lengths, scale))

    if not distinct:
        return draw(torch.arange(rows, device=device).repeat_interleave(k)).view(rows, k)
    if k > length:
        raise ValueError(f"'k' must be at most {length}, the length of the list, got {k}")
    return first_distinct(draw, rows, k, device)


def pair_positions(lengths: Tensor, k: int, scale: float, *, swap_quirk: bool = False) -> tuple[Tensor, Tensor]:
    """UnKD's pairs (Chen et al., WSDM 2023): two draws with P(r) ~ exp(-(r+1)/scale), the better is the positive.

    lengths: (R,) list lengths -> better and worse positions, (R, k) int64 each; P(a, b) = 2 p_a p_b / (1 - sum p²), a <
    b. ``swap_quirk`` repeats the authors' swap through an aliasing view: where the first draw is the worse one, both
    positions become the better one, so half of the pairs carry no information. Lists shorter than 2 have no pair and
    give (0, 0). O(R k).
    """
    lengths = lengths[:, None].expand(-1, k)
    first, second = geometric_positions(lengths.clamp(min=1), scale), geometric_positions(lengths.clamp(min=1), scale)
    ties = (first == second) & (lengths > 1)
    while bool(ties.any()):
        again = lengths[ties]
        first[ties], second[ties] = geometric_positions(again, scale), geometric_positions(again, scale)
        ties = (first == second) & (lengths > 1)
    better, worse = torch.minimum(first, second), torch.maximum(first, second)
    return better, torch.where(first > second, better, worse) if swap_quirk else worse


def weighted_positions(weights: Tensor, k: int, *, floor: float = 1e-5) -> Tensor:
    """DCD's draw (Lee and Kim, CIKM 2021): k positions by successive sampling, (R, N) -> (R, k) int64, ascending.

    Rows often have fewer than k positive weights. ``floor``, as in RCE-KD's copy of the method, raises the zeros, so
    that the remaining positions are drawn uniformly. The authors' own draw fills up arbitrarily or fails. With
    ``floor=0`` such a row raises ValueError.
    """
    return race(weights.clamp(min=floor).log(), k)
