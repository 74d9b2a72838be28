"""Entry point of the library: a method, a student, a teacher and data become a trained student."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkd.core.batches import first_batch
from graphkd.core.catalogue import Catalogue
from graphkd.core.distil import distilled
from graphkd.core.distilled import Distilled
from graphkd.core.method import Metadata
from graphkd.core.rng import seeded
from graphkd.core.task import Task

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from torch import nn

    from graphkd.core.fit import OptimizerFactory, SchedulerFactory
    from graphkd.core.resume import Resume
    from graphkd.core.sparse_features import Features

CATALOGUE = Catalogue("graphkd.losses", "graphkd.schemes", "graphkd.gnn")


def methods(*, task: Any = None, family: str | None = None) -> Sequence[Metadata]:
    """List the methods that have a name, without importing them; of one task or one family where that is given.

    Each has ``name, family, paper, tasks``, ``needs`` (beside student, teacher and data), ``settings``
    (hyper-parameters with their published defaults) and ``space`` (the search range of each). Raises ValueError where
    no method matches.

    Example::

        [row.name for row in graphkd.methods(family="self")]
    """
    return CATALOGUE.select(task=task, family=family)


def distil(
    method: Any,
    student: nn.Module | Callable[[], nn.Module] | None,
    teacher: Any,
    data: Any,
    *,
    task: Task | None = None,
    hidden: Any = None,
    call: Any = None,
    epochs: int | None = None,
    optimizer: OptimizerFactory | None = None,
    scheduler: SchedulerFactory | None = None,
    clip: float | None = None,
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
    features: Features = "auto",
    **settings: Any,
) -> Distilled:
    """Train a student by a method; the arguments stay unchanged, ``result.model`` is the trained student.

    method: a name of ``methods()``, a loss (then it is the whole objective), or a function of a ``Problem``.
    student: a module, or a function that makes one; None for methods that make their own. teacher: a module, a teacher
    (``Cached``, ``Frozen``, ``Ensemble``), for some methods a list; None for methods without one ("none", "dml" ...).
    data: one graph, a loader of batches with node ids ``n_id``, or for federated methods ``Clients``. task: what is
    predicted, by default ``NodeClassification()``. hidden: path of the hidden layer that losses read: one for all
    models, a pair (student, teacher), or one for the student and each of several teachers. call: ``call(model, batch)``
    in place of the call by name, given in the same ways.
    epochs, optimizer, scheduler, clip, patience, metric_every, shares_every, save_every, fabric, log, progress: of
    ``fit``, for every stage; by default the method's published ones, else 200 epochs of Adam(0.01, weight decay 5e-4).
    The student of the best epoch on validation rows, where the data have some, is returned. checkpoint: a folder for
    finished stages and the state of the current one. resume: True continues the run there and ends with the same bits,
    "auto" begins or continues. features: "auto" lets the first layer of a model that is called by name multiply only
    the non-zero entries of an ``x`` that is mostly zeros, on a CPU, or in a sparse layout, on any device, and logs
    that it does; "sparse" does so for every ``x``, "dense" for none. settings: the method's hyper-parameters and needs.

    Raises ValueError where something that the method needs is missing, and says how to give it; TypeError for a setting
    that it does not have. Costs what the method's stages cost, and one pass over the data for the scores.

    Example::

        result = graphkd.distil("rkd", student, teacher, data, hidden=("lins.0", "convs.0"), weight=10.0)
        result.scores["test"]
        result.save("student/")
    """
    return distilled(
        CATALOGUE,
        method,
        student,
        teacher,
        data,
        task or default_task(data),
        hidden=hidden,
        call=call,
        epochs=epochs,
        optimizer=optimizer,
        scheduler=scheduler,
        clip=clip,
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
        features=features,
        settings=settings,
    )


def default_task(data: Any) -> Task:
    """Return node classification; ValueError where the data lack its labels or masks."""
    from graphkd.tasks import NodeClassification  # which loads the losses that it needs

    task = NodeClassification()
    with seeded(0):  # reading a loader draws random numbers
        first = getattr(data, "first", None) or first_batch(data)
    if "y" not in first or task.labelled not in first:
        raise ValueError(
            f"'task' says what is predicted; without it, data must have 'y' and {task.labelled!r}, and have "
            f"{sorted(first) if isinstance(first, dict) else type(first).__name__}: give one of graphkd.tasks"
        )
    return task
