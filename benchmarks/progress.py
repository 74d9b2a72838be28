"""How far a benchmark is: a bar on a terminal, elsewhere a line on stderr at least every half minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

EVERY = 25.0  # seconds between two lines, which leaves a busy machine time to come before the half minute


class Progress:
    """Runs done, the one at work and its stage and epoch; a thread tells it, so that a long epoch is told too."""

    def __init__(self, total: int, *, every: float = EVERY) -> None:
        self.total, self.every, self.done, self.now = total, every, 0, ""
        self._epoch = ""
        self._bar = tqdm(total=total, unit="run", disable=None, mininterval=0.5)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar.disable:
            self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        self._bar.close()
        if self._thread.is_alive():
            self._thread.join()

    def begin(self, now: str) -> None:
        """Say which run is at work."""
        self.now, self._epoch = now, ""
        self._bar.set_postfix_str(now)

    def log(self, report: Mapping[str, Any]) -> None:
        """Take the report of an epoch, as ``graphkd.distil`` gives it."""
        self._epoch = f", {report.get('stage', '')} epoch {report.get('epoch', '')}"
        self._bar.set_postfix_str(self.now + self._epoch, refresh=False)
        self._bar.update(0)

    def end(self) -> None:
        """Say that the run is done."""
        self.done += 1
        self._bar.update()

    def line(self) -> str:
        """What is told where there is no terminal."""
        seconds = time.monotonic() - self._started
        return f"{self.done} of {self.total} runs done after {seconds:.0f} s, at work: {self.now}{self._epoch}"

    def _tell(self) -> None:
        while not self._end.wait(self.every):
            print(self.line(), file=sys.stderr, flush=True)
