"""The search for the settings of a method on validation rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkd.core.method import as_method
from graphkd.core.run import EPOCHS, LR, WEIGHT_DECAY
from graphkd.core.tuning import Tuned, tuned
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
    space: dict[str, Any] | None = None,
    epochs: int | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> Tuned:
    """Search the settings of a method, of its training and of the student on validation rows.

    Searched are the method's hyper-parameters (``graphkd.methods()`` tells their ranges, by default a factor of 30 to
    both sides of the published value, log-uniform), Adam's learning rate and weight decay likewise, and ``dropout``
    where ``student`` is a function of it, such as ``lambda dropout: MLP([1433, 128, 7], dropout=dropout)``. What is
    given among ``options`` is not searched. The published setting is the first trial, and is in the last round.

    trials: how many settings. Each is trained for a ninth of the epochs, then a third, then all, while it is among the
    best third (successive halving). finalists, seeds: the best so many are trained again, under so many seeds; the best
    mean is chosen. space: other ranges, name -> (low, high) or a list of choices. epochs: of a stage (default: the
    method's, else 200). checkpoint: a folder for the trials, in which a search that was broken off goes on by itself.
    options: of ``distil``: ``hidden, call, patience, device, log``, settings and needs of the method.

    Test rows are never looked at for the choice. Raises ImportError without optuna (``pip install 'graphkd[tune]'``),
    ValueError for data without validation rows and for ranges of what is not searched. Costs about
    trials x 0.5 + finalists x seeds trainings.

    Example::

        tuned = graphkd.tune("kd", lambda dropout: MLP([1433, 128, 7], dropout=dropout), teacher, data, trials=30)
        student = MLP([1433, 128, 7], **tuned.setting.student)
        result = graphkd.distil("kd", student, teacher, data, **tuned.options)
    """
    chosen = CATALOGUE.find(method) if isinstance(method, str) else as_method(method)
    return tuned(
        distil,
        chosen,
        student,
        teacher,
        data,
        task or default_task(data),
        {"lr": LR, "weight_decay": WEIGHT_DECAY, "epochs": EPOCHS},
        trials=trials,
        seeds=seeds,
        finalists=finalists,
        space=space,
        epochs=epochs,
        seed=seed,
        checkpoint=checkpoint,
        **options,
    )
