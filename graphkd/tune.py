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

    The search covers the method's hyper-parameters (``graphkd.methods()`` lists their ranges, by default log-uniform
    over a factor of 30 to both sides of the published value), Adam's learning rate and weight decay likewise, and
    ``dropout`` where ``student`` is a function of it, such as ``lambda dropout: MLP([1433, 128, 7], dropout=dropout)``:
    weight decay, dropout and a method's weight trade off. Settings given in ``options`` are not searched. For a fair
    comparison, search the settings of methods without a teacher, such as "none", too.

    trials: the number of settings; the published one is the first, and four of the next seven are within a factor of 5
    of it. Each is trained for a ninth of the epochs, then a third, then all, while it is among the best third
    (successive halving). finalists, seeds: the ``finalists`` best settings and the first one are trained again under
    ``seeds`` other seeds; the best mean is chosen.
    start: values in place of the published ones, such as ``{"lr": 0.001, "dropout": 0.6}``: the first trial has them,
    and ranges lie around them. space: other ranges, name -> (low, high) or a list of choices, also for further settings
    of the method and parameters of the student's function. epochs: of a stage (default: the method's, else 200).
    checkpoint: a folder for the journal of trials and the best setting, ``setting.toml``; an interrupted search resumes
    there without further options, also with more ``trials``. progress: a bar over trials (default: on a terminal,
    elsewhere a line a trial). options: of ``distil``: ``hidden, call, patience, device, log``, settings and needs of
    the method.

    Test rows are never used for the choice. A trial that fails counts, and is logged and listed in ``tuned.trials``.
    Raises ImportError without optuna (``pip install 'graphkd[tune]'``), ValueError for data without validation rows,
    for ranges of names that are not searched and for a folder of another search; exceptions of the first trial are
    passed on. Costs about trials x 0.4 + (finalists + 1) x seeds trainings.

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
