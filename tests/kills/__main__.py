"""Kill runs at random moments, resume them, and compare their ends with those of runs that went through."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pkgutil
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

import graphkd
import recsys
from tests.kills.scenarios import SCENARIOS
from tests.methods import scene

LIMIT = 300.0  # seconds that a run may take


@dataclass
class Ended:
    """How a child ended: its result, None where it was killed, and the seconds and the stage that it came to."""

    result: str | None
    seconds: float
    stage: str


def child(name: str, folder: Path, notes: Path) -> None:
    """Run a scenario to its end and write its result; never returns."""
    os.setpgid(0, 0)
    log = os.open(notes / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)

    def tell(report: dict) -> None:
        (notes / "stage.new").write_text(f"{report.get('stage', 'training')} epoch {report['epoch']}")
        (notes / "stage.new").replace(notes / "stage")

    try:
        result = SCENARIOS[name](folder, tell)
        (notes / "result.new").write_text(result)
        (notes / "result.new").replace(notes / "result")
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def run(name: str, folder: Path, notes: Path, until: float | None = None) -> Ended:
    """Run a scenario in a child, which is killed after some seconds if it is still there."""
    if not folder.exists():
        (notes / "stage").unlink(missing_ok=True)
    sys.stdout.flush()
    begun = time.monotonic()
    number = os.fork()
    if number == 0:
        child(name, folder, notes)
    status = wait(number, begun + (LIMIT if until is None else until))
    seconds = time.monotonic() - begun
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)  # its workers
    stage = (notes / "stage").read_text() if (notes / "stage").is_file() else "the start"
    if status is not None:
        if status != 0:
            raise RuntimeError(f"{name} failed at {stage}:\n{(notes / 'log').read_text()[-3000:]}")
        return Ended((notes / "result").read_text(), seconds, stage)
    if until is None:
        raise RuntimeError(f"{name} took more than {LIMIT} s, at {stage}")
    return Ended(None, seconds, stage)


def wait(number: int, until: float) -> int | None:
    """Wait for a child and give its status; kill it at a moment, and give None."""
    while time.monotonic() < until:
        found, status = os.waitpid(number, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(max(0.0, min(0.002, until - time.monotonic())))
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return None


def killed(name: str, whole: Ended, folder: Path, most: int, draw: random.Random) -> tuple[list[Ended], str]:
    """Kill a run up to ``most`` times in a row and let it end: the kills, and its result."""
    kills: list[Ended] = []
    times = draw.randint(1, min(3, most))
    for number in range(20 * times):
        longest = whole.seconds if number < 3 * times else whole.seconds / 4  # it may be nearly done
        ended = run(name, folder / "run", folder, until=draw.uniform(0.0, longest))
        if ended.result is not None:
            if kills:
                return kills, ended.result
            shutil.rmtree(folder / "run")  # it ended before it was killed
            shutil.rmtree(folder / "run-store", ignore_errors=True)
            continue
        kills.append(ended)
        if len(kills) == times:
            break
    result = run(name, folder / "run", folder).result
    assert result is not None
    return kills, result


def warm() -> None:
    """Import whatever a scenario may import, so that a child begins at once."""
    for package in (graphkd, recsys):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):  # what needs an optional package
                importlib.import_module(module.name)
    for seed in (1, 2, 3, 4):
        scene.trained(seed)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenarios", nargs="*", choices=sorted(SCENARIOS), help="by default all, in random order")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    warm()
    draw = random.Random(given.seed)
    print(f"seed {given.seed}, {given.kills} kills, {len(SCENARIOS)} scenarios", flush=True)  # noqa: T201
    counts = {True: 0, False: 0}
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a disk is slower
    with tempfile.TemporaryDirectory(dir=memory) as place:
        references: dict[str, Ended] = {}
        order: list[str] = []
        while sum(counts.values()) < given.kills:
            order = order or draw.sample(given.scenarios or sorted(SCENARIOS), len(given.scenarios or SCENARIOS))
            name = order.pop()
            folder = Path(tempfile.mkdtemp(dir=place))
            if name not in references:
                references[name] = run(name, folder / "whole", folder)
            kills, result = killed(name, references[name], folder, given.kills - sum(counts.values()), draw)
            same = result == references[name].result
            counts[same] += len(kills)
            for kill in kills:
                words = "same bits" if same else "OTHER BITS"
                print(f"{name}, {kill.seconds:.2f} s, {kill.stage}, {words}", flush=True)  # noqa: T201
            shutil.rmtree(folder)
    print(f"{sum(counts.values())} kills, {counts[True]} same, {counts[False]} different", flush=True)  # noqa: T201
    return 1 if counts[False] else 0


if __name__ == "__main__":
    sys.exit(main())
