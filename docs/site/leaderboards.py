"""The pages of results: a sortable table and a picture for each file of ``benchmarks/results``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

from benchmarks import compare
from benchmarks.report import PLAIN, cells, markdown
from benchmarks.rows import BASE, Row, by_method, latest, metrics_of, named, read, spread
from docs.survey import package_of

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
RELATIVE = "../"
_MOST = 4  # metrics in a table
_WIDTH, _LEFT, _LINE, _RIGHT = 640, 190, 20, 60


@cache
def sets() -> dict[str, tuple[str, list[Row]]]:
    """The committed rows by file's name, each with the package whose methods they are."""
    found = {}
    for path in sorted(RESULTS.glob("*.jsonl")):
        rows = latest(read(path))
        if rows and all("metric" in row and "method" in row for row in rows):
            found[path.stem] = (package_of(rows[0]), rows)
    return found


def is_plain(metric: str) -> bool:
    """Whether a metric is shown as it is, and not as a share in %."""
    return metric in PLAIN


def files() -> dict[str, str]:
    """The pages, in Markdown: path -> content."""
    made = {f"results/{name}.md": page(name, rows) for name, (_, rows) in sets().items()}
    return made | {"results/index.md": index()}


def index() -> str:
    """The list of all leaderboards."""
    lines = [
        "# Leaderboards",
        "",
        "Every table is made of the rows in `benchmarks/results` when the site is built; a heading sorts it. "
        "[Tables with their commands](../results.md) tells how each was measured, and what to make of it. A gain is "
        "that on the student alone, in points, ± its standard error over the seeds.",
        "",
        '<div class="leaderboard-table" markdown>',
        "",
        "| data | teacher | first metric | methods | seeds |",
        "|---|---|---|---|---|",
    ]
    for name, (_, rows) in sets().items():
        first, methods = rows[0], {row["method"] for row in rows} - {"teacher", BASE}
        seeds = len({row["seed"] for row in rows})
        metric = (metrics_of(rows) or [""])[0]
        lines.append(f"| [{name}]({name}.md) | {first['teacher']} | `{metric}` | {len(methods)} | {seeds} |")
    return "\n".join([*lines, "", "</div>", ""])


def page(name: str, rows: Sequence[Row]) -> str:
    """One leaderboard: a picture of the first metric, and the table of all."""
    known, metrics = named(list(rows)), metrics_of(rows)[:_MOST]
    if not metrics:
        return f"# {name}\n\nNo run of these gave a score.\n"
    first = known[0]
    seeds = ", ".join(map(str, sorted({row["seed"] for row in rows})))
    unit = "" if is_plain(metrics[0]) else " in %"
    return "\n".join(
        [
            f"# {name}",
            "",
            f"Data `{first['dataset']}`, split `{first['split']}`, teacher `{first['teacher']}`, seeds {seeds}. "
            f"The picture shows `{metrics[0]}`{unit}: mean, and a standard deviation to both sides; the dashed line is "
            f"the student alone.",
            "",
            picture(known, metrics[0]),
            "",
            *_framed(cells(known, metrics)),
            *paired(known, metrics[0]),
        ]
    )


def paired(rows: list[Row], metric: str) -> list[str]:
    """Every method's differences to the student alone and to plain soft targets, seed by seed."""
    text = (
        f"Differences of `{metric}` seed by seed, ± standard error, on how many seeds a method is ahead, and p of a "
        "paired t-test by Holm's correction for all methods of the table, * below 0.05."
    )
    return ["## Paired differences", "", text, "", *_framed(compare.table(rows, metric))]


def _framed(lines: list[list[str]]) -> list[str]:
    """A table that a click on its headings sorts."""
    table = markdown([[each.replace("|", "\\|") for each in line] for line in lines])
    return ['<div class="leaderboard-table" markdown>', "", table, "", "</div>", ""]


def picture(rows: list[Row], metric: str) -> str:
    """Means and deviations of every method as an SVG in the colours of the page, in the order of their means."""
    factor = 1 if is_plain(metric) else 100
    groups = {name: spread([factor * row["value"] for row in group]) for name, group in by_method(rows, metric).items()}
    ordered = sorted(groups.items(), key=lambda each: -each[1][0])
    low = min(mean - deviation for mean, deviation in groups.values())
    high = max(mean + deviation for mean, deviation in groups.values())
    scale = (_WIDTH - _LEFT - _RIGHT) / ((high - low) or 1.0)
    height = _LINE * (len(ordered) + 1)

    def x(value: float) -> float:
        return round(_LEFT + (value - low) * scale, 1)

    marks = []
    if BASE in groups:
        at = x(groups[BASE][0])
        marks.append(f'<line class="base" x1="{at}" x2="{at}" y1="4" y2="{height - 4}"/>')
    for place, (name, (mean, deviation)) in enumerate(ordered):
        y = _LINE * (place + 1)
        short = name if len(name) < 28 else f"{name[:26]}…"
        marks += [
            f'<text x="{_LEFT - 10}" y="{y + 4}" text-anchor="end" font-size="11" fill="currentColor">'
            f"{escape(short)}</text>",
            f'<line class="line" x1="{x(mean - deviation)}" x2="{x(mean + deviation)}" y1="{y}" y2="{y}"/>',
            f'<circle class="mark" cx="{x(mean)}" cy="{y}" r="4"/>',
            f'<text x="{_WIDTH - 4}" y="{y + 4}" text-anchor="end" font-size="11" fill="currentColor">'
            f"{mean:.{2 if factor == 1 else 1}f}</text>",
        ]
    title = f"{metric} of each method"
    head = f'<div><svg class="leaderboard" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return head + "".join(marks) + "</svg></div>"
