"""Methods: named functions that turn student, teacher, data and task into a trained student, with their metadata."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphkd.core.hyperparameters import check_numbers

SPAN = 30.0  # search space of a hyper-parameter: the published value divided and multiplied by this

# What a method may need beside student, teacher and data -> a description, and how to give it.
NEEDS: Mapping[str, tuple[str, str]] = {
    "hidden": ("the path of a hidden layer of student and teacher", "hidden='convs.0' or hidden=('lins.0', 'convs.0')"),
    "edges": ("edges, as 'edge_index'", "data.edge_index = ..."),
    "whole graph": ("the whole graph as one batch", "data in place of a loader"),
    "teachers": ("several teachers", "graphkd.distil({name!r}, student, [one, other], data)"),
    "domains": ("the domain of every node", "domains=tensor of shape (N,): 0 source, 1, 2 ... targets"),
    "clients": ("what each client holds, as data", "graphkd.distil({name!r}, student, None, Clients([one, other]))"),
    "public": ("rows that all clients see", "public=data"),
    "layers": (
        "two layers",
        "layers=('convs.0', 'convs.1'), paths of both models or (student, teacher) pairs of paths",
    ),
    "feature student": ("a student that reads features alone", "student=MLP([F, 128, C])"),
    "candidates": ("students to choose from", "candidates=[one, other]"),
    "modality": ("another kind of input of the same nodes", "modality=tensor of shape (N, F)"),
    "sources": (
        "the source domain of every node",
        "sources=tensor of shape (N,): the place of its teacher in the list of teachers, -1 for nodes of the target",
    ),
    "sequence": (
        "the tasks in their order",
        "sequence=tensor of shape (N,): 0 for nodes of the first task, 1, 2 ... for later ones, -1 for none; or a list "
        "of names of masks, or of graphs",
    ),
    "other_teacher": ("a teacher of another task", "other_teacher=model"),
    "booster": ("a larger net to be trained beside the student", "booster=model"),
    "second": ("labels of a second task on the same rows", "second=tensor of shape (N,), or the name of a column"),
    "student_tables": ("a student whose scores are inner products of two tables", "student=MF(users, items, width)"),
    "teacher_tables": ("a teacher whose scores are inner products of two tables", "teacher=MF(users, items, width)"),
    "propagation": (
        "a student and a teacher that propagate tables over the training pairs",
        "student=LightGCN(split.train, width, 2), teacher=LightGCN(split.train, width, 8)",
    ),
    "masked student": ("a student that fills in masked items", "student=BERT4Rec(num_items, width)"),
    "blocks": (
        "a student and a teacher of blocks of one width",
        "student=SASRec(num_items, width, layers=2), teacher=SASRec(num_items, width, layers=4)",
    ),
}

# Names for several kinds of tasks: those with classes that exclude each other, and all in which students answer rows.
KINDS: Mapping[str, tuple[str, ...]] = {
    "classes": ("node_classification", "graph_classification"),
    "rows": (
        "node_classification",
        "multi_label_node_classification",
        "graph_classification",
        "graph_regression",
        "link_prediction",
        "regression",
    ),
}


@dataclass(frozen=True, eq=False)
class Metadata:
    """Metadata of a method, known without importing it.

    settings: its hyper-parameters and their published defaults. space: the search range of each, (low, high); ranges:
    those that the method gives itself. needs: what it needs beside student, teacher and data, see ``NEEDS``. cannot:
    "loader", "call", "cached", "ensemble", "heterogeneous", "sparse" (features in such a layout) or "student" -> why it
    cannot take that. published: options of ``fit`` from its paper. student, teacher: whether one must be given; a
    method that needs no student makes the published one. tasks: the kinds of tasks that it supports, or a name of
    several, see ``KINDS``. survey: the reference numbers in Hu et al., arXiv:2304.14800, of the works that propose it
    or a part of it.
    """

    name: str
    family: str = ""
    paper: str = ""
    arxiv: str = ""
    survey: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ("node_classification",)
    needs: tuple[str, ...] = ()
    cannot: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Any] = field(default_factory=dict)
    student: bool = True
    teacher: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    module: str = ""

    def __post_init__(self) -> None:
        kinds = (kind for name in self.tasks for kind in KINDS.get(name, (name,)))
        object.__setattr__(self, "tasks", tuple(dict.fromkeys(kinds)))
        if "clients" in self.needs:  # clients may bring models of their own, and teach one another
            object.__setattr__(self, "student", False)
            object.__setattr__(self, "teacher", False)

    @property
    def space(self) -> dict[str, Any]:
        """Return search ranges: log-uniform over a factor of 30 to both sides of a number's default, unless given."""
        free = {
            name: (value / SPAN, value * SPAN)
            for name, value in self.settings.items()
            if isinstance(value, float) and value > 0 and name not in self.ranges
        }
        return {**free, **self.ranges}


