"""Search for students that are accurate, fast and small: many of them, by several methods, within a budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkd.compressing.budget import Budget
from graphkd.core.run import EPOCHS, LR, WEIGHT_DECAY
from graphkd.distil import CATALOGUE, default_task, distil

if TYPE_CHECKING:
    from torch import nn

    from graphkd.compressing.front import Front
    from graphkd.core.resume import Resume
    from graphkd.core.task import Task

__all__ = ["Budget", "compress"]


def compress(
    teacher: Any,
    data: Any,
    task: Task | None = None,
    *,
    students: Any = "auto",
    methods: Any = "auto",
    budget: Budget | None = None,
    trials: int = 40,
    seed: int = 0,
    epochs: int | None = None,
    hidden: Any = None,
    latency: Callable[[nn.Module], float] | None = None,
    checkpoint: str | Path | None = None,
    resume: Resume = False,
    progress: bool | None = None,
    **options: Any,
) -> Front:
    """Search a Pareto front of students: none is beaten by another in accuracy and costs together.

    Costs are measured before any training; students over the budget are listed with the reason and not trained. A trial
    is a student, a method and a setting. Two thirds of the trials are pairs of student and method at the published
    setting; the others vary learning rate, weight decay, dropout and the method's hyper-parameters within a factor of 5
    for the best pairs. By successive halving on validation rows, all trials are trained for a ninth of the epochs, the
    better half for a third, and the better half of these for all. Test rows are never used for a choice.

    Args:
        teacher: a module or a teacher (``Cached``, ``Frozen``, ``Ensemble``).
        data: one graph, or a loader of batches.
        task: what is predicted, by default ``NodeClassification()``.
        students: modules, or functions that make one, with a parameter ``dropout`` or none; a list, or a dict by name.
            "auto", for nodes: MLPs of several widths and depths, one that starts as a pruned wide MLP, and graph neural
            networks of one hop.
        methods: names of ``graphkd.methods()`` that need no further models; "auto" takes up to four for the task.
        budget: limits of the median milliseconds of a query, of parameters and of megabytes. A query answers one node
            id on one thread of the CPU (``graphkd.serving.latency``), in the fastest form of torch, numpy, and numpy
            that skips zeros of sparse features. For other tasks, loaders, and with ``call``, a query is a batch.
        trials: the number of trials.
        seed: of initial weights, settings and trainings.
        epochs: of a full training, by default the method's.
        hidden: path of a hidden layer, or a pair (student, teacher), for methods that read one; for "auto" students
            only the teacher's path is used.
        latency: module -> milliseconds, in place of the measured latency.
        checkpoint: a folder for a journal of all trainings, from which an interrupted search resumes.
        resume: True continues the search in the folder, "auto" begins or continues; False refuses a folder with files.
        progress: a bar over trainings (default: on a terminal, elsewhere lines).
        options: of ``distil``: ``call, patience, device, log, features``.

    Returns:
        A ``Front``: ``front.table()``, ``front.best().model``, ``front[i].card``, ``front.report("report.html")``.

    Raises:
        ImportError: optuna is missing, ``pip install 'graphkd[tune]'``.
        ValueError: the data have no validation rows, a method cannot be used here, the folder has another search.
        RuntimeError: no trial could be trained.

    Costs about trials x 0.5 trainings.

    Example::

        front = graphkd.compress(teacher, data, budget=graphkd.Budget(latency_ms=0.2), checkpoint="search/")
        print(front.table())
        front.best().save("student/")
    """
    from graphkd.compressing.graphs import compression  # which loads the models and PyG's layers

    search = compression(
        distil,
        CATALOGUE,
        teacher,
        data,
        task or default_task(data),
        {"lr": LR, "weight_decay": WEIGHT_DECAY, "epochs": EPOCHS},
        students=students,
        methods=methods,
        budget=budget or Budget(),
        hidden=hidden,
        latency=latency,
        epochs=epochs,
        seed=seed,
        options={name: value for name, value in options.items() if value is not None},
    )
    return search(trials, checkpoint=checkpoint, resume=resume, progress=progress)
