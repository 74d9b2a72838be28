"""The search for settings on validation rows: trials that are cut short where others do better, kept and gone on with.

A trial is trained for a ninth of the epochs, then for a third, then for all, as long as it is among the best third of
those that came as far (successive halving: Jamieson and Talwalkar, AISTATS 2016, arXiv:1502.07943; asynchronously: Li
et al., MLSys 2020, arXiv:1810.05934). Each of these trainings begins anew, so that any method of any number of stages
can be searched. What ends best is trained again under further seeds, beside the published setting.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from graphkd.core.distilled import Distilled
from graphkd.core.method import Method
from graphkd.core.space import Setting, Space
from graphkd.core.task import Task

_log = logging.getLogger(__name__)
FACTOR, RUNGS = 3, 3
TRAINING = ("lr", "weight_decay")
Train = Callable[[Setting, int, int, Path | None], Distilled]


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    method: its name. setting: the best one. score: its mean on validation rows over ``seeds`` trainings of ``epochs``,
    in the task's first metric; published: the mean of the published setting in as many. trials: a row a trial. seconds:
    of all trainings.
    """

    method: str
    setting: Setting
    score: float
    published: float
    seeds: int
    epochs: int
    trials: Sequence[Mapping[str, Any]]
    seconds: float

    @property
    def options(self) -> dict[str, Any]:
        """What ``distil`` is given to train so: ``distil(name, student, teacher, data, **tuned.options)``."""
        return {**self.setting.method, "optimizer": self.setting.optimizer, "epochs": self.epochs}

    def toml(self) -> str:
        """Write the setting as a table of a settings file, with what is known of it as a comment."""
        known = (
            f"# validation {self.score:.4f}, of the published setting {self.published:.4f}, means of {self.seeds} "
            f"seeds; {len(self.trials)} trials, {self.seconds:.0f} s"
        )
        values = {**self.setting.values(), "epochs": self.epochs}
        return "\n".join([known, f"[{self.method}]", *(f"{k} = {_written(v)}" for k, v in values.items())]) + "\n"


