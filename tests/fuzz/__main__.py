"""Run examples and say which rules they break: ``python -m tests.fuzz --help``."""

from __future__ import annotations

import argparse
import fnmatch
import multiprocessing
import sys
import time
import warnings
from collections import Counter, defaultdict

import torch

from tests.fuzz.judge import Failure, judge
from tests.fuzz.subjects import LEFT_OUT, Subject, find


def chosen(pattern: str) -> list[Subject]:
    """The subjects of a pattern with * and ?, or of several between commas."""
    patterns = pattern.split(",")
    return [subject for subject in find() if any(fnmatch.fnmatchcase(subject.name, each) for each in patterns)]


def numbers(examples: int, subjects: int, place: int) -> range:
    """Numbers of the examples of one of several subjects."""
    return range(examples // subjects + (place < examples % subjects))


def run(task: tuple[str, int, range]) -> tuple[str, Counter, list[tuple[int, Failure]]]:
    """Judge examples of one subject."""
    name, seed, examples = task
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    (subject,) = chosen(name)
    counts: Counter = Counter()
    failures = []
    for number in examples:
        found = judge(subject, seed, number)
        counts["refused" if found == "refused" else found.rule if found else "passed"] += 1
        if isinstance(found, Failure):
            failures.append((number, found))
    if counts["refused"] == len(examples) > 10:
        failures.append((examples[0], Failure("crash", "every example is refused: nothing was looked at")))
    return name, counts, failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=5000, help="in all, shared out among the subjects")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, help="this example alone")
    parser.add_argument("--only", default="*", help="subjects, such as 'losses.K*' or 'kernels.*,losses.CC'")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--show", type=int, default=3, help="so many failures of a subject")
    parser.add_argument("--list", action="store_true", help="what is fuzzed, and what is left out and why")
    options = parser.parse_args()
    subjects = chosen(options.only)
    if options.list:
        print(*(subject.name for subject in subjects), sep="\n")
        print(*(f"left out: {name}: {why}" for name, why in LEFT_OUT.items()), sep="\n")
        return 0
    one = range(options.number, options.number + 1) if options.number is not None else None
    tasks = [
        (subject.name, options.seed, one or numbers(options.examples, len(subjects), place))
        for place, subject in enumerate(subjects)
    ]
    start = time.monotonic()
    with multiprocessing.get_context("fork").Pool(options.processes) as pool:
        failed = report(pool.imap_unordered(run, tasks), options.seed, options.show)
    print(f"{time.monotonic() - start:.0f} s; {len(LEFT_OUT)} names are left out, see --list")
    return int(failed)


def report(results, seed: int, shown: int) -> bool:
    """Print failures as they come and a table of the subjects that have some."""
    table: dict[str, Counter] = defaultdict(Counter)
    for name, counts, failures in results:
        table[name] = counts
        for number, failure in failures[:shown]:
            print(
                f"{name} {failure.rule}: {failure.seen}\n"
                f"    python -m tests.fuzz --only '{name}' --seed {seed} --number {number}",
                flush=True,
            )
        if len(failures) > shown:
            print(f"    and {len(failures) - shown} more of {name}")
    total = sum(table.values(), Counter())
    broken = {name: counts for name, counts in table.items() if set(counts) - {"passed", "refused"}}
    for name, counts in sorted(broken.items()):
        print(f"{name:40}", *(f"{rule} {count}" for rule, count in sorted(counts.items())))
    print(f"{sum(total.values())} examples of {len(table)} subjects:", *(f"{n} {rule}," for rule, n in total.items()))
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
