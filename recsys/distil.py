"""Entry point for recommenders: a method, a student, a teacher and data become a trained student."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkd.core.card import described
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
# Options of a run here, by RecBole's names; all other RecBole options that are followed belong to the task.
_NAMES: Mapping[str, str] = {
    "epochs": "epochs",
    **dict.fromkeys(("learner", "learning_rate", "weight_decay"), "optimizer"),
    "clip_grad_norm": "clip",
    "eval_step": "metric_every",
    "stopping_step": "patience",
    "seed": "seed",
}


def methods(*, task: Any = None, family: str | None = None) -> Sequence[Metadata]:
    """List the methods that have a name, without importing them; of one task or one family where that is given.

    task: "ranking", "clicks", "uniform_ratings" or "sequential", or a task. Each row has
    ``name, family, paper, tasks, needs, settings, space``: ``needs`` lists further inputs beside student, teacher and
    data, ``settings`` the hyper-parameters with their defaults, ``space`` the range of each that is worth a search.

    Example::

        >>> [row.name for row in recsys.methods(task="ranking", family="pruning")]
        ['lightgnn']
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
    clip: float | None = None,
    seed: int | None = None,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    resume: Resume = False,
    device: torch.device | str | None = None,
    fabric: Fabric | None = None,
    log: Callable[[dict[str, Any]], None] | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Distilled:
    """Train a recommender by a method; the arguments stay unchanged, ``result.model`` is the model to serve.

    method: a name of ``methods()``, a loss (then it is the whole objective), or a function of a problem. student: a
    model, or a function that makes one. teacher: a model, or a teacher (``Cached``, ``Frozen``, ``Ensemble``), for some
    methods a list; None for methods without one. split: for rankings ``Split(train, valid, test)`` or the result of
    ``recsys.bridge.load``, for clicks ``recsys.data.rows.Rows``, for ratings with a uniform sample
    ``recsys.data.ratings.UniformSplit``. task: of ``recsys.tasks``, by default the one for such data, with its usual
    metrics and batch size. hidden, call: for models of clicks, as for ``graphkd.distil``; by default a model is called
    with the whole batch. epochs, optimizer, patience, metric_every, shares_every, clip, save_every, fabric, log,
    progress: of ``fit``, for every stage; by default those of the method, else of the task, for rankings 500 epochs of
    Adam(1e-3, weight decay 1e-3), validated every fifth epoch, with patience 50. seed: of the run, 0 by default. For
    data that ``recsys.bridge.load`` read, RecBole's options give these arguments and the task where the call does not;
    the card lists them under "recbole". checkpoint: a folder for finished stages and states; ``resume=True`` continues
    in it with bitwise the same result, "auto" begins or continues. settings: the method's hyper-parameters and needs.

    Raises ValueError where an input that the method needs is missing, and says how to give it; TypeError for a setting
    that the method does not have. Costs the sum of the method's stages.

    Example::

        >>> from recsys.models import MF
        >>> student, teacher = MF(170, 180, width=4), MF(170, 180, width=8)
        >>> result = recsys.distil("rrd", student, teacher, split, weight=1e-3, epochs=2, progress=False)
        >>> sorted(result.scores["test"])
        ['ndcg@10', 'recall@10']
        >>> tuple(result.model(torch.tensor([3, 7])).shape)  # users' scores of all items
        (2, 180)
    """
    given: dict[str, Any] = {"epochs": epochs, "optimizer": optimizer, "patience": patience}
    given |= {"metric_every": metric_every}
    given, followed = asked_of(split, {**given, "clip": clip, "seed": seed}, task)
    task = task or default_task(split)
    kind, show = _of(task, method)
    found = distilled(
        CATALOGUE,
        method,
        student,
        teacher,
        split,
        task,
        hidden=hidden,
        call=call or show,
        shares_every=shares_every,
        checkpoint=checkpoint,
        save_every=save_every,
        resume=resume,
        device=device,
        fabric=fabric,
        log=log,
        progress=progress,
        settings=settings,
        problem_type=kind,
        **{"seed": 0, **given},
    )
    if followed:
        found.card["recbole"] = followed
    return found


