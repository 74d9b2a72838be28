"""The search for recommenders that are accurate, fast and small: several widths and methods, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkd.compressing.budget import Budget
from recsys.distil import CATALOGUE, asked_of, default_task, distil

if TYPE_CHECKING:
    from torch import nn

    from graphkd.compressing.front import Front
    from graphkd.core.resume import Resume
    from graphkd.core.task import Task

_OF_RUNS = ("optimizer", "patience", "metric_every", "clip")


def compress(
    teacher: Any,
    split: Any,
    task: Task | None = None,
    *,
    students: Any = "auto",
    methods: Any = "auto",
    budget: Budget | None = None,
    trials: int = 40,
    seed: int | None = None,
    epochs: int | None = None,
    latency: Callable[[nn.Module], float] | None = None,
    checkpoint: str | Path | None = None,
    resume: Resume = False,
    progress: bool | None = None,
    **options: Any,
) -> Front:
    """Search for students that none beats in both ranking and costs; ``graphkd.compress`` for recommenders.

    Costs are measured before anything is trained; students over the budget are listed with the reason and not trained.
    Students, methods and settings are chosen by successive halving on validation pairs.

    Args:
        teacher: a recommender or a teacher (``Cached``, ``Frozen``, ``Ensemble``).
        split: ``Split(train, valid, test)``, or the result of ``recsys.bridge.load``.
        task: ``recsys.tasks.Ranking(...)``; its first metric, of which more must be better, selects.
        students: recommenders, or functions that make one, as a list or a dict by name. "auto" is ``MF`` of up to five
            widths below the teacher's.
        methods: names of ``recsys.methods(task="ranking")`` that need no further models; "auto" takes up to four.
        budget: limits of a query's median milliseconds, of parameters and of megabytes. A query takes one user and
            returns the best 20 items that the user does not have, on one thread of the CPU (``recsys.retrieve``).
        trials: number of settings tried over all pairs of student and method, by successive halving.
        seed: of first weights, settings and trainings.
        epochs: of a whole training, by default the task's.
        latency: a function, model -> milliseconds, that replaces this measurement.
        checkpoint: a folder whose journal records each training.
        resume: True continues in that folder, "auto" begins or continues; False refuses a folder that is not empty.
        progress: show a bar over trainings (default: on a terminal; elsewhere lines).
        options: of ``recsys.distil``.

    Returns:
        A ``Front``, whose cards have the metric under ``validation``.

    Raises:
        ImportError: optuna is missing, ``pip install 'graphkd[tune]'``.
        TypeError: the data are not a split of pairs.
        ValueError: there are no validation pairs, less of the metric is better, or a method cannot be used here.

    Costs about trials x 0.5 trainings.

    Example::

        >>> from recsys.models import MF
        >>> students = [lambda width=width: MF(170, 180, width) for width in (2, 4)]
        >>> options = {"methods": ["kd"], "trials": 1, "epochs": 2, "progress": False}
        >>> budget = graphkd.Budget(parameters=1000)  # 700 of the first student
        >>> front = recsys.compress(MF(170, 180, 8), split, students=students, budget=budget, **options)
        >>> len(front), len(front.left_out)
        (1, 1)
    """
    from recsys._compressing import compression  # loads recommenders

    asked = {**dict.fromkeys(_OF_RUNS), **options, "epochs": epochs, "seed": seed}
    given, _ = asked_of(split, asked, task)
    epochs, seed = given.pop("epochs", None), given.pop("seed", None)
    search = compression(
        distil,
        CATALOGUE,
        teacher,
        split,
        task or default_task(split),
        students=students,
        methods=methods,
        budget=budget or Budget(),
        latency=latency,
        epochs=epochs,
        seed=seed or 0,
        options=given,
    )
    return search(trials, checkpoint=checkpoint, resume=resume, progress=progress)
