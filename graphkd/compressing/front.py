"""Result of a compression: the Pareto front of students in accuracy and costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, overload

from torch import nn

from graphkd.compressing.budget import Budget, Costs
from graphkd.compressing.picture import draw
from graphkd.compressing.report import html
from graphkd.compressing.tables import aligned
from graphkd.core.distilled import Distilled
from graphkd.core.files import replacing


@dataclass(frozen=True)
class Member:
    """Student of a front.

    result: of ``distil``. card, in plain values: student, method, settings, validation (the score there, by
    ``metric``), costs (``latency_ms, parameters, megabytes, form``), scores (with those of the test part, if any), and
    how the student was trained.
    """

    result: Distilled = field(repr=False)
    card: Mapping[str, Any]

    @property
    def model(self) -> nn.Module:
        """Return the model to serve, a plain module in eval mode."""
        return self.result.model

    @property
    def costs(self) -> Costs:
        """Return the costs of serving the model."""
        return Costs(**{name: self.card[name] for name in ("latency_ms", "parameters", "megabytes", "form")})

    def save(self, folder: str | Path) -> None:
        """Write weights (safetensors) and card (JSON) into a folder, for ``Distilled.load``."""
        result = self.result
        Distilled(result.model, result.scores, result.method, card=dict(self.card)).save(folder)


@dataclass(frozen=True, repr=False)
class Front(Sequence[Member]):
    """Pareto front of students: none is at least as good as another in accuracy, latency, parameters and size.

    members: most accurate first, ``front[0]`` and so on. left_out: one row per student that was over the budget or
    cannot be served, with the reason. tried: one row per training. teacher: its scores and, if it could be timed, its
    costs. about: the arguments of the search.

    Example::

        front = graphkd.compress(teacher, data, budget=Budget(latency_ms=0.2))
        print(front.table())
        front.best().save("student/")
        front.report("report.html")
    """

    members: Sequence[Member]
    budget: Budget
    metric: str
    left_out: Sequence[Mapping[str, Any]] = ()
    tried: Sequence[Mapping[str, Any]] = ()
    teacher: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.members)

    @overload
    def __getitem__(self, place: int) -> Member: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Member]: ...

    def __getitem__(self, place: int | slice) -> Member | Sequence[Member]:
        return self.members[place]

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def __repr__(self) -> str:
        return f"Front of {len(self)} students by {self.metric}, {self.budget}\n{self.table()}"

    def best(self, budget: Budget | None = None) -> Member:
        """Choose the most accurate student on validation within the budget of the search, or within ``budget``.

        Raises:
            ValueError: there is none; the message names the nearest student.
        """
        limit = self.budget if budget is None else budget
        inside = [each for each in self if not limit.over(each.costs)]
        if inside:
            return max(inside, key=lambda each: each.card["validation"])  # the first of equals
        known = {each.card["student"]: each.costs for each in self}
        known |= {row["student"]: _costs(row) for row in self.left_out if "latency_ms" in row}
        if not known:
            raise ValueError(f"no student could be timed: {[row['reason'] for row in self.left_out]}")
        nearest = min(known, key=lambda name: limit.excess(known[name]))
        raise ValueError(
            f"no student is within the budget, {limit}; the nearest is {nearest!r} with {limit.over(known[nearest])}: "
            "give a larger budget, or smaller students"
        )

    def table(self) -> str:
        """Return a text with one line per student, the teacher first: scores, costs, method."""
        return aligned(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table: one for the teacher, then one per student."""
        rows = [{"student": each.card["student"], "method": each.card["method"], **_shown(each.card)} for each in self]
        return [{"student": "teacher", "method": "", **_shown(self.teacher)}, *rows] if self.teacher else rows

    def plot(self, path: str | Path) -> None:
        """Draw accuracy against latency into a file: .svg without further packages, .png and others by matplotlib.

        Raises:
            ImportError: a suffix other than .svg without matplotlib.
        """
        path = Path(path)
        if path.suffix == ".svg":
            self._write(path, draw(self.points(), self.metric, self.budget.latency_ms))
            return
        from graphkd.compressing.figure import figure

        figure(self.points(), self.metric, self.budget.latency_ms, path)

    def points(self) -> list[dict[str, Any]]:
        """Return the points of the picture: name, kind (front, tried, teacher), latency_ms or None, score."""
        last = {row["trial"]: row for row in self.tried if row["score"] is not None and row.get("is_last")}
        own = {each.card["trial"] for each in self}
        rows = [{"name": each.card["student"], "kind": "front", **_place(each.card)} for each in self]
        rows += [{"name": row["student"], "kind": "tried", **_place(row)} for n, row in last.items() if n not in own]
        return rows + ([{"name": "teacher", "kind": "teacher", **_place(self.teacher)}] if self.teacher else [])

    def report(self, path: str | Path) -> None:
        """Write one self-contained HTML file: picture, table, settings, trainings and left-out students."""
        parts = {"Students": self.rows(), "Left out, over the budget": self.left_out, "All trainings": self.tried}
        cards = [dict(each.card) for each in self]
        picture = draw(self.points(), self.metric, self.budget.latency_ms)
        self._write(Path(path), html(picture, parts, cards, {**self.about, "budget": asdict(self.budget)}))

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(text.encode())


def _costs(row: Mapping[str, Any]) -> Costs:
    return Costs(**{name: row[name] for name in ("latency_ms", "parameters", "megabytes", "form")})


def _shown(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a table that students and the teacher share."""
    test = next(iter(card.get("scores", {}).get("test", {}).values()), None)
    names = ("latency_ms", "parameters", "megabytes", "form")
    return {"validation": card.get("validation"), "test": test, **{name: card.get(name) for name in names}}


def _place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"latency_ms": row.get("latency_ms"), "score": row["validation"] if "validation" in row else row["score"]}
