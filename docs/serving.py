"""The page of serving, and its picture, made of measured rows: ``python -m docs.serving ROWS_OR_RUNS...``.

Rows are those of ``python -m benchmarks.serving``; every number on the page is of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.plot import plot
from benchmarks.report import markdown
from benchmarks.rows import Row, read
from benchmarks.serve.forms import FULL, LAYERS, PYG
from benchmarks.serve.recommenders import PLAIN
from benchmarks.serve.scenes import STUDENT
from benchmarks.serve.shown import CLOSED, Gain, chosen, gain, gains, judged, latest, medians, memories

HERE = Path(__file__).parent
# A gain belongs to the nearest of 1, 3, 30 and 300 in ratio: the least gain of each column, and its title.
BANDS = ((0.0, "nothing"), (3**0.5, "3x"), (90**0.5, "30x"), (9000**0.5, "300x"))
_DRAWN = (LAYERS, "hidden layer kept, 1 hop", "answers kept", PYG, "15-10, by layers")
_SHORT = {"fresh": "", "static": "static: ", "table": "table: "}


def page(rows: Sequence[Row]) -> str:
    """The whole page, in Markdown."""
    known = latest(rows)
    if not medians(known):
        raise ValueError("rows must hold medians of a closed loop, as `python -m benchmarks.serving --out FILE` writes")
    parts = [_head(known), _when(known), _by_graph(known), _engines(known), _fetching(known), _tails(known)]
    parts += [_memory(known), _items(known)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(rows: Sequence[Row]) -> str:
    machines = ", ".join(sorted({f"{row['device']}, torch {row['torch']}" for row in rows}))
    busy = sum(bool(row.get("busy")) for row in medians(rows))
    told = f" Others were at work in {busy} of {len(medians(rows))} medians." if busy else ""
    return (
        "# When to distil at all: what an answer costs\n\n"
        f"Made by `python -m docs.serving` from {len(rows)} rows of `python -m benchmarks.serving`: {machines}; one "
        f"thread, caches hot, medians, unless said otherwise.{told}\n\n"
        "A query is one or more ids of nodes. Its time ends when their class probabilities are in an array: it "
        "includes the lookup of neighbours, the gathering of features, and the layers. In the column *fetched*, *full* "
        "fetches all neighbours by `graphkd.serving.Neighbourhoods`; *by layers* then evaluates in each layer only the "
        "nodes that later layers need; *15-10* samples up to 15 and 10 neighbours in the two hops; `k_hop_subgraph` is "
        "PyG's. *static* stores hidden layers, which are out of date once features change; *table* stores answers, and "
        "has none for new nodes. The student is an MLP as wide as the teachers. On power-law graphs weights and "
        "features are random, so there is no accuracy. `*` marks processor time, used where other programs kept the "
        "machine busy. Runs with `--quick` train for a few epochs: their accuracies show what a form loses, not what a "
        "model can reach.\n\n"
        "![Accuracy against milliseconds of a query](serving.png)"
    )


def _when(rows: Sequence[Row]) -> str:
    """Where a student gains what, in one table: against the eager student."""
    titles = [title if low == 0 else f"about {title}" for low, title in BANDS]
    lines = [["teacher", "fetched", *titles]]
    found = [each for each in gains(rows, STUDENT) if each.teacher["system"] == "teacher"]
    for key in dict.fromkeys(_form(each.teacher) for each in found):
        own = [each for each in found if _form(each.teacher) == key]
        lines.append([f"{_SHORT[key[0]]}{key[1]}", key[2], *(_cell(own, place) for place in range(len(BANDS)))])
    text = (
        "## Where a student gains, and where not\n\nHow many times longer the teacher's median query takes than that "
        "of the student in eager torch. A cell lists graphs, with the number of nodes in a query and the ratio in "
        "brackets; its column is the nearest of 1 (nothing), 3, 30 and 300. Faster forms of the student are compared "
        "below."
    )
    return f"{text}\n\n{markdown(lines)}" if len(lines) > 1 else ""


def _form(row: Row) -> tuple[str, str, str]:
    return row["scenario"], row["model"], row["fetch"]


def band(times: float) -> int:
    """The place in ``BANDS`` of a gain."""
    return max(place for place, (low, _) in enumerate(BANDS) if times >= low)


def _cell(found: Iterable[Gain], place: int) -> str:
    kept = [each for each in found if band(each.times) == place]
    told = []
    for dataset in dict.fromkeys(each.teacher["dataset"] for each in kept):
        own = [each for each in kept if each.teacher["dataset"] == dataset]
        told.append(f"{dataset}: " + ", ".join(f"{each.teacher['batch']} ({_times(each)})" for each in own))
    return "; ".join(told)


def _times(each: Gain) -> str:
    return f"{each.times:.2g}" + "*" * each.busy if each.times < 100 else f"{each.times:.0f}" + "*" * each.busy


def _by_graph(rows: Sequence[Row]) -> str:
    parts = []
    for dataset in _graphs(rows):
        timed = chosen(medians(rows), dataset=dataset)
        batches = sorted({row["batch"] for row in timed})
        lines = [["scenario", "model", "fetched", "accuracy", "edges", *(f"batch {batch}, ms" for batch in batches)]]
        for key in dict.fromkeys(map(_form, timed)):
            own = [row for row in timed if _form(row) == key]
            first = own[0]
            edges = f"{first['edges_mean']:,.0f}" if first.get("edges_mean") else ""
            cells = [_milliseconds(chosen(own, batch=batch)) for batch in batches]
            lines.append([*key, judged(first), edges, *cells])
        told = f"### {dataset}, {timed[0]['nodes']:,} nodes\n\n"
        parts.append(told + markdown(lines))
    least = min(row["batch"] for row in medians(rows))
    return f"## Graph by graph\n\nEdges: gathered on average for a query of {least}.\n\n" + "\n\n".join(parts)


def _graphs(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row["dataset"] for row in rows if row["metric"] == "accuracy"))


def _milliseconds(rows: Sequence[Row], key: str = "milliseconds") -> str:
    if not rows:
        return ""
    row = rows[0]
    return f"{row['cpu_milliseconds']:.3g}*" if row["busy"] and key == "milliseconds" else f"{row[key]:.3g}"


def _engines(rows: Sequence[Row]) -> str:
    """Forms of the student: what they gain on the eager one, and what they lose."""
    lines = [["graph", "student", "accuracy", "points lost", "same class", "batch: times as fast as eager"]]
    found = [each for each in gains(rows, STUDENT) if each.teacher["system"] == "student"]
    for key in dict.fromkeys((each.teacher["dataset"], each.teacher["model"], each.teacher["fetch"]) for each in found):
        own = [each for each in found if (each.teacher["dataset"], each.teacher["model"], each.teacher["fetch"]) == key]
        row, eager = own[0].teacher, own[0].student
        lost = "" if row["value"] is None else f"{100 * (eager['value'] - row['value']):+.2f}"
        faster = ", ".join(f"{each.teacher['batch']}: {1 / each.times:.2g}x" for each in own)
        name = f"{key[1]}, {key[2]}"
        lines.append([key[0], name, judged(row), lost, f"{100 * row['same_class']:.1f} %", faster])
    return f"## Forms of the student\n\n{markdown(lines)}" if len(lines) > 1 else ""


def _fetching(rows: Sequence[Row]) -> str:
    """Our fetch beside PyG's: of whole queries with the same layers, with the fast layers, and of fetching alone."""
    lines = [["graph", "batch", "PyG, ms", "same layers after", "by layers after", "fetching alone"]]
    for slow in chosen(medians(rows), fetch=PYG):
        same, fast = (
            chosen(medians(rows), dataset=slow["dataset"], batch=slow["batch"], model=slow["model"], fetch=fetch)
            for fetch in (FULL, LAYERS)
        )
        if not same or not fast:
            continue
        told = [f"{gain(slow, each[0]).times:.3g}x" for each in (same, fast)]
        if slow["busy"] or same[0]["busy"]:  # halves are by the wall's clock alone
            told.append("")
        else:
            told.append(f"{slow['fetch_milliseconds'] / same[0]['fetch_milliseconds']:.3g}x")
        lines.append([slow["dataset"], str(slow["batch"]), _milliseconds([slow]), *told])
    text = (
        "## Fetching neighbours\n\nHow many times longer a query takes with PyG's `k_hop_subgraph` and `GraphSAGE` "
        "than with our fetch. After our fetch come PyG's layers over all fetched nodes, as in `answer_fetched` (*same "
        "layers*), or the evaluation *by layers*. *Fetching alone* compares the two fetches, features included, "
        "without any layer; it is measured only when the machine is otherwise idle."
    )
    return f"{text}\n\n{markdown(lines)}" if len(lines) > 1 else ""


