"""What the library says while a run goes on, kept for its rows: lists that are shorter than usual, and such."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_ROOMS = ("graphkd", "recsys")


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts = dict[str, None]()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts[record.getMessage()] = None


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collect the library's warnings inside the block, each once, in the order they came; filled at its end."""
    kept, found = _Kept(), list[str]()
    for room in _ROOMS:
        logging.getLogger(room).addHandler(kept)
    try:
        yield found
    finally:
        for room in _ROOMS:
            logging.getLogger(room).removeHandler(kept)
        found += kept.texts
