"""The door of the recommenders: a method, a student, a teacher and data become a trained student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkd.core.catalogue import Catalogue
from graphkd.core.distil import distilled
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.task import Task

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from torch import nn

    from graphkd.core.fit import OptimizerFactory
    from graphkd.core.resume import Resume

CATALOGUE = Catalogue("recsys.methods")


def methods(*, task: Any = None, family: str | None = None) -> Sequence[Metadata]:
    """List the methods that have a name, without importing them; of one task or one family where that is given.

    task: "ranking", "clicks" or "uniform_ratings", or a task. Each row has ``name, family, paper, tasks, needs,
    settings, space``: what it needs beside student, teacher and data, its hyper-parameters with their defaults, and the
    range of each that is worth a search.

    Example::

        [row.name for row in recsys.methods(task="ranking")]
    """
    return CATALOGUE.select(task=task, family=family)


def distil(
    method: Any,
    student: nn.Module | Callable[[], nn.Module] | None,
    teacher: Any,
    split: Any,
    *,
    task: Task | None = None,
    hidden: Any = None,
    call: Any = None,
    epochs: int | None = None,
    optimizer: OptimizerFactory | None = None,
    patience: int | None = None,
    metric_every: int | None = None,
    shares_every: int | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    resume: Resume = False,
    device: torch.device | str | None = None,
    fabric: Fabric | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Distilled:
    """Train a recommender by a method; what is given stays as it is, ``result.model`` is what serves.

    method: a name of ``methods()``, a loss (then it is the whole objective), or a function of a problem. student: a
    model, or a function that makes one. teacher: a model, or a teacher (``Cached``, ``Frozen``, ``Ensemble``), for some
    methods a list; None for methods without one. split: for rankings ``Split(train, valid, test)`` or what
    ``recsys.bridge.load`` gives, for clicks ``recsys.data.rows.Rows``, for ratings with a uniform sample
    ``recsys.data.ratings.UniformSplit``. task: of ``recsys.tasks``, by default that of such data, with its usual
    metrics and batch size. hidden, call: of models of clicks, as for ``graphkd.distil``; by default a model is given
    the whole batch. epochs, optimizer, patience, metric_every, shares_every, save_every, fabric, log, progress: of
    ``fit``, for every stage; by default those of the method, else of the task, for rankings 500 epochs of Adam(1e-3,
    weight decay 1e-3), validated every fifth epoch, with patience 50. checkpoint: a folder that keeps finished stages
    and states;
    ``resume=True`` goes on in it and ends with the same bits, "auto" begins or goes on. settings: the method's
    hyper-parameters and its needs.

    Raises ValueError where something that the method needs is missing, and says how to give it; TypeError for a setting
    that it does not have. Costs what the method's stages cost.

    Example::

        result = recsys.distil("rrd", MF(users, items, 8), teacher, Split(train, valid, test), weight=1e-3)
        result.scores["test"]["ndcg@10"]
        result.save("student/")
    """
    task = task or default_task(split)
    kind, show = _of(task, method)
    return distilled(
        CATALOGUE,
        method,
        student,
        teacher,
        split,
        task,
        hidden=hidden,
        call=call or show,
        epochs=epochs,
        optimizer=optimizer,
        patience=patience,
        metric_every=metric_every,
        shares_every=shares_every,
        seed=seed,
        checkpoint=checkpoint,
        save_every=save_every,
        resume=resume,
        device=device,
        fabric=fabric,
        log=log,
        progress=progress,
        settings=settings,
        problem_type=kind,
    )


def default_task(split: Any) -> Task:
    """Make the task of some data; TypeError that names the kinds of data where they are none of these."""
    from recsys import tasks
    from recsys.data.interactions import Split
    from recsys.data.ratings import UniformSplit
    from recsys.data.rows import Rows

    if isinstance(getattr(split, "split", split), Split):
        return tasks.Ranking(metrics=tuple(getattr(split, "metrics", ())))  # those that RecBole's options ask for
    if isinstance(getattr(split, "rows", split), Rows):
        return tasks.Clicks()
    if isinstance(split, UniformSplit):
        return tasks.UniformRatings()
    raise TypeError(
        "'split' must be a recsys.Split(train, valid, test), what recsys.bridge.load gives, recsys.data.rows.Rows or "
        f"recsys.data.ratings.UniformSplit, got {type(split).__name__}; for other data give 'task', one of recsys.tasks"
    )


def check_tables(names: Sequence[str], **models: Any) -> None:
    """Raise ValueError that names the methods of rankings which a ``student`` or ``teacher`` without tables cannot."""
    rows = methods(task="ranking")
    for side, model in models.items():
        lacking = [row.name for row in rows if row.name in names and f"{side}_tables" in row.needs]
        if lacking and not getattr(model, "has_tables", True):
            kind = type(getattr(model, "model", model)).__name__
            raise ValueError(
                f"{lacking} need the {side}'s tables of users and items, but {kind} scores without tables; methods "
                f"that take scores: {[row.name for row in rows if f'{side}_tables' not in row.needs]}"
            )


def _of(task: Task, method: Any) -> tuple[Callable[..., Any], Any]:
    """The problem of a kind of task, and how its models are called."""
    if task.kind == "ranking":
        from recsys.methods._ranking import RankingProblem
        from recsys.models.view import show

        name = method if isinstance(method, str) else getattr(method, "name", "")
        return partial(RankingProblem, check=partial(check_tables, [name])), show
    from recsys.models.clicks import show as whole

    if task.kind == "clicks":
        from recsys.methods._clicks import ClickProblem

        return ClickProblem, whole
    if task.kind == "uniform_ratings":
        from recsys.methods._uniform import UniformProblem

        return UniformProblem, whole
    raise ValueError(f"'task' must be one of recsys.tasks, got {task.kind!r}: for others there is graphkd.distil")