def _tails(rows: Sequence[Row]) -> str:
    """Single nodes: percentiles that enough queries were asked for."""
    labels = list(dict.fromkeys(row["method"] for row in rows if row.get("percentile") and row["threads"] == 1))
    single = [row for row in rows if row.get("percentile") and row["batch"] == 1 and row["threads"] == 1]
    columns = [
        (label, each) for label in labels for each in (50, 95, 99) if chosen(single, method=label, percentile=each)
    ]
    parts = []
    for dataset in _graphs(single):
        lines = [["model", "fetched", *(f"{label}: p{each}" for label, each in columns), "edges and time"]]
        own = chosen(single, dataset=dataset)
        for key in dict.fromkeys(map(_form, own)):
            mine = [row for row in own if _form(row) == key]
            cells = [_milliseconds(chosen(mine, method=label, percentile=each)) for label, each in columns]
            correlation = next((row["edges_correlation"] for row in mine if row.get("edges_correlation")), None)
            told = "" if correlation is None else f"{correlation:.2f}"
            lines.append([f"{_SHORT[key[0]]}{key[1]}", key[2], *cells, told])
        parts.append(f"### {dataset}\n\n{markdown(lines)}")
    text = (
        "## Single nodes: tails, cold caches, arrivals\n\nMilliseconds. p95 needs 1,000 queries and p99 10,000; on a "
        "busy machine both are left out. *Closed loop* sends a query when the one before is answered; *open loop* has "
        "Poisson arrivals at the given share of the form's highest rate, and counts from the arrival. *Uniform* draws "
        "all nodes alike, *by degree* in proportion to their number of neighbours. *Cold* overwrites the caches before "
        "each query. The last column is the correlation of the number of gathered edges with processor time."
    )
    return "\n\n".join([text, *parts]) if parts else ""


