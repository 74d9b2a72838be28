"""The one training loop: trains anything whose ``forward(batch)`` returns a ``Step``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from graphkd.core.denormals import flushed_denormals
from graphkd.core.folder import hold, size_of
from graphkd.core.processes import default_fabric
from graphkd.core.resume import Resume, check_resume
from graphkd.core.rng import seeded
from graphkd.core.training import Metric, OptimizerFactory, Options, SchedulerFactory, Training
from graphkd.core.view import Batch

if TYPE_CHECKING:
    from graphkd.core.processes import Processes

__all__ = ["Metric", "OptimizerFactory", "SchedulerFactory", "fit"]

_ADAM = partial(torch.optim.Adam, lr=1e-2)


def fit(
    trainable: nn.Module,
    data: Batch | Iterable[Batch],
    *,
    epochs: int,
    optimizer: OptimizerFactory = _ADAM,
    scheduler: SchedulerFactory | None = None,
    clip: float | None = None,
    metric: Metric | None = None,
    metric_every: int = 1,
    serve: Callable[[Any], nn.Module] | None = None,
    patience: int | None = None,
    seed: int = 0,
    fabric: Processes | None = None,
    checkpoint: str | Path | None = None,
    save_every: int = 10,
    resume: Resume = False,
    log: Callable[[dict[str, float]], None] | None = None,
    progress: bool | None = None,
    title: str | None = None,
    shares_every: int | None = None,
) -> nn.Module:
    """Train a module whose ``forward(batch)`` returns a ``Step``; return its student at the best epoch, in eval mode.

    data: one batch (full-batch training, a step an epoch) or an iterable of batches, gone through once an epoch; of
    several processes each takes its share (``processes.share``), and a step averages their gradients.
    optimizer: parameters -> optimiser, for example ``partial(torch.optim.Adam, lr=0.01, weight_decay=5e-4)``.
    scheduler: optimiser -> learning-rate scheduler, which takes a step an epoch. clip: the largest norm of a gradient.
    metric: student -> float, higher is better, called after every epoch, or every ``metric_every``-th and the last, in
    eval mode without gradients; the best epoch's weights are restored (of equals the latest), also when an exception or
    Ctrl-C ends the run. Where a metric comes ``patience`` or more epochs after the best, the run ends. It may return
    several by name: the first chooses, a best of any counts for patience.
    serve: student -> the module that ``metric`` is given, where it is not the student itself (an average, one of
    several peers); its state at the best epoch is restored too.
    seed: of torch, numpy and random during the run (plus the rank); their states outside are left as they were. So is
    the processor's mode: during the run it counts numbers below 1e-38 as 0, which weight decay makes.
    fabric: a ``lightning_fabric.Fabric`` for devices, precision and processes; by default the student's device, under
    ``torchrun`` all its processes. All call ``metric``, of which the mean counts; the first alone logs and writes.
    DDP refuses parameters without a gradient: give ``Fabric(strategy="ddp_find_unused_parameters_true", ...)`` then.
    checkpoint: the folder of this one run, tried before the first epoch, for ``last.pt`` (all that ``resume`` needs to
    end with the same bits; ``last.old.pt`` is the one before it) and ``best.pt`` (the student, under the names of the
    plain model), written atomically before the first epoch, every ``save_every`` epochs and at the end. What ``data``,
    ``metric`` and ``log`` give as ``state_dict`` is in it, the generators of a loader and schedules in hooks of the
    optimiser too. Workers that persist are seeded for every batch.
    resume: True goes on with the run in the folder and warns where there is none; "auto" begins or goes on. What is
    asked for now holds, and what differs from before is said: learning rate, losses, teachers, data, processes and
    threads, with other numbers of which bits differ. Another model, kind of optimiser or seed is refused.
    A trainable or data with ``set_epoch(epoch, epochs)`` is told before every epoch how far training is, from 0.
    log: called after every epoch with the means of loss and terms, and the metric.
    progress: a bar over epochs (default: on a terminal, elsewhere a line a tenth of a run of more than ten seconds).
    title: what the bar or the line is called.
    shares_every: adds to the report of every so-manieth epoch, from the first on, how much each weighted term moves the
    student, ``"share of kl"``: the norm of its gradient on the epoch's first batch over the sum of all terms' norms.
    Raises ValueError when the loss, a weight or a buffer is no longer finite, before anything of it is kept, and where
    another run has the folder; OSError where that cannot be written.
    """
    _check(epochs=(epochs, 0), metric_every=(metric_every, 1), save_every=(save_every, 1))
    _check(patience=(patience, 1), clip=(clip, 0), shares_every=(shares_every, 1))
    if patience is not None and metric is None:
        raise ValueError("'patience' counts epochs without a better 'metric': give 'metric', got None")
    check_resume(resume, checkpoint)
    folder = Path(checkpoint) if checkpoint is not None else None
    student: nn.Module = getattr(trainable, "student", trainable)
    processes = fabric or default_fabric(next((p.device for p in student.parameters()), torch.device("cpu")))
    processes.launch()
    options = Options(
        epochs,
        optimizer,
        scheduler,
        clip,
        metric,
        metric_every,
        serve or (lambda student: student),
        patience,
        folder,
        save_every,
        log,
        progress,
        title,
        shares_every,
    )
    with ExitStack() as stack:
        if folder is not None:
            hold(folder, 3 * size_of(trainable), processes, stack)  # last.pt, best.pt, and one that is being written
        # No two processes drop out the same units.
        stack.enter_context(seeded(seed + processes.global_rank))
        stack.enter_context(flushed_denormals())
        run = Training(trainable, student, data, options, processes, seed)
        stack.callback(student.eval)
        stack.callback(run.end)
        run.begin(resume)
        run.train()
    return student


def _check(**options: tuple[Any, float]) -> None:
    """Raise ValueError for a number below its minimum."""
    for name, (value, least) in options.items():
        if value is not None and not value >= least:  # NaN is not
            raise ValueError(f"'{name}' must be at least {least}, got {value}")
