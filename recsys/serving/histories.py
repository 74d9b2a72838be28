"""Recommendations after histories that were not in the training data, by a sequential recommender's ONNX graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsys.data.tokens import places_of
from recsys.serving.service import Recommended


class HistoryService:
    """Recommend items after histories of item tokens, oldest first; ONNX Runtime runs the model.

    graph: file of ``to_onnx``. about: the card's entry for it, with k and max_length. item_tokens: by row; without
    original ids, the row numbers as strings. Raises ImportError without the package onnxruntime.
    """

    def __init__(self, graph: str | Path, about: dict[str, Any], item_tokens: Sequence[str]) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError("histories need the package onnxruntime: pip install 'graphkd[onnx]'") from error
        self.k, self.max_length = int(about["k"]), int(about["max_length"])
        self._session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        self._items, self._places = item_tokens, places_of(item_tokens)

    def recommend(self, histories: Iterable[Sequence[str | int]], k: int = 10) -> list[Recommended]:
        """Recommend at most k items after each history, none of its own; ``user`` is the history's number as text.

        Raises ValueError that names items unknown to the model, for an empty history, and for k beyond that of the
        graph.
        """
        if not 1 <= k <= self.k:
            raise ValueError(f"'k' must be from 1 to {self.k}, which the graph was exported for, got {k}")
        rows = [self._rows(number, history) for number, history in enumerate(histories)]
        if not rows:
            return []
        latest = [row[-self.max_length :] for row in rows]
        given = {
            "sequences": _filled(latest, 0, self.max_length),
            "lengths": np.array([len(row) for row in latest], dtype=np.int64),
            "left_out": _filled(rows, -1, max(map(len, rows))),
        }
        items, scores = self._session.run(None, given)
        found = []
        for number, (listed, values) in enumerate(zip(items[:, :k].tolist(), scores[:, :k].tolist(), strict=True)):
            kept = [(self._items[item], value) for item, value in zip(listed, values, strict=True) if item >= 0]
            names, told = zip(*kept, strict=True) if kept else ((), ())
            found.append(Recommended(str(number), names, told))
        return found

    def _rows(self, number: int, history: Sequence[str | int]) -> list[int]:
        if isinstance(history, str) or not len(history):
            raise ValueError(f"history {number} must list at least one item, got {history!r}")
        names = [str(item) for item in history]
        strange = [name for name in names if not self._places.get(name)]  # row 0 is padding
        if strange:
            raise ValueError(
                f"history {number} must hold items that the model knows, got {strange[:5]}: leave them out"
            )
        return [self._places[name] for name in names]


def _filled(rows: Sequence[Sequence[int]], value: int, width: int) -> np.ndarray:
    found = np.full((len(rows), width), value, dtype=np.int64)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found