def _memory(rows: Sequence[Row]) -> str:
    keys = ("features_mb", "graph_mb", "tables_mb", "model_mb", "resident_mb", "peak_mb")
    lines = [["graph", "model", "fetched", *(key.removesuffix("_mb") for key in keys), "load, s"]]
    for row in memories(rows):
        cells = [*(f"{row[key]:,.1f}" for key in keys), f"{row['load_seconds']:.1f}"]
        lines.append([row["dataset"], f"{_SHORT[row['scenario']]}{row['model']}", row["fetch"], *cells])
    text = (
        "## Memory\n\nMegabytes, each form in a process of its own: by how much its memory grew when each part was "
        "loaded, in all (*resident*), and at most (*peak*) while it answered queries of 32 nodes."
    )
    return f"{text}\n\n{markdown(lines)}" if len(lines) > 1 else ""


def _items(rows: Sequence[Row]) -> str:
    """The best 20 of many items; gains against torch's topk of the same width, and of width 200 over 8 in one form."""
    timed = [row for row in medians(rows) if str(row["dataset"]).startswith("items-")]
    lines = [["items", "width", "form", "batch", "ms", "recall@20", "topk's time over it", "widest table's over it"]]
    for row in timed:
        same = {"dataset": row["dataset"], "batch": row["batch"]}
        (plain,) = chosen(timed, **same, model=row["model"], fetch=PLAIN)
        others = chosen(timed, **same, fetch=row["fetch"])
        widest = max(others, key=lambda other: _width(other))
        wide = f"{gain(widest, row).times:.3g}x" if widest is not row else ""
        told = [f"{row['nodes']:,}", str(_width(row)), row["fetch"], str(row["batch"]), _milliseconds([row])]
        lines.append([*told, f"{row['value']:.3f}", f"{gain(plain, row).times:.3g}x", wide])
    text = (
        "## Recommenders: the best 20 of many items\n\nThe tables are synthetic and clustered as trained ones are; on "
        "other tables approximate indexes may have another recall. `topk` is torch's over all scores; *blocked* is "
        "`recsys.block_top`, which is exact too. The last two columns are the times of `topk` and of the widest table, "
        "divided by the time of the row: above 1 the row is faster."
    )
    return f"{text}\n\n{markdown(lines)}" if timed else ""


def _width(row: Row) -> int:
    return int(str(row["model"]).rpartition("-")[2])


def drawn(rows: Sequence[Row]) -> Iterator[Row]:
    """What the picture shows: forms of the first graph with labels, asked for the fewest nodes that there are."""
    known = [row for row in medians(latest(rows)) if row["metric"] == "accuracy" and row["value"] is not None]
    if not known:
        raise ValueError("a picture needs a graph with labels among the rows: cora, wordnet")
    dataset, batch = known[0]["dataset"], min(row["batch"] for row in known)
    for row in chosen(known, dataset=dataset, batch=batch):
        if row["fetch"] in _DRAWN or (row["scenario"], row["system"]) == ("fresh", "student"):
            took = row["cpu_milliseconds"] if row["busy"] else row["milliseconds"]
            named = f"{row['model']}, {row['fetch']}"
            yield {**row, "method": named, "student": row["system"], "latency_ms": took}


def main(argv: Sequence[str] | None = None) -> None:
    """Write serving.md and serving.png, or where ``--out`` says."""
    parser = argparse.ArgumentParser(prog="python -m docs.serving", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="JSON Lines of --out, or folders of --runs")
    parser.add_argument("--out", type=Path, default=HERE / "serving.md", help="the page; the picture is beside it")
    arguments = parser.parse_args(argv)
    try:
        rows = [row for file in arguments.files for row in read(file)]
        text, points = page(rows), list(drawn(rows))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    arguments.out.write_text(text, encoding="utf-8")
    title = f"{points[0]['dataset']}: queries of {points[0]['batch']}, {CLOSED}"
    plot(points, arguments.out.with_suffix(".png"), title, latency="milliseconds of a query")


if __name__ == "__main__":
    main()
