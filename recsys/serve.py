"""Serving of a trained recommender: export a folder once, and recommend from it in any process.

``recsys.serve.export(result, "service/", split)`` writes it, ``recsys.serve.recommend("service/", ["ann"], k=10)``
reads it. Nothing in the folder is executed as code. It contains

- ``tables.safetensors``: tables of users and items, their original ids, the items that users have, and the card;
- ``card.json``: the card again, for people: the model, its training, and the recall lost by int8;
- ``recommender.onnx``, on request: a graph from ids to lists, for ONNX Runtime.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.serving.export import Exported, load_export
from recsys.serving.service import Recommended, Service, Unknown

if TYPE_CHECKING:
    from recsys.data.interactions import Interactions
    from recsys.serving.histories import HistoryService

__all__ = ["Recommended", "export", "load", "recommend", "recommend_after"]

_TABLES, _CARD, _GRAPH = "tables.safetensors", "card.json", "recommender.onnx"


def export(
    model: Any,
    folder: str | Path,
    data: Any = None,
    *,
    seen: Interactions | None = None,
    int8: bool = False,
    onnx: bool = False,
    k: int = 20,
    card: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write all that a service needs into a folder, which is created, and return the card.

    Args:
        model: the result of ``recsys.distil``, whose card is included, a recommender with tables, or a sequential one.
        folder: where to write.
        data: the ``Split`` with the original ids, or an object with a ``split``; for a sequential model the
            ``Sequences``, or an object with ``sequences``. Users are then served from their latest items.
        seen: pairs that are not recommended again, by default all of ``data``: training, validation and test.
        int8: round the tables to one byte an entry; the card gives the share of the exact best k lists still found.
        onnx: also write the graph, checked against torch: of users, or of histories for a sequential model. It has the
            exact tables, not the int8 ones.
        k: length of the lists of the graph and of the measured recall.
        card: further plain values for the card.

    Raises:
        TypeError: the model has no tables, or the data are of another kind.
        ValueError: tables are not finite, or ids do not fit.
        ImportError: ``onnx`` without its packages, ``pip install "graphkd[onnx]"``.

    Example::

        result = recsys.distil("rrd", student, teacher, split)
        recsys.serve.export(result, "service/", split, int8=True)
    """
    from recsys.serving.writing import written

    return written(
        model, Path(folder), data, seen=seen, int8=int8, onnx=onnx, k=k, card=card, names=(_TABLES, _CARD, _GRAPH)
    )


def load(folder: str | Path) -> Service:
    """Read what ``export`` wrote into a service for many requests; also reads a file of ``recsys.serving.export``.

    Raises FileNotFoundError where there is none; ValueError where it is damaged.

    Example::

        service = recsys.serve.load("service/")
        service.recommend(["ann", "bob"], k=10, unknown="popular")
    """
    return Service(load_export(_file(folder)))


def recommend(
    folder: str | Path, users: Iterable[str | int], k: int = 10, *, unknown: Unknown = "refuse"
) -> list[Recommended]:
    """Recommend at most k items to each user, by original ids; items that a user has are left out.

    folder: of ``export``; it is read once a process, and again after it is rewritten. unknown: how to treat users that
    the model does not know, see ``Service.recommend``. Returns one ``Recommended(user, items, scores, known)`` for each
    user.

    Example::

        for user, items, scores, known in recsys.serve.recommend("service/", ["ann", "bob"], k=10):
            print(user, items)
    """
    return _service(*_state(_file(folder))).recommend(users, k, unknown=unknown)


def recommend_after(folder: str | Path, histories: Iterable[Sequence[str | int]], k: int = 10) -> list[Recommended]:
    """Recommend at most k items after each history of items, oldest first, also for users not seen in training.

    folder: of ``export`` of a sequential recommender with ``onnx=True``; ONNX Runtime runs it. Items of a history are
    not recommended after it. Raises ValueError for a folder without such a graph.

    Example::

        recsys.serve.recommend_after("service/", [["tea", "jam"]], k=5)
    """
    return _histories(*_state(_file(folder)), Path(folder) / _GRAPH).recommend(histories, k)


def _file(folder: str | Path) -> Path:
    path = Path(folder)
    file = path / _TABLES if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"no exported recommender at {str(folder)!r}: it must be a folder that recsys.serve.export wrote"
        )
    return file


def _state(file: Path) -> tuple[Path, int, int]:
    about = file.stat()
    return file.resolve(), about.st_mtime_ns, about.st_ino


@lru_cache(maxsize=2)
def _service(file: Path, *_: int) -> Service:
    return Service(load_export(file))


@lru_cache(maxsize=2)
def _histories(file: Path, changed: int, number: int, graph: Path) -> HistoryService:
    from recsys.serving.histories import HistoryService

    exported: Exported = _service(file, changed, number).exported
    about = exported.card.get("graph")
    if not isinstance(about, dict) or "max_length" not in about or not graph.is_file():
        raise ValueError(
            f"{str(file.parent)!r} must hold the graph of a sequential recommender, {graph.name}: export one by "
            f"recsys.serve.export(..., onnx=True); its card has {json.dumps(about)} of it"
        )
    return HistoryService(graph, about, exported.item_tokens or tuple(map(str, range(exported.tables.num_items))))
