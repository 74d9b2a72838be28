"""The lane of regimes at many offsets of seeds, and how many of them each test is green at.

A regime counts as shown when it is green at 18 of 20 offsets. The lane runs at one offset after another in one process;
each adds a JSON line to a file, and what has its line is not run again::

    python -m tests.schemes.regimes.offsets 0 19 --out offsets.jsonl
    python -m tests.schemes.regimes.offsets 0 19 --out offsets.jsonl -- tests/schemes/regimes/online -k "not afikd"
    python -m tests.schemes.regimes.offsets --out offsets.jsonl

What follows ``--`` is pytest's: the second runs some tests alone. Of a test's results at an offset the last one counts.
The third runs nothing and prints what there is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

LANE = "tests/schemes/regimes"
ENOUGH = 0.9


class Outcomes:
    """Plugin of pytest that keeps which tests passed, and what they said of means and spreads."""

    def __init__(self) -> None:
        self.green: dict[str, bool] = {}
        self.said: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.removeprefix(f"{LANE}/")
        self.green[name] = self.green.get(name, True) and report.passed
        if report.when == "call":
            self.said[name] = report.capstdout.splitlines()


def run(offset: int, chosen: Sequence[str]) -> Outcomes:
    """What tests are green at this offset, and what they said, by the name of a test."""
    found = Outcomes()
    options = ["-m", "slow", "-n0", "-p", "no:cacheprovider", "--tb=no", "--seed-offset", str(offset)]
    code = pytest.main([*options, *(chosen or [LANE])], plugins=[found])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(f"pytest ended with {code!r} at offset {offset}: its line is not written")
    return found


def table(lines: Iterable[dict]) -> Iterator[str]:
    """A line a test: green offsets, of how many, and which are red; those below nine in ten are marked."""
    latest: dict[str, dict[int, bool]] = {}
    for line in lines:
        for name, green in line["green"].items():
            latest.setdefault(name, {})[line["offset"]] = green
    for name, found in sorted(latest.items()):
        red = sorted(offset for offset, green in found.items() if not green)
        count = len(found) - len(red)
        mark = "!" if count < ENOUGH * len(found) else " "
        yield f"{mark} {count:2d} of {len(found):2d}  {name}" + (f"  red: {', '.join(map(str, red))}" if red else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("between", type=int, nargs="*", metavar="OFFSET", help="first and last; none: print alone")
    parser.add_argument("--out", type=Path, required=True, help="file of results, a JSON line an offset")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    given, chosen = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    lines = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    offsets = range(given.between[0], given.between[-1] + 1) if given.between else ()
    done = {line["offset"] for line in lines if line["chosen"] == chosen}
    for offset in offsets:
        if offset not in done:
            found = run(offset, chosen)
            lines.append({"offset": offset, "chosen": chosen, "green": found.green, "said": found.said})
            with given.out.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    sys.stdout.write("".join(f"{line}\n" for line in table(lines)))


if __name__ == "__main__":
    main()
