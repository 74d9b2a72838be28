"""Inner products of rows of two tables: the scores of lists, and their gradients, without gathering every pair."""

from __future__ import annotations

import torch
from torch import Tensor


def inner_products(user: Tensor, item: Tensor, users: Tensor, items: Tensor) -> Tensor:
    """Compute <user_u, item_i> for pairs of ids, broadcast over users and items; tables (U, d) and (I, d).

    Lists of items, users (R, 1) with items (R, M), and lists of users, (R, M) with (R, 1), are sampled dense-dense
    products: O(R M d) time and O(R (M + d)) memory, also for their gradients. Other shapes gather both sides. Raises
    IndexError for an id outside a table.
    """
    check_rows("users", users, user.size(0))
    check_rows("items", items, item.size(0))
    from graphkd.kernels.edges.lists import list_dot  # imported here, since it loads PyG, which a service does not need

    users, items = users.to(user.device), items.to(item.device)
    if users.dim() == items.dim() == 2 and users.size(0) == items.size(0) > 0:
        if users.size(1) == 1 and items.size(1) > 1:
            return list_dot(_rows(user, users.squeeze(1)), item, items)
        if items.size(1) == 1 and users.size(1) > 1:
            return list_dot(_rows(item, items.squeeze(1)), user, users)
    return (_rows(user, users) * _rows(item, items)).sum(dim=-1)


def _rows(table: Tensor, ids: Tensor) -> Tensor:
    """Look up ``table[ids]``; unlike for indexing, its gradient is summed in a fixed order: runs resume bit by bit."""
    return table.index_select(0, ids.flatten()).view(*ids.shape, table.size(1))


def check_rows(name: str, ids: Tensor, size: int) -> None:
    """Raise IndexError for ids beyond the size of a table; exported graphs skip this check."""
    if not torch.compiler.is_compiling() and ids.numel():
        low, high = (int(bound) for bound in ids.aminmax())
        if low < 0 or high >= size:
            raise IndexError(f"{name!r} must hold ids from 0 to {size - 1}, got ids from {low} to {high}")
