"""Search that ``graphkd.compress`` and ``recsys.compress`` share: from students, methods and a budget to a front."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from graphkd.compressing.budget import Budget, Costs
from graphkd.compressing.choices import pairs_of
from graphkd.compressing.front import Front, Member
from graphkd.compressing.halving import LEAST, Halving, Pair, Trial, point_of
from graphkd.compressing.measuring import Measure
from graphkd.compressing.pareto import fronts
from graphkd.compressing.students import Student
from graphkd.core.card import architecture, described, versions
from graphkd.core.distilled import Distilled
from graphkd.core.folder import contents
from graphkd.core.method import Metadata
from graphkd.core.resume import Resume, check_resume, warn_of_no_run
from graphkd.core.search import RUNGS
from graphkd.core.space import Space
from graphkd.core.study import study_of
from graphkd.core.task import Task
from graphkd.core.trials import Shown
from graphkd.core.tuning import check_validation
from graphkd.core.wrappers import unwrapped

_SILENT = ("log", "save_every", "fabric")  # options that do not change results


@dataclass(frozen=True)
class Compression:
    """Compression of a teacher: the candidates, the data, and how they are trained and measured.

    distil: the library's function. students, methods: to choose among. usual: default settings of training, which user
    and method may override. measure: measures the costs of students. epochs: of a whole training, None for the
    method's. options: of ``distil``. hidden: student -> the option ``hidden`` for it. ``judge``: returns the teacher's
    scores and costs.
    """

    distil: Callable[..., Distilled]
    students: Sequence[Student]
    methods: Sequence[Metadata]
    teacher: Any
    data: Any
    task: Task
    usual: Mapping[str, Any]
    measure: Measure
    budget: Budget
    judge: Callable[[], Mapping[str, Any]]
    epochs: int | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    hidden: Callable[[Student], Any] = lambda _: None

    def __call__(self, trials: int, *, checkpoint: str | Path | None, resume: Resume, progress: bool | None) -> Front:
        """Measure the students, spend the trials on those within the budget, and return the front.

        Raises ValueError for ``trials`` below 1, and if no method can train any student within the budget.
        """
        if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
            raise ValueError(f"'trials' must be a whole number of at least 1, got {trials!r}")
        check_resume(resume, checkpoint)
        check_validation(self.task, self.data)
        folder = None if checkpoint is None else _folder(Path(checkpoint), resume)
        with study_of(folder, self._about(trials)) as study:
            costs = self._measured(study)
            inside = [each for each in self.students if not self.budget.over(costs[each.name])]
            pairs = pairs_of(inside, self.methods)
            if inside and not pairs:
                raise ValueError(
                    f"none of the methods {[row.name for row in self.methods]} can train any of the students "
                    f"{[each.name for each in inside]}: give others, or 'hidden' where they read hidden layers"
                )
            halving = self._halving(pairs, costs, study, folder)
            with Shown(_trainings(trials), progress, "compress", "training") as shown:
                found = halving(trials, shown) if pairs else []
            left = [_left_out(each.name, costs[each.name], self.budget) for each in self.students if each not in inside]
            members = self._members(found, costs, study, left)
            about = {**self._asked(trials), "versions": versions()}
            return Front(members, self.budget, self._metric(members), left, halving.rows, self.judge(), about)

    # ------------------------------------------------------------------ before any training
    def _measured(self, study: Any) -> dict[str, Costs]:
        """Return the costs of all students; a resumed search reuses stored ones."""
        known: dict[str, Any] | None = study.user_attrs.get("costs")
        if known is None:
            found = self.measure({each.name: each.shape() for each in self.students})
            known = {name: asdict(costs) for name, costs in found.items()}
            study.set_user_attr("costs", known)
        return {name: Costs(**costs) for name, costs in known.items()}

    def _about(self, trials: int) -> dict[str, Any]:
        """Describe everything by which searches can differ."""
        shapes = {each.name: architecture(each.shape()) for each in self.students}
        given = {name: described(value) for name, value in self.options.items() if name not in _SILENT}
        given["hidden"] = {each.name: described(self.hidden(each)) for each in self.students}
        about = {**self._asked(trials), "students": shapes, "options": given, "budget": asdict(self.budget)}
        return about | {"search": "compress", "teacher": described(self.teacher), "data": described(self.data)}

    def _asked(self, trials: int) -> dict[str, Any]:
        asked = {"task": self.task.kind, "trials": trials, "epochs": self.epochs, "seed": self.seed}
        asked |= {"students": [each.name for each in self.students], "methods": [row.name for row in self.methods]}
        return asked

    # ------------------------------------------------------------------ trainings
    def _halving(self, pairs: Sequence[Pair], costs: Mapping[str, Costs], study: Any, folder: Path | None) -> Halving:
        return Halving(pairs, costs, self._space, self._train, self._whole, study, seed=self.seed, folder=folder)

    def _whole(self, row: Metadata) -> int:
        """Return the epochs of a whole training."""
        return int({**self.usual, **row.published}["epochs"] if self.epochs is None else self.epochs)

    def _space(self, pair: Pair) -> Space:
        student, row = pair
        return Space(row, {**self.usual, **row.published}, student.make, self.options)

    def _train(self, trial: Trial, epochs: int | None, folder: Path | None) -> Distilled:
        made = trial.student.make
        made = partial(made, **trial.setting.student) if trial.setting.student else made
        given = {**self.options, **trial.setting.options, "task": self.task, "seed": self.seed, "progress": False}
        given["epochs"] = self.epochs if epochs is None else epochs
        given["hidden"] = self.hidden(trial.student) if "hidden" in trial.method.needs else None
        kept = {} if folder is None else {"checkpoint": folder, "resume": "auto"}
        teacher = self.teacher if trial.method.teacher else None
        return self.distil(trial.method.name, made, teacher, self.data, **given, **kept)

    # ------------------------------------------------------------------ the front
    def _members(
        self,
        found: Sequence[tuple[Trial, Distilled, float]],
        costs: Mapping[str, Costs],
        study: Any,
        left: list[dict[str, Any]],
    ) -> list[Member]:
        """Build the front of students trained to the end; models that cannot be served are added to ``left``."""
        members = []
        for trial, result, score in found:
            name = f"{trial.student.name} by {trial.method.name}"
            try:
                own = self._served(trial, result, costs[trial.student.name], study)
            except (TypeError, ValueError) as error:  # no form can answer a query
                left.append({"student": name, "reason": str(error)})
                continue
            if self.budget.over(own):
                left.append(_left_out(name, own, self.budget))
            else:
                members.append(_member(trial, result, score, own))
        points = {n: point_of(each.card["validation"], each.costs) for n, each in enumerate(members)}
        first = [members[n] for n in (fronts(points)[0] if points else [])]
        return sorted(first, key=lambda each: -each.card["validation"])

    def _served(self, trial: Trial, result: Distilled, known: Costs, study: Any) -> Costs:
        """Return the costs of the served model, measured again if the method changed the student's model."""
        kinds = {type(unwrapped(model)) for model in (result.model, trial.student.shape())}
        if len(kinds) == 1 and sum(each.numel() for each in result.model.parameters()) == known.parameters:
            return known
        key = f"costs of trial {trial.number}"
        if key not in study.user_attrs:
            name = f"{trial.student.name} by {trial.method.name}"
            study.set_user_attr(key, asdict(self.measure({name: copy.deepcopy(result.model)})[name]))
        return Costs(**study.user_attrs[key])

    def _metric(self, members: Sequence[Member]) -> str:
        named = getattr(self.task, "wanted", None) or getattr(self.task, "metrics", None) or ("score",)
        return str(members[0].card["metric"] if members else named[0])


def _member(trial: Trial, result: Distilled, score: float, costs: Costs) -> Member:
    about: dict[str, Any] = {"student": trial.student.name, "method": trial.method.name}
    about |= {"settings": dict(trial.setting.values), "validation": score}
    about |= {"metric": next(iter(result.scores["val"])), "trial": trial.number}
    return Member(result, {**about, **asdict(costs), "scores": result.scores, "run": result.card})


def _left_out(name: str, costs: Costs, budget: Budget) -> dict[str, Any]:
    return {"student": name, **asdict(costs), "reason": budget.over(costs)}


def _folder(folder: Path, resume: Resume) -> Path:
    """Return the folder; ValueError if it is not empty at the start of a new search."""
    inside = contents(folder)
    if inside and resume is False:
        raise ValueError(
            f"'checkpoint' must be an empty folder, {str(folder)!r} holds {inside[:3]}: give resume=True to go on with "
            "the search in it, or another folder"
        )
    if not inside and resume is True:
        warn_of_no_run(folder)
    return folder


def _trainings(trials: int) -> int:
    """Count the trainings of a number of trials."""
    count = total = trials
    for _ in range(1, RUNGS):
        count = min(count, max(LEAST, (count + 1) // 2))
        total += count
    return total
