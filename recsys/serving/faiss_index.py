"""The items of a table as a FAISS index."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.models.tables import Tables, finite_tables


def faiss_index(tables: Tables) -> Any:
    """Make a FAISS index of exact inner products over the items; ``index.search(users.numpy(), k)`` is FAISS's own.

    The padding item of the tables is not in it. Seen items are: request as many more as a user has seen, and leave
    those out. Raises ImportError that names the package where FAISS is missing; ValueError for tables that are not
    finite.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError("a FAISS index needs the package faiss-cpu (or faiss-gpu): pip install faiss-cpu") from error
    items = finite_tables(tables).tables()[1].detach().float().cpu().contiguous().numpy()
    index = faiss.IndexFlatIP(items.shape[1])
    if not tables.padding:
        index.add(items)
        return index
    named = faiss.IndexIDMap(index)
    named.add_with_ids(items[1:], np.arange(1, len(items)))
    return named
