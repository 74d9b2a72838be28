"""The page of the survey's works: reference, method, the test that shows it, and where it was measured."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from datasets.recommenders import RECOMMENDERS
from datasets.sequences import SEQUENCES
from graphkd.core.method import Metadata

ROOT = Path(__file__).parents[1]
REGIMES = ROOT / "tests" / "schemes" / "regimes"
OFFSETS = REGIMES / "offsets.jsonl"  # what the lane gave at other seeds, made by tests.schemes.regimes.offsets
RESULTS = ROOT / "benchmarks" / "results"
OTHERS = {202: ("`graphkd.schemes.quantify_knowledge`", "Cheng et al., CVPR 2020", "knowledge_points")}
# Schemes for which no small task was found in which their mechanism helps beyond chance, and what was seen.
WITHOUT_REGIME = {
    "afd": "fooling features gained 9 points in one task of noisy labels and none in others",
    "amtml": "weights that are learnt gave less than equal ones; they reward agreement with the student",
    "ban_cwtm": "where ban gains 4.7 points, among wrong labels, it gained 1.5, and seeds are 3.0 apart",
    "byot": "the model with exits was as good as the model alone, -1 to +1",
    "cc_class_uniform": "batches with all classes taught what others do",
    "fedbe": "beside FedAvg -2.5, -1.4, -0.4 and 0 points in four kinds of federation; FedDF gained 4 in two of them",
    "freekd": "peers gain 0.6 and 0.7 points on Cora, with standard errors of 0.4; only labelled nodes teach",
    "gfkd": "not tried: graphs that are made up take minutes",
    "mcl_okd": "the contrast between peers added nothing to their soft targets",
    "metadistil": "with noisy labels a teacher that is updated was no better than one that is not",
    "mugsi": "with 24 labelled graphs of noisy nodes and a teacher of 800, clusters and walks gained 2.9 points with "
    "a standard error of 1.2 over 24 seeds, 10 of which lost; graph vectors gained nothing",
    "oskd": "neighbours of one class drawn together cost accuracy with few labels, and changed nothing with many",
    "pcl": "averages of peers gained 1.5 points at best",
    "sftn": "a teacher trained with narrow student branches was itself 7 to 8 points worse, and its student 4 to 10, "
    "whichever way the divergence goes, at 60 and 250 epochs",
    "sskd": "not tried in a task of its own",
    "stochastic": "samples of a teacher with dropout taught what the teacher does",
    "takd": "assistants gained 6 to 8 points over some seeds and none over others",
    "validation_weights_log": "between two teachers of drawn labels a good one was not found: 4 points below the "
    "student alone, whether the weights moved or not",
    "voted_triplets": "gained in two of three seeds",
}
_TABLE = ("| work | method | paper | shown by | measured in |", "|---|---|---|---|---|")


def page(rows: Sequence[Metadata]) -> str:
    """The whole page, in Markdown, of the methods of graphs and of recommenders."""
    works = sorted({number for row in rows for number in row.survey} | set(OTHERS))
    regimes, tables = regime_files(), result_files()
    lines = [
        "# Works of the survey",
        "",
        "Made by `python -m docs.pages` from the methods' metadata. Hu et al., arXiv:2304.14800, cite works by number; "
        f"{len(works)} of these numbers are methods here or parts of one. *Shown by* is the test of the paper's "
        "regime, in which the method must help and does not without its mechanism, or else the test of its definition "
        "and behaviour. Beside a regime stands at how many offsets of its seeds it was green, of how many that it was "
        "run at as it is now: the lowest of its tests, by `python -m tests.schemes.regimes.offsets`. *Measured in* are "
        "the committed rows of benchmarks, see [results.md](results.md).",
        "",
        *_TABLE,
    ]
    for number in works:
        for row in rows:
            if number in row.survey:
                tests = regimes.get(row.name, []) if _package(row) == "graphkd" else []
                measured = tables.get((_package(row), row.name), [])
                lines.append(_line(number, f"`{row.name}`", row.paper, tests or unit_tests(row), measured))
        if number in OTHERS:
            name, paper, stem = OTHERS[number]
            lines.append(_line(number, name, paper, _named(REGIMES, stem), ()))
    lines += ["", "## Schemes without a regime", "", "No small task was found in which these help beyond chance:", ""]
    lines += [f"- `{name}`: {seen}." for name, seen in WITHOUT_REGIME.items()]
    return "\n".join(lines) + "\n"


def regime_files() -> dict[str, list[Path]]:
    """The files of tests/schemes/regimes that show each method: what their ``METHODS`` name."""
    found: dict[str, list[Path]] = {}
    for path in sorted(REGIMES.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "METHODS":
                for name in ast.literal_eval(node.value):
                    found.setdefault(name, []).append(path)
    return found


@cache
def green_offsets() -> dict[str, str]:
    """File of a regime, below the folder of all -> "18 of 20": at how many offsets its least sure test was green.

    Of tests that were green at all offsets it is the one that was run at the fewest.
    """
    latest: dict[str, dict[int, bool]] = {}
    for line in map(json.loads, OFFSETS.read_text().splitlines()):
        for test, green in line["green"].items():
            latest.setdefault(test, {})[line["offset"]] = green
    counts: dict[str, list[tuple[int, int]]] = {}
    for test, found in latest.items():
        counts.setdefault(test.partition("::")[0], []).append((sum(found.values()), len(found)))
    least = {file: min(found, key=lambda pair: (pair[0] - pair[1], pair[1])) for file, found in counts.items()}
    return {file: f"{green} of {run}" for file, (green, run) in least.items()}


def unit_tests(row: Metadata) -> list[Path]:
    """The test files named after the file of a method."""
    found = _named(ROOT / "tests", row.module.rpartition(".")[2])
    found = [path for path in found if REGIMES not in path.parents]
    return [path for path in found if ("recsys" in path.parts) == (_package(row) == "recsys")]


def result_files() -> dict[tuple[str, str], list[Path]]:
    """The files of committed rows that have each method, by package and name."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(RESULTS.glob("*.jsonl")):
        for row in map(json.loads, path.read_text().splitlines()):
            known = found.setdefault((package_of(row), str(row.get("method"))), [])
            if path not in known:
                known.append(path)
    return found


def package_of(row: Mapping[str, Any]) -> str:
    """The package whose methods a committed row is of."""
    return "recsys" if row.get("dataset") in (*RECOMMENDERS, *SEQUENCES) else "graphkd"


def _package(row: Metadata) -> str:
    return row.module.partition(".")[0]


def _named(folder: Path, stem: str) -> list[Path]:
    return sorted(folder.rglob(f"test_{stem}.py"))


def _line(number: int, name: str, paper: str, tests: Iterable[Path], tables: Iterable[Path]) -> str:
    shown, measured = (
        ", ".join(f"[{path.stem}](../{path.relative_to(ROOT)}){_beside(path)}" for path in paths)
        for paths in (tests, tables)
    )
    return "| " + " | ".join((f"[{number}]", name, paper, shown, measured)) + " |"


def _beside(path: Path) -> str:
    """What stands beside the link to a regime's test."""
    known = path.is_relative_to(REGIMES) and green_offsets().get(str(path.relative_to(REGIMES)))
    return f" ({known})" if known else ""
