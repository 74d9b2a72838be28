"""Search for the settings of a method on validation rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkd.core.run import EPOCHS, LR, WEIGHT_DECAY
from graphkd.core.tuned import Tuned
from graphkd.core.tuning import tuned
from graphkd.distil import CATALOGUE, default_task, distil

if TYPE_CHECKING:
    from torch import nn

    from graphkd.core.task import Task


def tune(
    method: Any,
    student: nn.Module | Callable[..., nn.Module] | None,
    teacher: Any,
    data: Any,
    *,
    task: Task | None = None,
    trials: int = 30,
    seeds: int = 3,
    finalists: int = 3,
    start: Mapping[str, Any] | None = None,
    space: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Tuned:
    """Search the settings of a method, of its training and of the student on validation rows.

    Searched are the method's hyper-parameters (``graphkd.methods()`` tells their ranges, by default a factor of 30 to
    both sides of the published value, log-uniform), Adam's learning rate and weight decay likewise, and ``dropout``
    where ``student`` is a function of it, such as ``lambda dropout: MLP([1433, 128, 7], dropout=dropout)``: weight
    decay, dropout and a method's weight trade off. What is given among ``options`` is not searched. Methods without a
    teacher, "none" among them, are searched likewise, which a fair comparison takes.

    trials: how many settings; the published one is the first. Each is trained for a ninth of the epochs, then a third,
    then all, while it is among the best third (successive halving). finalists, seeds: the best so many, and the
    published one beside them, are trained again, under so many other seeds; the best mean is chosen.
    start: values in place of the published ones, such as ``{"lr": 0.001, "dropout": 0.6}``: the first trial has them,
    and ranges lie around them. space: ranges in place of those, name -> (low, high) or a list of choices, also for
    other settings of the method and other parameters of the student's function. epochs: of a stage (default: the
    method's, else 200). checkpoint: a folder for the journal of the trials, in which a search that was broken off goes
    on by itself, with more ``trials`` too, and for the setting that was found, ``setting.toml``. progress: a bar over
    trials (default: on a terminal, elsewhere a line a trial). options: of ``distil``: ``hidden, call, patience, device,
    log``, settings and needs of the method.

    Test rows are never looked at for the choice. A trial that fails is reported, in ``tuned.trials`` too, and counts.
    Raises ImportError without optuna (``pip install 'graphkd[tune]'``), ValueError for data without validation rows,
    for ranges of what is not searched and for a folder of another search, and what the first trial raises. Costs about
    trials x 0.4 + (finalists + 1) x seeds trainings.

    Example::

        tuned = graphkd.tune("kd", lambda dropout: MLP([1433, 128, 7], dropout=dropout), teacher, data, trials=30)
        student = MLP([1433, 128, 7], **tuned.setting.student)
        result = graphkd.distil("kd", student, teacher, data, **tuned.options)
    """
    return tuned(
        CATALOGUE,
        distil,
        method,
        student,
        teacher,
        data,
        task or default_task(data),
        {"lr": LR, "weight_decay": WEIGHT_DECAY, "epochs": EPOCHS},
        trials=trials,
        seeds=seeds,
        finalists=finalists,
        start=start,
        space=space,
        epochs=epochs,
        seed=seed,
        checkpoint=checkpoint,
        progress=progress,
        options=options,
    )
