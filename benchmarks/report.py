"""What a benchmark shows: a table on the terminal or in Markdown, a picture, of rows in JSON Lines.

``python -m benchmarks.report FILE_OR_RUNS... --metrics hit@5,ndcg@5`` prints the table of runs that were written one by
one, also of a folder of ``--runs`` that is still at work.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.plot import plot
from benchmarks.rows import (
    BASE,
    ERROR,
    OWN_TERM,
    Row,
    by_method,
    gain,
    latest,
    median,
    metrics_of,
    named,
    read,
    spread,
)

# title -> key of a row, format, and a factor if the unit changes; a table has those that its rows know
COSTS: Mapping[str, tuple[Any, ...]] = {
    "parameters": ("parameters", "{:,.0f}"),
    "table MB": ("embedding_bytes", "{:.2f}", 2**-20),
    "latency ms": ("latency_ms", "{:.2f}"),
    "peak MB": ("peak_memory_mb", "{:.1f}"),
    "sampling s": ("sampling_seconds", "{:.2f}"),
    "gradient s": ("gradient_seconds", "{:.2f}"),
    "step ms": ("step_ms", "{:.1f}"),
    "train s": ("train_seconds", "{:.1f}"),
}
# metrics shown as they are; all others are shares, shown in %
PLAIN = ("kl", "log_loss", "epsilon", "epsilon_of_any_votes", "rmse", "mae")
_NARROW = ("latency ms", "parameters")  # costs of a table that fits every terminal
_OWN = "own term %"
_ACTS = (0.01, 0.99)  # the shares between which neither a method's own term nor the labels' is swamped
_MOST = 4  # metrics in a table; all are in the file
_NAME = 12  # the least room for a name, which wraps


def cells(rows: list[Row], metrics: list[str], base: str = BASE, *, wide: bool = True) -> list[list[str]]:
    """The table: a line of titles, then quality, gain over the method ``base`` and cost of every method.

    The share of its own terms is that of the gradient, marked with ! where it is below 1 or above 99 %. The gain is
    that of the first metric; speed-up is the teacher's latency over the method's. Not ``wide``: one metric and two
    costs.
    """
    known = {name: cost for name, cost in COSTS.items() if any(cost[0] in row for row in rows)}
    costs = known if wide else {name: known[name] for name in _NARROW if name in known}
    metrics = metrics if wide else metrics[:1]
    groups = by_method(rows, metrics[0]) if metrics else {}
    timed = wide and "latency ms" in known and "teacher" in groups
    own = [_OWN] if any(OWN_TERM in row for row in rows) else []
    after = [*own, *costs, *(["speed-up"] if timed else [])]
    lines = [["method", *(["model"] if wide else []), *metrics, "gain", *after]]
    teacher = median(groups["teacher"], "latency_ms") if timed else 0.0
    for method in dict.fromkeys(row["method"] for row in rows):
        group = groups.get(method, [])
        errors = sum(row["metric"] == ERROR and row["method"] == method for row in rows)
        quality = [_quality(by_method(rows, metric).get(method, []), metric) for metric in metrics]
        if errors:
            quality = [f"{quality[0]} ({errors} failed)".strip() if group else "failed", *quality[1:]]
        quality.append(gain(group, groups[base]) if base in groups else "")
        spent = [_own_term(group) for _ in own] + [_cost(group, *cost) for cost in costs.values()]
        speed_up = [_number("{:.1f}", teacher / median(group, "latency_ms"))] if timed else []
        model = next(row["student"] for row in rows if row["method"] == method)
        lines.append([method, *([model] if wide else []), *quality, *spent, *speed_up])
    return lines


def show(
    rows: list[Row], title: str, metrics: list[str] | None = None, base: str = BASE, *, wide: bool = False
) -> None:
    """Print the table; metrics: the first four of the rows where None. Names wrap where there is no room for them."""
    metrics = metrics or metrics_of(rows)[:_MOST] or ["quality"]
    titles, *lines = cells(named(rows), metrics, base, wide=wide)
    told = "; own term: median share of the gradient, ! where it or the labels are swamped" if _OWN in titles else ""
    table = Table(title=title, caption=_caption(metrics[0]) + told)
    widths = [max(map(len, column)) for column in zip(titles, *lines, strict=True)]
    names, borders, console = (2 if wide else 1), 3 * len(widths) + 1, Console(highlight=False)
    if not wide:
        widths[0] = min(widths[0], max(console.width - borders - sum(widths[1:]), _NAME))
    console.width = max(console.width, borders + sum(widths))
    for place, (column, width) in enumerate(zip(titles, widths, strict=True)):
        table.add_column(column, justify="left" if place < names else "right", min_width=width)
    for name, *others in lines:
        table.add_row(_wrapped(name, widths[0]), *others)
    console.print(table, markup=False)
    for row in rows:
        if row["metric"] == ERROR:
            text = f"{row['method']}, seed {row['seed']}, failed: {row['error']}"
            console.print(text, markup=False, soft_wrap=True)


def _wrapped(name: str, width: int) -> str:
    """A name in lines of at most this width, which end where its parts do."""
    lines = [""]
    for part in re.findall(rf"[^_ -]{{1,{width - 1}}}[_ -]*", name):
        lines[-1:] = [lines[-1] + part] if len(lines[-1] + part) <= width or not lines[-1] else [lines[-1], part]
    return "\n".join(lines)


def _caption(metric: str) -> str:
    unit = "" if metric in PLAIN else " in %"
    return f"{metric}: mean ± standard deviation over seeds{unit}; gain: ± standard error; cost: median"


def markdown(lines: list[list[str]]) -> str:
    """The table in Markdown."""
    first, *others = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([first, "|" + "---|" * len(lines[0]), *others])


def _quality(rows: list[Row], metric: str) -> str:
    if not rows:
        return ""  # not every method has every metric
    mean, deviation = spread([row["value"] for row in rows])
    return f"{mean:.4f} ± {deviation:.4f}" if metric in PLAIN else f"{100 * mean:.2f} ± {100 * deviation:.2f}"


def _own_term(rows: list[Row]) -> str:
    share = median(rows, OWN_TERM)
    least, most = _ACTS
    return _number("{:.1f}" if least <= share <= most else "{:.1f} !", 100 * share)


def _cost(rows: list[Row], key: str, form: str, factor: float = 1.0) -> str:
    return _number(form, factor * median(rows, key))


def _number(form: str, value: float) -> str:
    return "" if math.isnan(value) else form.format(value)


def _of(rows: list[Row], methods: list[str], parser: argparse.ArgumentParser) -> list[Row]:
    """The rows of some methods, in their order."""
    missing = set(methods) - {row["method"] for row in rows}
    if missing:
        parser.error(f"--methods must be in the files, got {', '.join(sorted(missing))}")
    return [row for method in methods for row in rows if row["method"] == method]


def tables(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows that belong into one table, of one dataset, split, setting and options, by what it is about."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        others = [str(row["setting"])] if row.get("setting") else []
        others += [json.dumps(row["options"])] if row.get("options") else []
        found.setdefault(", ".join([row["dataset"], str(row["split"]), *others]), []).append(row)
    return found


def main(argv: list[str] | None = None) -> None:
    """Print the table of the rows of some files; of a run that was written twice the last counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("files", type=Path, nargs="+", help="JSON Lines of --out, or folders of --runs")
    add("--metrics", type=lambda text: text.split(","), help="default: the first four of the rows")
    add("--methods", type=lambda text: text.split(","), help="default: all of the files, as they come")
    add("--base", default=BASE, help="the method that gains are counted from (default: %(default)s)")
    add("--wide", action="store_true", help="all metrics and costs in the table")
    add("--markdown", action="store_true", help="print the table in Markdown")
    add("--plot", type=Path, help="write quality against latency as a picture, of the first table where there are more")
    arguments = parser.parse_args(argv)
    try:
        rows = latest(row for file in arguments.files for row in read(file))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not rows:
        parser.error(f"there are no rows in {', '.join(map(str, arguments.files))}")
    if arguments.methods:
        rows = _of(rows, arguments.methods, parser)
    missing = set(arguments.metrics or ()) - {row["metric"] for row in rows}
    if missing:
        parser.error(f"--metrics must be in the files, got {', '.join(sorted(missing))}")
    for place, table in enumerate(tables(rows).values()):
        metrics = arguments.metrics or metrics_of(table)[:_MOST]
        numbers = ", ".join(map(str, sorted({row["seed"] for row in table})))
        title = f"{table[0]['dataset']}, {table[0]['split']}, seeds {numbers}"
        if arguments.markdown:
            print(markdown(cells(named(table), metrics, arguments.base)))
        else:
            show(table, title, metrics, arguments.base, wide=arguments.wide or bool(arguments.metrics))
        if arguments.plot and not place and metrics:
            plot(named(table), arguments.plot, title, quality=metrics[0])


if __name__ == "__main__":
    main()