@dataclass(frozen=True, eq=False)
class Method(Metadata):
    """A method that can be run: its metadata and its function of a ``Problem``; made by ``method``."""

    function: Callable[..., Any] = field(default=lambda problem: problem.supervised())
    also: tuple[Method, ...] = ()  # of the same function, under other names

    def __call__(self, problem: Any, **settings: Any) -> Any:
        """Run the method's function, for methods that build on this one."""
        return self.function(problem, **settings)


def method(
    name: str,
    *,
    family: str | None = None,
    paper: str = "",
    arxiv: str = "",
    survey: tuple[int, ...] = (),
    tasks: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    cannot: Mapping[str, str] | None = None,
    published: Mapping[str, Any] | None = None,
    student: bool = True,
    teacher: bool = True,
    space: Mapping[str, Any] | None = None,
    preset: Mapping[str, Any] | None = None,
) -> Callable[[Callable[..., Any]], Method]:
    """Make a method of a function of a ``Problem``; all arguments must be literals: tables read them without importing.

    family: the group in which it is listed. published: options of ``fit``: "epochs", "patience", "lr" and
    "weight_decay" of Adam. space: hyper-parameter -> its range, where a factor of 30 to both sides is wrong. See
    ``Metadata`` for the rest. Each further name of the function is a decorator above, ``@method(name, preset={...})``,
    with other defaults and, if it supports fewer, ``tasks``; all else is that of the first. Raises TypeError for a
    first name without ``family``.
    """

    def decorate(function: Callable[..., Any]) -> Method:
        if isinstance(function, Method):
            return _renamed(function, name, preset or {}, tasks or function.tasks)
        if family is None:
            raise TypeError(f"the method {name!r} must have a 'family'")
        made = Method(
            name=name,
            family=family,
            paper=paper,
            arxiv=arxiv,
            survey=survey,
            tasks=tasks or ("node_classification",),
            needs=(*needs, *(["whole graph"] if "loader" in (cannot or {}) else [])),
            cannot=cannot or {},
            published=published or {},
            student=student,
            teacher=teacher,
            settings=defaults_of(function),
            ranges=space or {},
            summary=first_paragraph(inspect.getdoc(function)),
            module=function.__module__,
            function=function,
        )
        return _documented(made, function.__doc__)

    return decorate


def _renamed(known: Method, name: str, preset: Mapping[str, Any], tasks: tuple[str, ...]) -> Method:
    """Copy a method with other defaults, under a name of its own."""
    first = known.also[-1] if known.also else known
    made = replace(
        first,
        name=name,
        tasks=tasks,
        settings={**first.settings, **preset},
        function=functools.partial(first.function, **preset),
        also=(_documented(replace(known, also=()), known.__doc__), *known.also),
    )
    return _documented(made, known.__doc__)


def _documented(made: Method, text: str | None) -> Method:
    object.__setattr__(made, "__doc__", text)
    return made


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a method's function and their defaults: keyword-only parameters that have one."""
    found = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}


def first_paragraph(text: str | None) -> str:
    """Return the first paragraph of a docstring in one line: what a method does, and when to choose it."""
    return " ".join((text or "").partition("\n\n")[0].split())


def as_method(given: Any) -> Method:
    """Return a ``Method`` unchanged, and a user's own function of a problem as a method of the function's name."""
    if isinstance(given, Method):
        return given
    if not callable(given):
        raise TypeError(f"'method' must be a name, a loss or a function of a Problem, got {type(given).__name__}")
    name = getattr(given, "__name__", type(given).__name__)
    return Method(name=name, settings=defaults_of(given), teacher=False, module=__name__, function=given)


# Options of every method beside its settings.
OPTIONS = frozenset(
    [
        "task",
        "hidden",
        "call",
        "epochs",
        "optimizer",
        "scheduler",
        "clip",
        "patience",
        "metric_every",
        "shares_every",
        "seed",
        "checkpoint",
        "save_every",
        "resume",
        "device",
        "fabric",
        "log",
        "progress",
        "features",
    ]
)


def check_settings(chosen: Method, given: Collection[str] | Mapping[str, Any]) -> None:
    """Raise TypeError for a setting that the method does not have, naming the nearest one and all.

    If ``given`` has values, numeric settings must be numbers, else TypeError, and finite, else ValueError.
    """
    if isinstance(given, Mapping):
        check_numbers(chosen.function, given)
    parameters = list(inspect.signature(chosen.function).parameters.values())[1:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    if taken := sorted(OPTIONS & {*known}):
        raise TypeError(f"settings of {chosen.name!r} must have names of their own, {taken} are options of distil")
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{chosen.name!r} has no setting {name!r}{hint} It has: {', '.join(known) or 'none'}")


def lacks(chosen: Metadata, need: str) -> ValueError:
    """Make the error that says what a method needs and how it is given."""
    what, example = NEEDS.get(need, (f"'{need}'", f"{need}=..."))
    return ValueError(f"{chosen.name!r} needs {what}: give {example.format(name=chosen.name)}")
