"""Methods beside each other: paired differences to a base, corrected for their number, and ranks over data sets.

``python -m benchmarks.compare FILE_OR_RUNS... --metric accuracy`` prints a table a data set: the mean, the difference
to the student alone and to ``kd`` over the seeds of both with its standard error, on how many seeds a method is ahead,
and p of a paired t-test by Holm's correction for all methods of the table. ``--picture FILE`` draws the mean ranks of
the methods that all data sets have, by Friedman's test and Nemenyi's critical difference (scikit-posthocs).
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scipy import stats

from benchmarks.report import PLAIN, markdown, tables
from benchmarks.rows import BASE, Row, by_method, latest, metrics_of, named, paired, read

OTHER = "kd"  # the second base: what a method of its own must add to
_SURE = 0.05
_FEWEST = {"methods": 3, "data sets": 3}  # for ranks
_LESS_IS_BETTER = ("log_loss", "rmse", "mae", "kl")


class Difference(NamedTuple):
    """A method less its base, over the seeds of both; p by Holm's correction, NaN below two seeds or without spread."""

    mean: float
    error: float
    wins: int
    seeds: int
    p: float


def differences(rows: Iterable[Row], metric: str, base: str) -> dict[str, Difference]:
    """The differences of all methods to the method ``base``, in units of the metric; wins: seeds where it is better."""
    groups, better = by_method(rows, metric), -1 if metric in _LESS_IS_BETTER else 1
    found: dict[str, Difference] = {}
    for name, group in groups.items():
        gaps = paired(group, groups.get(base, []))
        if name in (base, "teacher") or not gaps:
            continue
        mean, wins = statistics.fmean(gaps), sum(better * gap > 0 for gap in gaps)
        error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else math.nan
        p = 2 * float(stats.t.sf(abs(mean) / error, len(gaps) - 1)) if error > 0 else math.nan
        found[name] = Difference(mean, error, wins, len(gaps), p)
    return _corrected(found)


def _corrected(found: Mapping[str, Difference]) -> dict[str, Difference]:
    """Put Holm's p in the place of each: p times the number of those no smaller, and no less than a smaller one's."""
    tested = sorted((name for name, each in found.items() if not math.isnan(each.p)), key=lambda name: found[name].p)
    corrected, least = dict(found), 0.0
    for place, name in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - place) * found[name].p))
        corrected[name] = found[name]._replace(p=least)
    return corrected


def table(rows: Sequence[Row], metric: str, other: str = OTHER) -> list[list[str]]:
    """Lines of the table, titles first; the best method first. Differences are to the student alone and ``other``."""
    groups = by_method(rows, metric)
    bases = [base for base in (BASE, other) if base in groups]
    found = {base: differences(rows, metric, base) for base in bases}
    titles = [cell for base in bases for cell in (f"difference to {base}", "wins", "p")]
    mean = {name: statistics.fmean(row["value"] for row in group) for name, group in groups.items()}
    lines = [["method", "student", "seeds", metric, *titles]]
    for name in sorted(mean, key=mean.__getitem__, reverse=metric not in _LESS_IS_BETTER):
        cells = [cell for base in bases for cell in _cells(found[base].get(name), metric)]
        group = groups[name]
        lines.append([name, group[0]["student"], str(len(group)), _number(mean[name], metric), *cells])
    return lines


def _cells(each: Difference | None, metric: str) -> list[str]:
    if each is None:
        return ["", "", ""]
    told = _number(each.mean, metric, sign=True)
    error = "" if math.isnan(each.error) else f" ± {_number(each.error, metric)}"
    p = "" if math.isnan(each.p) else f"{each.p:.2g}" + " *" * (each.p < _SURE)
    return [told + error, f"{each.wins} of {each.seeds}", p]


def _number(value: float, metric: str, *, sign: bool = False) -> str:
    plain, plus = metric in PLAIN, "+" if sign else ""
    return f"{value:{plus}.4f}" if plain else f"{100 * value:{plus}.2f}"


def ranked(sets: Mapping[str, Sequence[Row]], metric: str) -> dict[str, dict[str, float]]:
    """Means of the methods that every data set has: data set -> method -> mean; ValueError where there are too few."""
    means = {
        name: {method: statistics.fmean(row["value"] for row in group) for method, group in found.items()}
        for name, rows in sets.items()
        if (found := by_method(rows, metric))
    }
    shared = [name for name in next(iter(means.values()), {}) if all(name in each for each in means.values())]
    shared = [name for name in shared if name != "teacher"]
    if len(shared) < _FEWEST["methods"] or len(means) < _FEWEST["data sets"]:
        raise ValueError(
            f"ranks need at least {_FEWEST['methods']} methods that {_FEWEST['data sets']} data sets have, got "
            f"{len(shared)} that {len(means)} have"
        )
    return {name: {method: each[method] for method in shared} for name, each in means.items()}


def picture(means: Mapping[str, Mapping[str, float]], metric: str, path: Path) -> float:
    """Draw mean ranks, 1 the best, with bars over methods that Nemenyi's test cannot tell apart; p of Friedman's."""
    import matplotlib as mpl

    mpl.use("Agg")
    import pandas as pd
    import scikit_posthocs as posthocs
    from matplotlib import pyplot as plt

    frame = pd.DataFrame(means).T
    ranks = frame.rank(axis=1, ascending=metric in _LESS_IS_BETTER).mean()
    apart = posthocs.posthoc_nemenyi_friedman(frame.to_numpy())
    apart.index = apart.columns = frame.columns
    p = float(stats.friedmanchisquare(*(frame[name] for name in frame)).pvalue)
    figure, axes = plt.subplots(figsize=(8, 1.5 + 0.22 * len(ranks)), layout="constrained")
    posthocs.critical_difference_diagram(ranks, apart, ax=axes)
    axes.set_title(f"mean rank by {metric} over {len(frame)} data sets; Friedman's p = {p:.2g}", fontsize="medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Print a table a data set, and draw the picture that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=(__doc__ or "").replace("``", ""))
    add = parser.add_argument
    add("files", type=Path, nargs="+", help="JSON Lines of --out, or folders of --runs")
    add("--metric", help="default: the first of the rows")
    add("--base", default=OTHER, help="the second method that differences are counted from (default: %(default)s)")
    add("--picture", type=Path, help="a critical-difference picture over the data sets")
    arguments = parser.parse_args(argv)
    try:
        rows = latest(row for file in arguments.files for row in read(file))
        metric = arguments.metric or next(iter(metrics_of(rows)), "")
        sets = {about: named(own) for about, own in tables(rows).items() if by_method(own, metric)}
        if not sets:
            parser.error(f"no row has the metric {metric!r}, there are {metrics_of(rows)}")
        for about, own in sets.items():
            print(f"\n{about}\n\n{markdown(table(own, metric, arguments.base))}")
        if arguments.picture:
            picture(ranked(sets, metric), metric, arguments.picture)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    told = f"\n{metric}, in % unless it is an error; ± standard error of the paired difference; * p below {_SURE}"
    print(f"{told} of a paired t-test, by Holm's correction.")


if __name__ == "__main__":
    main()
