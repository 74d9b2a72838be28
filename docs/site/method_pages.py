"""A page for each method, made of its metadata, its docstrings and its measured rows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.rows import BASE, Row, by_method, gain, spread
from docs.site.leaderboards import RELATIVE, is_plain, sets
from docs.site.mathml import is_formula, typeset
from docs.site.text import linked, markdown
from graphkd.core.method import NEEDS, Metadata

ROOT = Path(__file__).parents[2]
_COST = re.compile(r"\bO\(|\b[Cc]osts?\b|\bmemory\b")
_DIFFERS = re.compile(
    r"\b[Aa]uthors?\b|\bauthors'|\bthe paper|\bThe paper|\bpublished|\bour choice\b|\b[Tt]heir (code|weight)"
)
_SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z`(])|(?<=\.)\s+(?=[a-z_]+: )")
_SHORT = ("et al.", "e.g.", "i.e.", "eq.", "cf.", "resp.", "Eq.")
# A need of a method, or the first of its tasks -> how its example gives it, which the tests run.
GIVEN: Mapping[str, str] = {
    "hidden": 'hidden="convs.0"',
    "layers": 'layers=("convs.0", "convs.1")',
    "domains": "domains=domains",
    "public": "public=public",
    "candidates": "candidates=candidates",
    "modality": "modality=modality",
    "sources": "sources=sources",
    "sequence": "sequence=sequence",
    "other_teacher": "other_teacher=other_teacher",
    "booster": "booster=booster",
    "second": "second=second",
    "regression": "task=Regression()",
    "anomaly_detection": "task=AnomalyDetection()",
    "link_prediction": "task=LinkPrediction(val=val, test=test)",
    "graph_classification": "task=GraphClassification(val=val, test=test)",
    "graph_regression": "task=GraphRegression(val=val, test=test)",
}


def path_of(row: Metadata) -> str:
    """Where the page of a method is, below ``methods/``."""
    return f"recommenders/{row.name}.md" if row.module.startswith("recsys.") else f"{row.name}.md"


def page(row: Metadata) -> str:
    """The whole page of a method, in Markdown."""
    told, defined = docstrings(row)
    idea, others, examples = _split(told)
    definition, more, _ = _split(defined)
    sentences = [*others, *([*definition, *more] if defined else [])]
    formulas, costs, differing, rest = _sorted(sentences)
    parts = [
        f"# {row.name}",
        f"{linked(' '.join(idea) or row.summary)}",
        _about(row),
        _section("Formula", [linked(typeset(each)) for each in formulas]),
        _section("When to choose it, and details", [linked(each) for each in rest]),
        f"## Example\n\n```python\n{example(row)}\n```",
        *examples,
        _settings(row),
        _section("Cost", [linked(typeset(each)) for each in costs]),
        _section("Paper and authors' code", [linked(typeset(each)) for each in differing]),
        _refusals(row),
        measured(row),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# ---------------------------------------------------------------------- text
@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text())


def docstrings(row: Metadata) -> tuple[str, str]:
    """The docstring of a method's function, and that of the loss of the same file that it is built on, or nothing."""
    body = _tree(row.module).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef) and row.name in _names(node)]
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef) and _is_described(node)}
    (function,) = functions
    used = [node.id for node in ast.walk(function) if isinstance(node, ast.Name) and node.id in classes]
    defined = ast.get_docstring(classes[used[0]]) if used else None
    return ast.get_docstring(function) or "", defined or ""


def _names(function: ast.FunctionDef) -> list[str]:
    """The names under which a function is a method."""
    calls = [node for node in function.decorator_list if isinstance(node, ast.Call)]
    return [ast.literal_eval(call.args[0]) for call in calls if getattr(call.func, "id", "") == "method"]


def _is_described(node: ast.ClassDef) -> bool:
    return not node.name.startswith("_") and bool(node.bases) and bool(ast.get_docstring(node))


def _split(text: str) -> tuple[list[str], list[str], list[str]]:
    """The sentences of the first paragraph, those of the others, and the blocks (arguments, examples) as they are."""
    first, _, rest = markdown(text).partition("\n\n")
    blocks, sentences = [], []
    for part in re.split(r"\n\n(?=\S)", rest.strip()):
        if part.startswith(("**", "Args:", "Returns:", "Raises:", "Shapes:")) or "```" in part:
            blocks.append(_block(part))
        elif part:
            sentences += _sentences(part)
    return _sentences(first), sentences, blocks


def _block(part: str) -> str:
    """A block of Args or Raises as a list; an example as it is."""
    head, _, body = part.partition("\n")
    if "```" in part or part.startswith("**"):
        return part
    entries = re.split(r"\n(?=\s{0,4}\S)", "\n" + body)
    return f"**{head.rstrip(':')}**\n\n" + "\n".join(f"- {linked(' '.join(e.split()))}" for e in entries if e.strip())


def _sentences(text: str) -> list[str]:
    flat = " ".join(text.split())
    for short in _SHORT:
        flat = flat.replace(short, short.replace(".", "\0"))
    return [part.replace("\0", ".") for part in _SENTENCE.split(flat) if part]


def _sorted(sentences: Iterable[str]) -> tuple[list[str], list[str], list[str], list[str]]:
    """Formulas, costs, what the authors do otherwise, and the rest: each sentence stands in one place."""
    found: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    for each in sentences:
        if _COST.search(each):
            place = 1
        elif _DIFFERS.search(each):
            place = 2
        else:
            place = 0 if is_formula(each) else 3
        if each not in found[place]:
            found[place].append(each)
    return found


