"""Search over students, methods and settings by successive halving on validation rows.

A trial is a student, a method and a setting. The first two thirds are pairs of a student and a method at the published
setting; the others have settings drawn for the better half of these pairs. All trials are trained for a ninth of the
epochs, the better half for a third, and the better half of these for all (successive halving: Jamieson and Talwalkar,
AISTATS 2016, arXiv:1502.07943). Trials are ordered by fronts of the validation score and the costs, so that small
students compete with small ones. Each training begins anew.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphkd.compressing.budget import Costs
from graphkd.compressing.pareto import Point, best_half, ordered
from graphkd.compressing.students import Student
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.search import FACTOR, FAILURES, RUNGS
from graphkd.core.space import Setting, Space
from graphkd.core.trials import Shown

_log = logging.getLogger(__name__)
LEAST = 4  # trials that continue, if there are so many: fewer students would leave no choice
Pair = tuple[Student, Metadata]
Train = Callable[["Trial", int | None, Path | None], Distilled]  # trial, epochs (None: those of the method), folder


@dataclass(frozen=True)
class Trial:
    """Trial of a student, a method and a setting."""

    number: int
    student: Student
    method: Metadata
    setting: Setting


class Halving:
    """Spend trials; calling it returns the trials that were trained to the end, best first; ``rows`` has all trainings.

    pairs: in the order in which they are tried. costs: of each student, by name. space: pair -> its search space.
    train: trains a trial. epochs: method -> epochs of a whole training. study: optuna's, whose attributes store
    settings and scores. folder: for checkpoints of trainings. The choice of trials depends on previous scores and the
    seed alone.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        costs: Mapping[str, Costs],
        space: Callable[[Pair], Space],
        train: Train,
        epochs: Callable[[Metadata], int],
        study: Any,
        *,
        seed: int,
        folder: Path | None,
    ) -> None:
        self.pairs, self.costs, self.space, self.train, self.epochs = pairs, costs, space, train, epochs
        self.study, self.seed, self.folder = study, seed, folder
        self.found: dict[int, Distilled] = {}  # trained to the end
        self.rows: list[dict[str, Any]] = []

    def __call__(self, count: int, shown: Shown) -> list[tuple[Trial, Distilled, float]]:
        """Spend ``count`` trials; return (trial, result, validation score) of those trained to the end, best first."""
        plain = min(len(self.pairs), max(1, -(-2 * count // 3)))
        trials = {n: Trial(n, *self.pairs[n], self.space(self.pairs[n]).first) for n in range(plain)}
        scores = self._known(self._rung(trials.values(), 0, shown))
        good = ordered(self._points(trials, scores))
        for number in range(plain, count):
            one = trials[good[(number - plain) % max(1, len(good) // 2)]]
            trials[number] = Trial(number, one.student, one.method, self._drawn(number, (one.student, one.method)))
        scores |= self._rung((trials[number] for number in range(plain, count)), 0, shown)
        for rung in range(1, RUNGS):
            alive = best_half(self._points(trials, scores), LEAST)
            scores = self._known(self._rung((trials[number] for number in alive), rung, shown))
        order = ordered(self._points(trials, scores))
        return [(trials[number], self.found[number], scores[number]) for number in order]

    def _points(self, trials: Mapping[int, Trial], scores: Mapping[int, float]) -> dict[int, Point]:
        """Return the points that are compared: the score and minus the costs."""
        return {number: point_of(score, self.costs[trials[number].student.name]) for number, score in scores.items()}

    # ------------------------------------------------------------------ trainings
    def _rung(self, trials: Iterable[Trial], rung: int, shown: Shown) -> dict[int, float]:
        """Train trials for the epochs of a rung; return the scores of those that did not fail."""
        scores = dict[int, float]()
        for trial in trials:
            row, whole = self._row(trial, rung), self.epochs(trial.method)
            self.rows.append(row)
            if row["score"] is not None:
                scores[trial.number] = row["score"]
            words = f"{trial.student.name} by {trial.method.name} after {row['epochs']} of {whole} epochs"
            shown.trial(len(self.rows) - 1, row["score"], words)
        return scores

    def _known(self, scores: dict[int, float]) -> dict[int, float]:
        """Return scores unchanged; RuntimeError if there are none."""
        if not scores:
            raise RuntimeError(f"no trial could be trained, the last one failed by {self.rows[-1]['error']}")
        return scores

    def _row(self, trial: Trial, rung: int) -> dict[str, Any]:
        """Describe one training in plain values, from the study if it ran before; reload the model of a last rung."""
        key = f"trial {trial.number}, rung {rung}"
        known: dict[str, Any] | None = self.study.user_attrs.get(key)
        if known is None:
            known = self._trained(trial, rung)
            self.study.set_user_attr(key, known)
        elif rung == RUNGS - 1 and known["score"] is not None:
            known = {**known, "score": self._trained(trial, rung)["score"]}
        about = {"trial": trial.number, "student": trial.student.name, "method": trial.method.name}
        about |= {"latency_ms": self.costs[trial.student.name].latency_ms, "is_last": rung == RUNGS - 1}
        return {**about, "setting": trial.setting.values, **known}

    def _trained(self, trial: Trial, rung: int) -> dict[str, Any]:
        """Train a trial; the folder of a last rung is not deleted, so that its model can be loaded again."""
        most, is_last = self.epochs(trial.method), rung == RUNGS - 1
        epochs = most if is_last else max(1, most // FACTOR ** (RUNGS - 1 - rung))
        folder = None if self.folder is None else self.folder / f"trial-{trial.number}-{rung}"
        started, score, error = time.perf_counter(), None, None
        try:
            found = self.train(trial, None if is_last else epochs, folder)
            score = float(next(iter(found.scores["val"].values())))
        except FAILURES as failure:
            error = f"{type(failure).__name__}: {failure}"
            _log.warning("trial %d, %s by %s, failed: %s", trial.number, trial.student.name, trial.method.name, error)
        else:
            if is_last:
                self.found[trial.number] = found
        if folder is not None and (error or not is_last):
            shutil.rmtree(folder, ignore_errors=True)
        row = {"epochs": epochs, "score": score, "seconds": time.perf_counter() - started}
        return row if error is None else {**row, "error": error}

    # ------------------------------------------------------------------ settings
    def _drawn(self, number: int, pair: Pair) -> Setting:
        """Draw a setting near the published one, and save it in the study at once."""
        space, key = self.space(pair), f"setting {number}"
        known: dict[str, Any] | None = self.study.user_attrs.get(key)
        if known is None:
            import optuna

            draft = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=self.seed + number))
            known = space.draw(draft.ask(), near=True)
            self.study.set_user_attr(key, known)
        return space.setting(1, known)


def point_of(score: float, costs: Costs) -> Point:
    """Return the score and the negative costs, so that more is better in each place."""
    return score, -costs.latency_ms, -float(costs.parameters), -costs.megabytes