class Search:
    """One search; ``__call__`` gives what it found.

    train: (setting, epochs, seed, folder) -> what was trained so. folder: keeps the trials in optuna's journal, a text
    file, and the states of what is being trained: a search that was broken off goes on there, and ends as one that was
    not. choice of the next setting: a tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) that sees the
    trials so far, under a seed of its own for each.
    """

    def __init__(self, name: str, space: Space, train: Train, *, epochs: int, seed: int, folder: Path | None) -> None:
        self.name, self.space, self.train, self.epochs, self.seed, self.folder = (
            name,
            space,
            train,
            epochs,
            seed,
            folder,
        )
        self.rungs = sorted({max(1, epochs // FACTOR**left) for left in range(RUNGS)})
        self.study = _study(name, self.rungs[0], folder)

    def __call__(self, trials: int, *, seeds: int, finalists: int) -> Tuned:
        """Try ``trials`` settings, the published one first, then train the best ones again."""
        for number in range(trials):
            self._try(number)
        ended = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
        if not ended:
            raise RuntimeError(f"none of {trials} trials of {self.name!r} came to a score: {self._reasons()}")
        best = sorted(ended, key=lambda trial: trial.value or 0.0, reverse=True)[:finalists]
        best += [trial for trial in ended if trial.number == 0 and trial not in best]
        scores = {trial.number: self._again(trial, seeds) for trial in best}
        found = max(best, key=lambda trial: scores[trial.number])
        rows = [self._row(trial) for trial in self.study.get_trials(deepcopy=False)]
        return Tuned(
            method=self.name,
            setting=self.space.draw(self._trial(found)),
            score=scores[found.number],
            published=scores.get(0, float("nan")),
            seeds=seeds,
            epochs=self.epochs,
            trials=rows,
            seconds=sum(row["seconds"] for row in rows),
        )

    def _try(self, number: int) -> None:
        """One trial, or what is left of it."""
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        known = self.study.get_trials(deepcopy=False)
        if number < len(known) and known[number].state.is_finished():
            return
        self.study.sampler = TPESampler(seed=self.seed + number, multivariate=True, n_startup_trials=8)
        if number < len(known) and known[number].state is TrialState.RUNNING:  # it was broken off
            trial = self._trial(known[number])
        else:
            if number == 0 and not known:
                self.study.enqueue_trial(self.space.start())
            trial = self.study.ask()
        setting = self.space.draw(trial)
        try:
            score = self._climb(trial, setting)
        except (ValueError, ArithmeticError) as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            _log.warning("trial %d of %r ended without a score: %s", number, self.name, error)
            self.study.tell(trial, state=TrialState.FAIL)
            return
        if score is None:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, score)

    def _climb(self, trial: Any, setting: Setting) -> float | None:
        """Train for more and more epochs; the last score, None where others do better."""
        score = 0.0
        for epochs in self.rungs:
            score = self._score(trial, setting, epochs, self.seed)
            trial.report(score, epochs)
            if epochs < self.epochs and trial.number and trial.should_prune():
                return None
        return score

    def _again(self, ended: Any, seeds: int) -> float:
        """Mean score of a setting over several seeds, the search's own among them."""
        trial, setting = self._trial(ended), self.space.draw(self._trial(ended))
        others = [self._score(trial, setting, self.epochs, self.seed + place) for place in range(1, seeds)]
        return fmean([ended.value, *others])

    def _score(self, trial: Any, setting: Setting, epochs: int, seed: int) -> float:
        """Score on validation rows of one training, which is known if it was made before."""
        key = _key(trial.number, epochs, seed)
        known: dict[str, Any] = self.study.user_attrs
        if key in known:
            return float(known[key]["score"])
        folder = None if self.folder is None else self.folder / f"trial-{trial.number}" / f"{epochs}-{seed}"
        started = time.perf_counter()
        found = self.train(setting, epochs, seed, folder)
        score = next(iter(found.scores["val"].values()))
        self.study.set_user_attr(key, {"score": score, "seconds": time.perf_counter() - started})
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        return score

    def _trial(self, frozen: Any) -> Any:
        """A trial to go on with."""
        from optuna.trial import Trial

        return Trial(self.study, frozen._trial_id)

    def _row(self, trial: Any) -> dict[str, Any]:
        """A trial in plain values."""
        start = _key(trial.number, 0, 0).partition(",")[0] + ","
        trained = [value for key, value in self.study.user_attrs.items() if key.startswith(start)]
        return {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "score": trial.value,
            "epochs": max(trial.intermediate_values, default=0),
            "seconds": sum(each["seconds"] for each in trained),
            **trial.params,
        }

    def _reasons(self) -> str:
        errors = {str(t.user_attrs.get("error", t.state.name)) for t in self.study.get_trials(deepcopy=False)}
        return "; ".join(sorted(errors))


def tuned(
    distil: Callable[..., Distilled],
    chosen: Method,
    student: Any,
    teacher: Any,
    data: Any,
    task: Task,
    usual: Mapping[str, Any],
    *,
    trials: int,
    seeds: int,
    finalists: int,
    space: Mapping[str, Any] | None,
    epochs: int | None,
    seed: int,
    checkpoint: str | Path | None,
    **options: Any,
) -> Tuned:
    """Search the settings of a method: what both ``tune`` share; ``usual`` is the training where nobody asks."""
    for name, value in (("trials", trials), ("seeds", seeds), ("finalists", finalists)):
        if value < 1:
            raise ValueError(f"{name!r} must be at least 1, got {value}")
    if not task.has("val", task.prepare(data)):
        raise ValueError("settings are chosen on validation rows: the data must have some, for example 'val_mask'")
    usual = {**usual, **chosen.published}
    ranges = Space(chosen, {name: usual[name] for name in TRAINING}, student, options, space)

    def train(setting: Setting, epochs: int, seed: int, folder: Path | None) -> Distilled:
        made = partial(student, **setting.student) if setting.student else student
        given = {"progress": False, **options, **setting.method, "optimizer": setting.optimizer}
        given |= {} if folder is None else {"checkpoint": folder, "resume": "auto"}
        return distil(chosen, made, teacher, data, task=task, epochs=epochs, seed=seed, **given)

    folder = None if checkpoint is None else Path(checkpoint)
    most = int(usual["epochs"] if epochs is None else epochs)
    search = Search(chosen.name, ranges, train, epochs=most, seed=seed, folder=folder)
    return search(trials, seeds=seeds, finalists=finalists)


def _study(name: str, first: int, folder: Path | None) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError("to tune, install optuna: pip install 'graphkd[tune]'") from error
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(folder / "trials.journal")))
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=FACTOR)
    return optuna.create_study(
        direction="maximize", study_name=name, storage=storage, pruner=pruner, load_if_exists=True
    )


def _key(number: int, epochs: int, seed: int) -> str:
    return f"trial {number}, {epochs} epochs, seed {seed}"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