def asked_of(split: Any, given: Mapping[str, Any], task: Task | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a run, from ``given`` or RecBole's options of the data, and the latter by RecBole's names.

    None stands for an option that is not given. RecBole's evaluation options count only without a ``task``.
    """
    read = getattr(split, "recbole", split)  # the data of recsys.models.context.load have it inside
    theirs: Mapping[str, Any] = getattr(read, "training", {})
    asked = {name: value for name, value in given.items() if value is not None}
    taken = {name: value for name, value in theirs.items() if name not in asked and name in given}
    said: Mapping[str, Any] = getattr(read, "followed", {})
    followed = {key: described(said[key]) for key, name in _NAMES.items() if key in said and name in taken}
    if task is None:
        followed |= {key: described(value) for key, value in said.items() if key not in _NAMES}
    return {**taken, **asked}, followed


def default_task(split: Any) -> Task:
    """Make the task for some data; TypeError that names the supported kinds of data for any other."""
    from recsys import tasks
    from recsys.data.interactions import Split
    from recsys.data.ratings import UniformSplit
    from recsys.data.rows import Rows
    from recsys.data.sequence_rows import SequenceSplit

    if any(isinstance(each, SequenceSplit) for each in (split, getattr(split, "sequences", None))):
        return tasks.Sequential(**getattr(split, "task", {}))
    if isinstance(getattr(split, "split", split), Split):
        return tasks.Ranking(**getattr(split, "task", {}))  # what RecBole's options ask for
    if isinstance(getattr(split, "rows", split), Rows):
        return tasks.Clicks(**getattr(getattr(split, "recbole", None), "task", {}))
    if isinstance(split, UniformSplit):
        return tasks.UniformRatings()
    raise TypeError(
        "'split' must be a recsys.Split(train, valid, test), what recsys.bridge.load gives, recsys.data.rows.Rows or "
        f"recsys.data.ratings.UniformSplit, got {type(split).__name__}; for other data give 'task', one of recsys.tasks"
    )


def check_tables(names: Sequence[str], **models: Any) -> None:
    """Raise ValueError that names the ranking methods that a ``student`` or ``teacher`` without tables cannot use."""
    rows = methods(task="ranking")
    for side, model in models.items():
        lacking = [row.name for row in rows if row.name in names and f"{side}_tables" in row.needs]
        if lacking and not getattr(model, "has_tables", True):
            kind = type(getattr(model, "model", model)).__name__
            raise ValueError(
                f"{lacking} need the {side}'s tables of users and items, but {kind} scores without tables; methods "
                f"that take scores: {[row.name for row in rows if f'{side}_tables' not in row.needs]}"
            )


def check_serves(method: Any, kind: str) -> None:
    """Raise ValueError for a named method that does not support a kind of task, and name those that do."""
    row = next((row for row in CATALOGUE if row.name == (method if isinstance(method, str) else "")), None)
    if row is not None and kind not in row.tasks:
        why = "it reads the users of an item, histories have no table of users" if "ranking" in row.tasks else ""
        raise ValueError(
            f"{row.name!r} is for {' and '.join(row.tasks)}, not for {kind} data{f': {why}' if why else ''}; for "
            f"{kind} data there are {[each.name for each in methods(task=kind)]}"
        )


def _of(task: Task, method: Any) -> tuple[Callable[..., Any], Any]:
    """Return the problem of a kind of task, and how its models are called."""
    if task.kind == "ranking":
        from recsys.methods._ranking import RankingProblem
        from recsys.models.view import show

        name = method if isinstance(method, str) else getattr(method, "name", "")
        return partial(RankingProblem, check=partial(check_tables, [name])), show
    if task.kind == "sequential":
        from recsys.methods._sequential import SequentialProblem
        from recsys.models.sequence_view import show_rows

        check_serves(method, task.kind)
        return SequentialProblem, show_rows
    from recsys.models.clicks import show as whole

    if task.kind == "clicks":
        from recsys.methods._clicks import ClickProblem

        return ClickProblem, whole
    if task.kind == "uniform_ratings":
        from recsys.methods._uniform import UniformProblem

        return UniformProblem, whole
    raise ValueError(f"'task' must be one of recsys.tasks, got {task.kind!r}: for others there is graphkd.distil")
