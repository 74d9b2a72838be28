"""The search for the settings of a recommender's method on validation pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphkd.core.method import as_method
from graphkd.core.tuning import Tuned, tuned
from recsys.distil import CATALOGUE, default_task, distil

if TYPE_CHECKING:
    from torch import nn

    from graphkd.core.task import Task
    from recsys.tasks._base import RecommenderTask


def tune(
    method: Any,
    student: nn.Module | Callable[..., nn.Module] | None,
    teacher: Any,
    split: Any,
    *,
    task: Task | None = None,
    trials: int = 30,
    seeds: int = 3,
    finalists: int = 3,
    space: dict[str, Any] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> Tuned:
    """Search the settings of a method and of its training on validation pairs; see ``graphkd.tune``.

    Searched are the method's hyper-parameters (``recsys.methods()`` tells their ranges), Adam's learning rate and
    weight decay, and ``dropout`` where ``student`` is a function of it; what is given among ``options`` is not
    searched. The published setting is the first trial. trials: settings that are tried, by successive halving over
    epochs; finalists, seeds: so many of the best are trained again under so many seeds. space: other ranges. epochs: of
    a stage (default: the method's, else the task's). checkpoint: a folder for the trials, in which a search that was
    broken off goes on.

    Raises ImportError without optuna (``pip install 'graphkd[tune]'``), ValueError for a split without validation pairs
    and for ranges of what is not searched. Costs about trials x 0.5 + finalists x seeds trainings.

    Example::

        tuned = recsys.tune("rrd", lambda: MF(users, items, 8), teacher, split, trials=20)
        result = recsys.distil("rrd", MF(users, items, 8), teacher, split, **tuned.options)
    """
    chosen = CATALOGUE.find(method) if isinstance(method, str) else as_method(method)
    known = cast("RecommenderTask", task or default_task(split))
    return tuned(
        distil,
        chosen,
        student,
        teacher,
        split,
        known,
        known.training,
        trials=trials,
        seeds=seeds,
        finalists=finalists,
        space=space,
        epochs=epochs,
        seed=seed,
        checkpoint=checkpoint,
        **options,
    )
