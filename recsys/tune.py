"""The search for the settings of a recommender's method on validation pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphkd.core.tuned import Tuned
from graphkd.core.tuning import tuned
from recsys.distil import CATALOGUE, asked_of, default_task, distil
from recsys.tasks._judged import is_smaller_better

if TYPE_CHECKING:
    from torch import nn

    from graphkd.core.task import Task
    from recsys.tasks._base import RecommenderTask


_OF_RUNS = ("optimizer", "patience", "metric_every", "clip")


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
    start: Mapping[str, Any] | None = None,
    space: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Tuned:
    """Search the settings of a method and of its training on validation pairs; see ``graphkd.tune``.

    Searches the method's hyper-parameters (``recsys.methods()`` gives their ranges), Adam's learning rate and weight
    decay, and ``dropout`` where ``student`` is a function of it; an option given among ``options`` is fixed. trials:
    number of settings tried, by successive halving over epochs; the published setting is the first. finalists, seeds:
    the best ``finalists`` and the published setting are trained again under ``seeds`` other seeds each. start, space:
    other values to start from, other ranges. epochs: of a stage (default: the method's, else the task's). checkpoint: a
    folder for the trials, in which an interrupted search continues. progress: show a bar over trials. options: of
    ``recsys.distil``; options that RecBole's options of the data set are fixed too.

    Raises ImportError without optuna (``pip install 'graphkd[tune]'``), ValueError for a split without validation
    pairs, for ranges of options that are not searched and for a folder of another search. Costs about trials x 0.4 +
    (finalists + 1) x seeds trainings.

    Example::

        >>> from recsys.models import MF
        >>> teacher, options = MF(170, 180, width=8), {"trials": 2, "seeds": 1, "finalists": 1, "epochs": 2}
        >>> tuned = recsys.tune("kd", lambda: MF(170, 180, width=4), teacher, split, **options, progress=False)
        >>> tuned.score >= tuned.published
        True
        >>> result = recsys.distil("kd", MF(170, 180, width=4), teacher, split, **tuned.options, progress=False)
    """
    given, _ = asked_of(split, {**dict.fromkeys(_OF_RUNS), **options, "epochs": epochs, "seed": seed}, task)
    epochs, seed = given.pop("epochs", None), given.pop("seed", 0)
    known = cast("RecommenderTask", task or default_task(split))
    first = next(iter(getattr(known, "wanted", ())), "")
    if is_smaller_better(first):
        raise ValueError(
            f"a search chooses by the task's first metric, higher being better, and {first!r} is not: give "
            "'task' with another first, or say another 'valid_metric'"
        )
    return tuned(
        CATALOGUE,
        distil,
        method,
        student,
        teacher,
        split,
        known,
        known.training,
        trials=trials,
        seeds=seeds,
        finalists=finalists,
        start=start,
        space=space,
        epochs=epochs,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
        options=given,
    )
