"""The decision table of the guide of methods: which one to try in which case, with what was measured."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.rows import BASE, by_method, gain, spread
from docs.site.leaderboards import is_plain, sets

MARK = "<!-- decision table -->"


class Choice(NamedTuple):
    """A case, methods for it, and the file of rows that shows them."""

    case: str
    methods: tuple[str, ...]
    file: str
    room: str = ""  # where the pages of the methods are, below ``methods/``


CHOICES = (
    Choice("An MLP is to answer without edges", ("glnn", "nosmog"), "nosmog-cora"),
    Choice("The same, edges at hand in training", ("krd", "hgmd_weight", "tined"), "newer-cora"),
    Choice("The same; labels spread along edges", ("cpf_ind", "cpf_tra"), "cpf-cora"),
    Choice("A student that reads one hop", ("tinygnn",), "graph-cora"),
    Choice("A small graph neural network", ("kd", "ban"), "online-gcn-cora"),
    Choice("Several teachers", ("tmkd",), "schemes-cora"),
    Choice("Hidden layers of the teacher, no classes in common", ("gsp", "rkd"), "tuned-cora"),
    Choice("A large graph in batches, new nodes", ("kd",), "debian-inductive"),
    Choice("The same; many sparse features", ("kd",), "debian-words"),
    Choice("Links", ("llp", "kd"), "links-cora"),
    Choice("Whole graphs", ("kd",), "nci1-gin-1"),
    Choice("A recommender, from the teacher's lists", ("rrd", "irrrd"), "citeulike-derrd", "recommenders/"),
    Choice("A recommender, from the teacher's tables", ("ftd", "htd"), "citeulike-td", "recommenders/"),
    Choice("Click-through, several teachers", ("ensemble_stop", "crossdistil"), "ml-100k-ctr", "recommenders/"),
)


def table(up: str) -> str:
    """The table in Markdown; ``up`` leads from its page to the root of the site."""
    lines = ["| your case | try | measured | alone | distilled | gain |", "|---|---|---|---|---|---|"]
    lines += [_line(choice, name, up) for choice in CHOICES for name in choice.methods]
    return "\n".join(lines)


def _line(choice: Choice, name: str, up: str) -> str:
    rows = [row for row in sets()[choice.file][1] if not row.get("tuned")]
    metric = next(row["metric"] for row in rows if row["method"] == name)
    groups = by_method(rows, metric)
    first, factor = groups[name][0], 1 if is_plain(metric) else 100
    alone, mean = (factor * spread([row["value"] for row in groups[each]])[0] for each in (BASE, name))
    cells = (
        choice.case,
        f"[`{name}`]({up}methods/{choice.room}{name}.md)",
        f"[{first['dataset']}]({up}results/{choice.file}.md), {first['student']}, `{metric}`",
        f"{alone:.1f}",
        f"{mean:.1f}",
        gain(groups[name], groups[BASE]) or f"{mean - alone:+.1f}, one seed",
    )
    return "| " + " | ".join(cells) + " |"
