"""Memory of one way to answer, in a process of its own: ``python -m benchmarks.serve.memory`` prints an object of MB.

Growth of the resident memory as each part is loaded, and the most that queries took beyond it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.rows import Row
from benchmarks.serve.forms import Entry, entries
from benchmarks.serve.protocol import Draws
from benchmarks.serve.scenes import Scene, Stored

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_ROOT = Path(__file__).parents[2]
_COLUMNS = {"x": "features", "graph": "graph", "edge_index": "graph"}  # all others are tables
_LIMIT = 600  # seconds


def measured(entry: Entry, scene: Scene, batch: int, queries: int) -> Row:
    """Megabytes of a form: its parts, the model, all it holds (resident) and the most it held while it answered (peak).

    The scene must have been saved. RuntimeError with what the process said where it failed.
    """
    command = [sys.executable, "-m", "benchmarks.serve.memory", str(scene.folder), entry.name]
    command += [str(number) for number in (scene.x.size(1), scene.classes, batch, queries)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603 - our own module
        command, cwd=_ROOT, env=alone, capture_output=True, text=True, timeout=_LIMIT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"memory of {entry.name} could not be measured: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def available() -> bool:
    """Whether this system says what a process holds."""
    return STATUS.exists() and RESET.exists()


def held(what: str = "VmRSS") -> float:
    """Megabytes that this process holds now, or ``VmHWM``: has held at most since the last ``forget_peak``."""
    found = re.search(rf"^{what}:\s*(\d+) kB", STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{STATUS} must say {what}, and does not: memory cannot be measured here")
    return int(found[1]) / 1024


def forget_peak() -> None:
    """Let the peak begin at what is held now."""
    RESET.write_text("5")


def _grown(make: Callable[[], Any]) -> tuple[Any, float]:
    gc.collect()
    before = held()
    made = make()
    gc.collect()
    return made, held() - before


def _measure(arguments: argparse.Namespace) -> Row:
    entry = next(each for each in entries() if each.name == arguments.entry)
    scene = Stored(arguments.folder, arguments.features, arguments.classes)
    began, found = time.perf_counter(), dict.fromkeys(("features_mb", "graph_mb", "tables_mb"), 0.0)
    for part in entry.parts:
        _, grown = _grown(lambda part=part: getattr(scene, part))
        found[f"{_COLUMNS.get(part, 'tables')}_mb"] += grown
    form, found["model_mb"] = _grown(lambda: entry.make(scene, 1))
    found["resident_mb"] = sum(found.values())
    found["load_seconds"] = time.perf_counter() - began
    queries = Draws(scene.held_out, arguments.batch, 0)(arguments.queries)
    forget_peak()
    before = held()
    for query in queries:
        form(query)
    found["peak_mb"] = found["resident_mb"] + held("VmHWM") - before
    return found


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serve.memory", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="a scene that was saved")
    parser.add_argument("entry", help="its four words")
    for name in ("features", "classes", "batch", "queries"):
        parser.add_argument(name, type=int)
    torch.set_num_threads(1)
    print(json.dumps(_measure(parser.parse_args(argv))))


if __name__ == "__main__":
    main()
