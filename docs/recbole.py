"""The page of RecBole's models, made by running them: ``python -m docs.recbole`` writes recbole.md.

Each is built with small widths on the users of ml-100k with few items, trained for an epoch as student, and then, or as
it was fitted, taken as teacher. ``python -m docs.recbole NAME ...`` runs some and prints their rows.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import recsys
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from recsys import bridge
from recsys._recbole_models import kinds
from recsys.data.rows import Rows
from recsys.models import MF, context
from recsys.models.own_loss import is_fitted, reads_users, regularises, why_not
from recsys.tasks import Clicks, Ranking

HERE = Path(__file__).parent
_FEW = {"user_inter_num_interval": "[0,22]", "item_inter_num_interval": "[5,inf)"}
_WIDTHS = (
    *("embedding_size", "kg_embedding_size", "mf_embedding_size", "mlp_embedding_size", "ui_embedding_size"),
    *("neigh_embedding_size", "hidden_size", "latent_dimension", "hidden_dimension", "latent_dimendion"),
)
# Whose options hang together, or depend on the size of the data.
_OWN: Mapping[str, dict[str, Any]] = {"ConvNCF": {}, "DGCF": {"train_batch_size": 64}}
_KINDS = {
    "GENERAL": "General and closed-form models",
    "KNOWLEDGE": "Models of a knowledge graph",
    "CONTEXT": "Context-aware models",
    "SEQUENTIAL": "Sequential models",
    "DECISIONTREE": "Decision trees",
}
_HEAD = ("| model | as teacher | as student | learns by |", "|---|---|---|---|")


class Row(NamedTuple):
    """What came of a model."""

    name: str
    teacher: str
    student: str
    learns: str


def row_of(name: str) -> Row:
    """Run a model; what it refuses is said in its row."""
    kind = kinds()[name]
    if kind == "DECISIONTREE":
        return Row(name, "no", "no", "refused: decision trees have no gradient and no embeddings")
    run = {"CONTEXT": _context, "SEQUENTIAL": _sequential}.get(kind, _general)
    try:
        with warnings.catch_warnings(), seeded(0):
            warnings.simplefilter("ignore")
            return run(name)
    except (ImportError, ValueError, TypeError, RuntimeError, KeyError, AttributeError, NotImplementedError) as error:
        return Row(name, "no", "no", f"refused: {_short(error)}")


def _short(error: Exception) -> str:
    """What an error says, without folders of this machine."""
    text = re.sub(r"(?<![\w.])/\S*/", "", " ".join(str(error).split()))
    if not isinstance(error, (ImportError, TypeError, ValueError)):
        text = f"{type(error).__name__}: {text}"
    return f"{text[:140].rpartition(' ')[0]}..." if len(text) > 143 else text


# ---------------------------------------------------------------------- rankings
@cache
def _data(model: str) -> Any:
    return bridge.load("ml-100k", model, options=_FEW)


def _general(name: str) -> Row:
    data = _data("CKE" if kinds()[name] == "KNOWLEDGE" else "BPR")
    model = _small(lambda options: bridge.recommender(data, name, options), name)
    task, sizes = Ranking(batch_size=2048), (data.split.train.num_users, data.split.train.num_items)
    student, learns, inner = "no", "closed form", model.model
    trained = model
    if not is_fitted(inner):
        found = recsys.distil("kd", model, MF(*sizes, 4), data, task=task, epochs=1, metric_every=1, progress=False)
        trained, student = found.model, _methods("student", model)
        learns = _learns(inner)
    recsys.distil("kd", MF(*sizes, 4), trained, data, task=task, epochs=1, progress=False)
    return Row(name, _methods("teacher", model), student, learns)


def _learns(inner: Any) -> str:
    if reason := why_not(inner):
        return f"BPR: {reason.partition(', which')[0]}"
    if reads_users(inner):
        return "its own loss, of users"
    return f"its own loss, of {'pairs' if inner.input_type.name == 'PAIRWISE' else 'labelled pairs'}"


def _of_any(task: str) -> list[Metadata]:
    """The methods of a task that are for models of any kind."""
    return [
        row for row in recsys.methods(task=task) if not {"propagation", "masked student", "blocks"} & set(row.needs)
    ]


def _methods(side: str, model: Any) -> str:
    """Which methods of rankings serve a model on a side: those of scores, and with tables all."""
    rows = _of_any("ranking")
    scores = [row for row in rows if f"{side}_tables" not in row.needs]
    return f"all {len(rows)}" if model.has_tables else f"{len(scores)} of scores"


def _small(make: Callable[[Mapping[str, Any]], Any], name: str) -> Any:
    """A model of small widths; with its own where it has others."""
    own = _defaults(name)
    if name in _OWN:
        return make(_OWN[name])
    options: dict[str, Any] = {key: 8 for key in _WIDTHS if isinstance(own.get(key), int)}
    for key in ("mlp_hidden_size", "hidden_size_list", "layers"):
        if isinstance(own.get(key), list):
            options[key] = [8] * len(own[key])
    while True:
        try:
            return make(options)
        except ValueError as error:
            dropped = [key for key in options if repr(key) in str(error)]
            if not dropped:
                raise
            options = {key: value for key, value in options.items() if key not in dropped}


@cache
def _defaults(name: str) -> dict[str, Any]:
    import recbole
    import yaml  # type: ignore[import-untyped]

    path = Path(recbole.__file__).parent / "properties" / "model" / f"{name}.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


# ---------------------------------------------------------------------- clicks and sequences
@cache
def _clicks() -> Any:
    data = context.load("ml-100k", options={**_FEW, "threshold": {"rating": 4}})
    rows = data.rows
    columns = {"y" if name == "label" else name: column for name, column in rows.columns.items()}
    return data._replace(rows=Rows(columns, rows.fields, rows.train, rows.valid, rows.test))


def _context(name: str) -> Row:
    data = _clicks()
    model = _small(lambda options: context.context_model(data, name, options), name)
    teacher = _small(lambda options: context.context_model(data, "FM", options), "FM")
    found = recsys.distil("kd", model, teacher, data, task=Clicks(batch_size=2048), epochs=1, progress=False)
    student = _small(lambda options: context.context_model(data, "FM", options), "FM")
    recsys.distil("kd", student, found.model, data, task=Clicks(batch_size=2048), epochs=1, progress=False)
    rows = recsys.methods(task="clicks")
    learns = "its own loss, the log loss and what regularises it" if regularises(model.model) else "the log loss"
    return Row(name, f"all {len(rows)} of clicks", f"all {len(rows)} of clicks", learns)


def _sequential(name: str) -> Row:
    data = bridge.load("ml-100k", name, options=_FEW)
    model = _small(lambda options: bridge.recommender(data, name, options), name)
    first = recsys.distil("none", model, None, data, epochs=1, progress=False).model
    again = _small(lambda options: bridge.recommender(data, name, options), name)
    recsys.distil("kd", again, first, data, epochs=1, progress=False)
    rows = _of_any("sequential")
    return Row(name, f"all {len(rows)} of sequences", f"all {len(rows)} of sequences", "its own loss")


# ---------------------------------------------------------------------- the page
def page(rows: Iterable[Row]) -> str:
    """The whole page, in Markdown."""
    found = list(rows)
    teach, learn = (sum(getattr(row, side) != "no" for row in found) for side in ("teacher", "student"))
    lines = [
        "# RecBole's models",
        "",
        "Made by `python -m docs.recbole`, which runs each of RecBole 1.2.1's models on users of ml-100k with at most",
        f"22 items, of which each has 5 users or more, with small widths, for one epoch: {teach} of {len(found)} "
        f"teach, {learn} learn.",
        "",
        *_legend(),
    ]
    for kind, title in _KINDS.items():
        part = [row for row in found if kinds()[row.name] == kind]
        if part:
            lines += ["", f"## {title}", "", *_HEAD, *map(_line, part)]
    return "\n".join(lines) + "\n"


def _legend() -> list[str]:
    rows = _of_any("ranking")

    def names(side: str) -> str:
        return ", ".join(f"`{row.name}`" for row in rows if f"{side}_tables" in row.needs)

    return [
        f"Rankings have {len(rows)} methods for models of any kind (docs/methods.md). Models of products of two",
        "tables take part in all of them, other models in those that read only scores. These need a student's tables:",
        f"{names('student')}; of a teacher: {names('teacher')}.",
        "",
        "*As teacher* and *as student* say how many methods take the model on that side; *of scores* are those that",
        "read only scores. *Learns by* is what a student adds to the distillation terms: its own loss, which is",
        "RecBole's `calculate_loss` (`recsys.losses.RecBoleLoss`); the log loss of clicks; or BPR, where the",
        "model's own loss alone does not train it, with the reason. A model in closed form is fitted when it is",
        "built: it can teach but not learn. *Refused* quotes the error message.",
    ]


def _line(row: Row) -> str:
    cells = (f"`{row.name}`", row.teacher, row.student, row.learns)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(names: list[str]) -> None:
    """Run some models and print their rows, or all and write the page."""
    found = []
    for name in names or kinds():
        found.append(row_of(name))
        sys.stdout.write(f"{_line(found[-1])}\n")
        sys.stdout.flush()
    if not names:
        (HERE / "recbole.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
