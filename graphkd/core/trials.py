"""Progress of a search for settings: a bar over trials on a terminal, elsewhere a line a trial."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_PATIENT = 10.0  # seconds of a search before the first line is printed


class Shown:
    """Report trials as they end. shown: False shows nothing, True the bar everywhere, None the bar or the lines.

    unit: the word for what is counted.
    """

    def __init__(self, trials: int, shown: bool | None, title: str, unit: str = "trial") -> None:
        self.trials, self.title, self.unit, self.best = trials, title, unit, float("-inf")
        on_terminal = sys.stderr.isatty()
        self._bar = tqdm(total=trials, disable=not (on_terminal if shown is None else shown), unit=unit, desc=title)
        self._lines = shown is None and not on_terminal
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()

    def trial(self, number: int, score: float | None, words: str) -> None:
        """Report a trial that has ended, and the best score so far."""
        if score is not None:
            self.best = max(self.best, score)
        self._bar.set_postfix_str(f"best {self.best:.4f}", refresh=False)
        self._bar.update()
        found = "no score" if score is None else f"{score:.4f}"
        self.line(f"{self.unit} {number + 1} of {self.trials}: {found} {words}, best {self.best:.4f}")

    def line(self, words: str) -> None:
        """Print a line, if there is no bar and the search has run for a while."""
        seconds = time.monotonic() - self._started
        if self._lines and seconds > _PATIENT:
            print(f"{self.title}: {words}, {seconds:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