def _section(title: str, sentences: Sequence[str]) -> str:
    return f"## {title}\n\n{' '.join(sentences)}" if sentences else ""


# ---------------------------------------------------------------------- metadata
def _about(row: Metadata) -> str:
    arxiv = f" [arXiv:{row.arxiv}](https://arxiv.org/abs/{row.arxiv})" if row.arxiv else ""
    survey = ", ".join(f"[{number}]" for number in row.survey)
    needs = [*(NEEDS[need][0] if need in NEEDS else need for need in row.needs)]
    lines = [
        ("Family", row.family),
        ("Paper", f"{row.paper}{arxiv}".strip()),
        ("In the survey", f"works {survey.replace('[', '&#91;')}" if survey else ""),
        ("Tasks", ", ".join(f"`{kind}`" for kind in row.tasks)),
        ("Needs", "; ".join(needs) if needs else "nothing beside the arguments of the example"),
        ("File", f"`{row.module.replace('.', '/')}.py`"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in lines if value)])


def example(row: Metadata) -> str:
    """A call of the method; its names are those that the tests of the site define."""
    package = row.module.partition(".")[0]
    of_clients = "clients" in row.needs
    student = "None" if "student" in row.cannot or not (row.student or of_clients) else "student"
    teacher = (
        "teachers" if "teachers" in row.needs else "teacher" if row.teacher or "ranked" in row.settings else "None"
    )
    data = "clients" if of_clients else "data"
    if package == "recsys":  # whose rows of clicks have layers of another name
        data = "split" if row.tasks[0] in ("ranking", "sequential") else "data"
    more = [GIVEN[each] for each in (*row.needs, row.tasks[0]) if each in GIVEN]
    call = ", ".join([f'"{row.name}"', student, teacher, data, *more])
    call = call.replace("convs.0", "layers") if package == "recsys" else call
    return f'result = {package}.distil({call})\nprint(result.scores["test"])'


def _settings(row: Metadata) -> str:
    if not row.settings:
        return ""
    lines = ["## Hyper-parameters", "", "| name | default | searched by `tune` |", "|---|---|---|"]
    for name, value in row.settings.items():
        shown = f"{value:.4g}" if isinstance(value, float) else repr(value)
        lines.append(f"| `{name}` | `{shown}` | {_range(row.space.get(name))} |")
    if row.published:
        lines += ["", "Training: " + ", ".join(f"{name} {value}" for name, value in row.published.items()) + "."]
    return "\n".join(lines)


def _range(found: Any) -> str:
    if found is None:
        return ""
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(each, (int, float)) for each in found):
        return " to ".join(f"{float(f'{each:.3g}'):g}" for each in found)
    return ", ".join(f"`{each!r}`" for each in found) if isinstance(found, (list, tuple)) else f"`{found!r}`"


def _refusals(row: Metadata) -> str:
    lines = [f"- `{what}`: {why}." for what, why in row.cannot.items()]
    return "\n".join(["## What it cannot take", "", *lines]) if lines else ""


# ---------------------------------------------------------------------- measured rows
def measured(row: Metadata) -> str:
    """The method's committed rows: a line for each file of results, with the gain over the student alone."""
    package = row.module.partition(".")[0]
    lines = []
    for name, (of, rows) in sets().items():
        lines += [_line(name, part, row.name) for part in _parts(rows) if of == package and _has(part, row.name)]
    if not lines:
        return "## Measured\n\nNo committed rows yet."
    up = RELATIVE * len(Path(path_of(row)).parts)
    head = ["| data | student | metric | score | gain on the student alone | seeds |", "|---|---|---|---|---|---|"]
    return "\n".join(["## Measured", "", *head, *(line.replace("RESULTS/", f"{up}results/") for line in lines)])


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one setting of a method's hyper-parameters each, with the student alone beside."""
    settings = dict.fromkeys(str((row.get("settings"), row.get("tuned"))) for row in rows)
    base = [row for row in rows if row["method"] == BASE]
    return [
        [*base, *(r for r in rows if r["method"] != BASE and str((r.get("settings"), r.get("tuned"))) == each)]
        for each in settings
    ]


def _has(rows: Sequence[Row], name: str) -> bool:
    return name != BASE and any(row["method"] == name and "value" in row for row in rows)


def _line(file: str, rows: list[Row], name: str) -> str:
    metric = next(row["metric"] for row in rows if row["method"] == name)
    groups = by_method(rows, metric)
    mean, deviation = spread([row["value"] for row in groups[name]])
    scale, digits, unit = (1, 3, "") if is_plain(metric) else (100, 1, " %")
    spreads = f" ± {scale * deviation:.{digits}f}" if len(groups[name]) > 1 else ""
    first = groups[name][0]
    gained = "" if is_plain(metric) else gain(groups[name], groups.get(BASE, []))
    cells = (
        f"[{first['dataset']}, {first['split']}](RESULTS/{file}.md){', tuned' if first.get('tuned') else ''}",
        f"{first['student']}, taught by {first['teacher']}",
        f"`{metric}`",
        f"{scale * mean:.{digits}f}{spreads}{unit}",
        f"{gained} points" if gained else "",
        str(len(groups[name])),
    )
    return "| " + " | ".join(cells) + " |"
