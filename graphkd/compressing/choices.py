"""Default choices: students and methods that serve a task, and the pairs of both that fit together."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

from torch import nn

from graphkd.compressing.students import Student
from graphkd.core.method import Metadata, lacks

# Methods to try, in this order: they learn from one teacher and need no further models.
METHODS = ("glnn", "kd", "soft_label_distance", "none", "soft_ce", "teacher_bounded", "soft_bce", "gsp")
_USUAL = 4  # of them by default
_MLPS = ((), (4,), (8,), (16,), (64,), (256,), (128, 128))  # widths of hidden layers
_WIDE, _PRUNED = 256, 32  # widths before and after pruning
_HOPS = (16, 64)
Train = Callable[[nn.Module], nn.Module]  # an MLP -> the same, trained


def auto_students(features: int, answers: int, *, edges: bool, train: Train) -> list[Student]:
    """Make students that answer for nodes: MLPs on features, a pruned one, and with ``edges`` GNNs of one hop.

    features, answers: widths of input and output. train: trains the wide MLP before pruning.
    """
    found = [_mlp(features, widths, answers) for widths in _MLPS]
    found.append(_pruned(features, answers, train))
    return found + [_one_hop(features, width, answers) for width in _HOPS if edges]


def chosen_methods(
    known: Sequence[Metadata], asked: Any, *, kind: str, has: Iterable[str], preferred: Sequence[str] = METHODS
) -> list[Metadata]:
    """Find methods by name, or for "auto" the first preferred ones that serve a task and have what they need.

    kind: of the task. has: the available needs of methods, ``"edges"`` and so on.

    Raises:
        TypeError: ``asked`` is neither "auto" nor a list of names.
        ValueError: a name is unknown, or its method cannot be used here; the message has the reason.
    """
    given, rows = {*has}, {row.name: row for row in known}
    if isinstance(asked, str) and asked == "auto":
        able = [rows[name] for name in preferred if name in rows and not _wrong(rows[name], kind, given)]
        return able[:_USUAL]
    if isinstance(asked, str) or not isinstance(asked, Iterable):
        raise TypeError(f"'methods' must be 'auto' or a list of names, got {asked!r:.80}")
    found = []
    for name in dict.fromkeys(asked):
        if name not in rows:
            near = difflib.get_close_matches(str(name), rows, n=3, cutoff=0.0)
            raise ValueError(f"there is no method {name!r}; the nearest are {', '.join(map(repr, near))}")
        if error := _wrong(rows[name], kind, given):
            raise error
        found.append(rows[name])
    if not found:
        raise ValueError("'methods' must have at least one name, got none")
    return found


def pairs_of(students: Sequence[Student], methods: Sequence[Metadata]) -> list[tuple[Student, Metadata]]:
    """Pair students and methods that fit together, in an order in which each of them comes early.

    A method for students that read features alone does not fit a student that reads edges; a method for hidden layers
    does not fit a student without any.
    """
    count = len(methods)
    spread = ((each, methods[(place + turn) % count]) for turn in range(count) for place, each in enumerate(students))
    return [(each, row) for each, row in spread if _goes(each, row)]


def _goes(student: Student, row: Metadata) -> bool:
    if "feature student" in row.needs and student.reads_edges:
        return False
    return "hidden" not in row.needs or student.is_given or student.hidden is not None


def _wrong(row: Metadata, kind: str, has: set[str]) -> ValueError | None:
    """Return the error that says why a method cannot be used here, or None."""
    if kind not in row.tasks:
        return ValueError(f"{row.name!r} is for {' and '.join(row.tasks)}, the task is {kind!r}: take it out")
    if "student" in row.cannot:
        why = row.cannot["student"]
        return ValueError(f"{row.name!r} has a student of its own, so there is none to choose: {why}; take it out")
    missing = [need for need in row.needs if need not in has and need != "feature student"]
    return lacks(row, missing[0]) if missing else None


def _mlp(features: int, widths: tuple[int, ...], answers: int) -> Student:
    from torch_geometric.nn import MLP

    channels = [features, *widths, answers]

    def make(dropout: float = 0.5) -> nn.Module:
        return MLP(channels, norm=None, dropout=dropout)

    name = "-".join(["mlp", *map(str, widths)]) if widths else "linear"
    fixed = partial(make, 0.0)  # no hidden layer to drop from
    return Student(name, make if widths else fixed, make, f"lins.{len(widths) - 1}" if widths else None, is_given=False)


def _pruned(features: int, answers: int, train: Train) -> Student:
    from torch_geometric.nn import MLP

    from graphkd.compressing.pruning import pruned

    narrow = [features, _PRUNED, answers]

    @cache
    def wide() -> nn.Module:
        return train(MLP([features, _WIDE, answers], norm=None, dropout=0.5))

    def make(dropout: float = 0.5) -> nn.Module:
        return pruned(wide(), _PRUNED, dropout)

    name = f"pruned-{_PRUNED}-of-{_WIDE}"
    return Student(name, make, partial(MLP, narrow, norm=None), "lins.0", is_given=False)


def _one_hop(features: int, width: int, answers: int) -> Student:
    from graphkd.compressing.one_hop import OneHop

    def make(dropout: float = 0.5) -> nn.Module:
        return OneHop(features, width, answers, dropout)

    return Student(f"one-hop-{width}", make, make, "lin", reads_edges=True, is_given=False)
