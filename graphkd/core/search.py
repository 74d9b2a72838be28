"""Search for settings: trials that are stopped early where others do better, and the best of them repeated.

A trial is trained for a ninth of the epochs, then for a third, then for all, as long as it is among the best third of
the trials that came as far (successive halving: Jamieson and Talwalkar, AISTATS 2016, arXiv:1502.07943; asynchronously:
Li et al., MLSys 2020, arXiv:1810.05934). Each of these trainings starts from scratch, so that methods of any number of
stages can be searched. The best of the trials that came furthest, and the setting from which the search started, are
then trained in full under other seeds, and the best mean is chosen: short trainings alone favour large steps.

Half of the first trials are drawn around the start. Most settings that differ from a published one by a factor of 10 in
several numbers are far worse: with eight trials over whole ranges, six of thirteen searches found nothing better.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from graphkd.core.distilled import Distilled
from graphkd.core.space import Setting, Space
from graphkd.core.trials import Shown
from graphkd.core.tuned import Tuned

_log = logging.getLogger(__name__)
FACTOR, RUNGS = 3, 3
RANDOM = 8  # trials drawn at random, every second one near the start, before the estimator learns from earlier ones
FAILURES = (ValueError, ArithmeticError, RuntimeError)  # due to a setting; others are due to the user's code or machine
Train = Callable[[Setting, int, int, Path | None], Distilled]


class Search:
    """Search for the settings of a method; ``__call__`` returns the result.

    study: an optuna study, which saves every ended trial and the score of every training. train: (setting, epochs,
    seed, folder) -> the result. folder: for checkpoints of the current training. An interrupted search resumes and ends
    like an uninterrupted one: a trial depends only on the ended ones before it and the seed. The next setting is chosen
    by a tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011).
    """

    def __init__(
        self, name: str, space: Space, train: Train, study: Any, *, epochs: int, seed: int, folder: Path | None
    ) -> None:
        self.name, self.space, self.train, self.study = name, space, train, study
        self.epochs, self.seed, self.folder = epochs, seed, folder
        self.rungs = sorted({max(1, epochs // FACTOR**left) for left in range(RUNGS)})

    def __call__(self, trials: int, *, seeds: int, finalists: int, progress: bool | None) -> Tuned:
        """Try ``trials`` settings, the start setting first, then train the best ``finalists`` again."""
        with Shown(trials, progress, f"tune {self.name}") as shown:
            for number in range(trials):
                self._try(number, shown)
            tried = self._trials()[:trials]  # an earlier call may have tried more
            scores = {trial.number: self._again(trial, seeds, shown) for trial in _finalists(tried, finalists)}
        known = {number: score for number, score in scores.items() if score is not None}  # trial 0 among them
        found = max(known, key=lambda number: known[number])  # the first of equals, which is where the search started
        rows = [self._row(trial) for trial in tried]
        return Tuned(
            method=self.name,
            setting=self._setting(found),
            score=known[found],
            published=known[0],
            seeds=seeds,
            epochs=self.epochs,
            trials=rows,
            seconds=sum(row["seconds"] for row in rows),
        )

    # ------------------------------------------------------------------ trials
    def _try(self, number: int, shown: Shown) -> None:
        """Run one trial, or the rest of it."""
        if number >= len(self._trials()):
            self.study.add_trial(self._tried(number))
        row = self._row(self._trials()[number])
        shown.trial(number, row["score"], f"after {row['epochs']} of {self.epochs} epochs")

    def _tried(self, number: int) -> Any:
        """Run a trial to its end and return it in optuna's form."""
        from optuna.trial import TrialState, create_trial

        values, scores, errors = self._values(number), dict[int, float](), dict[str, str]()
        try:
            state = TrialState.COMPLETE if self._climb(number, scores) else TrialState.PRUNED
        except FAILURES as error:
            if number == 0:  # the user's own setting
                raise
            state, errors = TrialState.FAIL, {"error": f"{type(error).__name__}: {error}"}
            _log.warning("trial %d of %r ended without a score: %s", number + 1, self.name, errors["error"])
        return create_trial(
            state=state,
            value=scores[self.epochs] if state is TrialState.COMPLETE else None,
            params=values,
            distributions=self._draft(number, values).distributions,
            intermediate_values=scores,
            user_attrs=errors,
        )

    def _climb(self, number: int, scores: dict[int, float]) -> bool:
        """Train for more and more epochs and note the scores; tell whether the trial reached the last stage."""
        setting = self._setting(number)
        for epochs in self.rungs:
            scores[epochs] = self._score(number, setting, epochs, self.seed)
            if epochs < self.epochs and number and not self._is_among_the_best(epochs, scores[epochs]):
                return False
        return True

    def _is_among_the_best(self, epochs: int, score: float) -> bool:
        """Tell whether a score is in the best third so far after ``epochs``; of fewer than three, the best."""
        others = [trial.intermediate_values.get(epochs) for trial in self._trials()]
        better = [other for other in others if other is not None and other > score]
        known = 1 + sum(other is not None for other in others)
        return len(better) < max(1, known // FACTOR)

    def _values(self, number: int) -> dict[str, Any]:
        """Return the values that optuna suggests for a trial, saved as soon as they are known."""
        key = f"setting {number}"
        known: dict[str, Any] | None = self.study.user_attrs.get(key)
        if known is None:
            known = self.space.start() if number == 0 else dict(self._draft(number).params)
            self.study.set_user_attr(key, known)
        return known

    def _draft(self, number: int, fixed: dict[str, Any] | None = None) -> Any:
        """Make an unrecorded trial after the ended ones, with fixed values or those that the estimator chooses."""
        import optuna

        sampler = optuna.samplers.TPESampler(seed=self.seed + number, n_startup_trials=RANDOM)
        draft = optuna.create_study(direction="maximize", sampler=sampler)
        draft.add_trials([trial for trial in self._trials() if trial.number < number])
        if fixed is not None:
            draft.enqueue_trial(fixed)
        trial = draft.ask()
        self.space.draw(trial, near=fixed is None and number < RANDOM and number % 2 == 1)
        return trial

    # ------------------------------------------------------------------ the best ones
    def _again(self, trial: Any, seeds: int, shown: Shown) -> float | None:
        """Compute the mean score of a setting over seeds that it was not chosen by; None where a training fails."""
        setting, scores = self._setting(trial.number), []
        for place in range(1, seeds + 1):
            try:
                scores.append(self._score(trial.number, setting, self.epochs, self.seed + place))
            except FAILURES as error:
                if trial.number == 0:
                    raise
                _log.warning("trial %d of %r is out, it failed in the last round: %s", trial.number, self.name, error)
                return None
        shown.line(f"trial {trial.number + 1} again, {seeds} seeds: {fmean(scores):.4f}")
        return fmean(scores)

    # ------------------------------------------------------------------ trainings
    def _score(self, number: int, setting: Setting, epochs: int, seed: int) -> float:
        """Train once and return the score on validation rows, or the score that is already saved."""
        key = f"trial {number}, {epochs} epochs, seed {seed}"
        known: dict[str, Any] = self.study.user_attrs
        if key in known:
            return float(known[key]["score"])
        folder = None if self.folder is None else self.folder / f"trial-{number}-{epochs}-{seed}"
        started = time.perf_counter()
        try:
            found = self.train(setting, epochs, seed, folder)
        except FAILURES:
            _remove(folder)
            raise
        score = float(next(iter(found.scores["val"].values())))
        self.study.set_user_attr(key, {"score": score, "seconds": time.perf_counter() - started})
        _remove(folder)
        return score

    def _setting(self, number: int) -> Setting:
        return self.space.setting(number, self._values(number))

    def _trials(self) -> list[Any]:
        found: list[Any] = self.study.get_trials(deepcopy=False)
        return found

    def _row(self, trial: Any) -> dict[str, Any]:
        """Describe a trial in plain values: its last score, its costs and its setting."""
        scores, start = trial.intermediate_values, f"trial {trial.number},"
        trained = [value for key, value in self.study.user_attrs.items() if key.startswith(start)]
        return {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "score": scores[max(scores)] if scores else None,
            "epochs": max(scores, default=0),
            "seconds": sum(each["seconds"] for each in trained),
            **trial.user_attrs,
            "setting": self._setting(trial.number).values,
        }


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _finalists(trials: list[Any], most: int) -> list[Any]:
    """List the first trial, then the ``most`` best others, by epochs reached and then by score."""
    from optuna.trial import TrialState

    first, *others = trials
    ended = [trial for trial in others if trial.state is not TrialState.FAIL]
    return [first, *sorted(ended, key=lambda trial: max(trial.intermediate_values.items()), reverse=True)[:most]]
