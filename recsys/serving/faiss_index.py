"""The items of a table as an index of FAISS."""

from __future__ import annotations

from typing import Any

from recsys.models.tables import Tables


def faiss_index(tables: Tables) -> Any:
    """A FAISS index of exact inner products over the items; ``index.search(users.numpy(), k)`` as FAISS has it.

    ImportError that names the package where FAISS is missing. Seen items are not left out.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError("a FAISS index needs the package faiss-cpu (or faiss-gpu): pip install faiss-cpu") from error
    index = faiss.IndexFlatIP(tables.item.size(1))
    index.add(tables.item.detach().float().cpu().contiguous().numpy())
    return index
