"""The best 20 of many items: exact and approximate forms of tables of several widths, with the recall of each.

Tables are made up, a mixture of centres, as trained tables are clustered; recall on trained ones may be lower.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.serve.graphs import Numbers
from graphkd.core.rng import seeded
from graphkd.serving import Form
from recsys.block_top import block_topk
from recsys.models import Tables
from recsys.models.int8 import Int8Tables
from recsys.retrieve import Retriever
from recsys.serving.faiss_index import faiss_index

K, USERS = 20, 4096
WIDTHS = (8, 64, 200)  # the student's first
PLAIN = "topk"  # which ratios are against
_CENTRES, _SPREAD = 256, 0.7
_JUDGED = 256  # users
_TRAINED = 50_000  # rows that an index learns its cells from
_PROBED = 32  # one of so many lists is looked through
Lists = Callable[[Tensor], Numbers]  # user rows (B, d) -> items (B, k)


@dataclass(frozen=True)
class Served:
    """One form over one pair of tables: how it answers, what building it took, and what it holds beside the tables."""

    form: Form
    width: int
    fetch: str
    exact: bool
    build_seconds: float
    index_mb: float

    def about(self, items: int) -> Row:
        """What its rows begin with."""
        system = "student" if self.width == WIDTHS[0] else "teacher"
        found = {"scenario": "static", "system": system, "model": f"mf-{self.width}", "fetch": self.fetch}
        return {**found, "nodes": items, "build_seconds": self.build_seconds, "index_mb": self.index_mb}


def made_up(items: int, width: int, seed: int = 0) -> Tables:
    """Tables of clustered users and items."""
    with seeded(seed):
        centres = torch.randn(_CENTRES, width)

        def rows(count: int) -> Tensor:
            return (centres[torch.randint(_CENTRES, (count,))] + _SPREAD * torch.randn(count, width)) / width**0.5

        return Tables(rows(USERS), rows(items))


def served(tables: Tables) -> Iterator[Served]:
    """All forms over some tables; a line is printed where FAISS is missing."""
    width, rows = tables.item.size(1), tables.user
    for name, (make, exact) in _FORMS.items():
        began = time.perf_counter()
        try:
            answer, held = make(tables)
        except ImportError as error:
            print(f"left out: {name}, width {width}: {error}")
            continue
        seconds = time.perf_counter() - began
        form = Form(lambda ids: rows[torch.from_numpy(ids)], torch.no_grad()(answer), lambda _: 0)
        yield Served(form, width, name, exact, seconds, held / 1e6)


def recalled(one: Served, tables: Tables) -> float:
    """The share of the exact best 20 that a form finds; RuntimeError where an exact one gives lists of lower scores."""
    ids = np.arange(min(_JUDGED, tables.num_users))
    scores = tables.user[: len(ids)] @ tables.item.T
    wanted, found = scores.topk(K), torch.from_numpy(one.form(ids)).long()
    if one.exact:
        gap = float((scores.gather(1, found).sort(descending=True).values - wanted.values).abs().max())
        if not gap <= 1e-5 * max(1.0, float(wanted.values.abs().max())):
            raise RuntimeError(
                f"{one.fetch}, width {one.width}, must give the best {K}, its scores are off by {gap:.3g}"
            )
    return float((wanted.indices[:, :, None] == found[:, None, :]).any(2).double().mean())


def _topk(tables: Tables) -> tuple[Lists, int]:
    return lambda rows: (rows @ tables.item.T).topk(K).indices.numpy(), 0


def _blocked(tables: Tables) -> tuple[Lists, int]:
    """Of a table that is kept with items as columns."""
    columns = tables.item.T.contiguous()
    return lambda rows: block_topk(rows @ columns, K)[1].numpy(), columns.nbytes


def _retriever(tables: Tables) -> tuple[Lists, int]:
    found = Retriever(tables)
    return lambda rows: found.queries(rows, K).items.numpy(), 0


def _int8(tables: Tables) -> tuple[Lists, int]:
    small = Int8Tables.of(tables)
    found = Retriever(small)
    return lambda rows: found.queries(rows, K).items.numpy(), small.item.nbytes + small.item_scale.nbytes


def _faiss_flat(tables: Tables) -> tuple[Lists, int]:
    return _searched(faiss_index(tables)), tables.item.nbytes


def _faiss_int8(tables: Tables) -> tuple[Lists, int]:
    faiss, items = _faiss(), tables.item.numpy()
    index = faiss.IndexScalarQuantizer(items.shape[1], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index.train(items[: 2 * _TRAINED])
    index.add(items)
    return _searched(index), items.nbytes // 4


def _faiss_ivf(tables: Tables) -> tuple[Lists, int]:
    """About sqrt(I) lists, of which one in 32 and at least 4 are looked through."""
    faiss, items = _faiss(), tables.item.numpy()
    width = items.shape[1]
    lists = 1 << max(int(np.log2(len(items)) / 2 + 0.5), 2)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, lists, faiss.METRIC_INNER_PRODUCT)
    index.train(items[:_TRAINED])
    index.add(items)
    index.nprobe = max(lists // _PROBED, 4)
    return _searched(index), items.nbytes + 8 * len(items)


def _searched(index: Any) -> Lists:
    return lambda rows: index.search(rows.numpy(), K)[1]


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError("a FAISS index needs the package faiss-cpu (or faiss-gpu): pip install faiss-cpu") from error
    return faiss


_FORMS: Mapping[str, tuple[Callable[[Tables], tuple[Lists, int]], bool]] = {
    PLAIN: (_topk, True),
    "blocked topk": (_blocked, True),
    "Retriever": (_retriever, True),
    "Retriever, int8": (_int8, False),
    "FAISS flat": (_faiss_flat, True),
    "FAISS int8": (_faiss_int8, False),
    "FAISS IVF": (_faiss_ivf, False),
}
