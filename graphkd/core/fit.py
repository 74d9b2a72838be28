"""The one training loop: trains anything whose ``forward(batch)`` returns a ``Step``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from graphkd.core.adam import adam
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

_LR = 1e-2  # of Adam


def fit(
    trainable: nn.Module,
    data: Batch | Iterable[Batch],
    *,
    epochs: int,
    optimizer: OptimizerFactory | None = None,
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

    data: one batch (full-batch training, one step an epoch) or an iterable of batches, read once an epoch. Of several
    processes each reads its share (``processes.share``), and a step averages their gradients.
    optimizer: parameters -> optimiser, for example ``partial(torch.optim.Adam, lr=0.01, weight_decay=5e-4)`` (default:
    Adam with a rate of 0.01).
    scheduler: optimiser -> learning-rate scheduler, which takes a step an epoch. clip: the largest norm of a gradient.
    metric: student -> float, higher is better, evaluated after every ``metric_every``-th epoch and the last, in eval
    mode without gradients. The weights of the best epoch (the latest of equals) are restored at the end, also after an
    exception or Ctrl-C. It may return several values by name: the first chooses the best epoch.
    patience: end the run when no metric has been as good as its best for this many epochs.
    serve: student -> the module that ``metric`` evaluates, if not the student itself (an average, one of several
    peers); its state at the best epoch is restored too.
    seed: of torch, numpy and random during the run (plus the rank of the process); their states are restored at the
    end. Numbers below 1e-38, which weight decay produces, are flushed to 0 on the CPU during the run.
    fabric: a ``lightning_fabric.Fabric`` for devices, precision and processes; by default the student's device, under
    ``torchrun`` all its processes. Every process calls ``metric``, and the mean counts; only the first logs and writes.
    DDP refuses parameters without a gradient: give ``Fabric(strategy="ddp_find_unused_parameters_true", ...)`` then.
    checkpoint: a folder for this run alone, checked before the first epoch. ``last.pt`` has all that ``resume`` needs
    to end with the same bits, ``last.old.pt`` is the one before it, ``best.pt`` has the module that serves at the best
    epoch, under the names of the plain model. They are written atomically every ``save_every`` epochs and at the end,
    ``last.pt`` before the first epoch too. The ``state_dict`` of ``data``, ``metric`` and ``log``, where they have one,
    is saved, as are a loader's generators and schedules in optimiser hooks. Persistent workers are reseeded per batch.
    resume: True continues the run in the folder and warns where there is none; "auto" begins or continues. The options
    of this call apply, and a warning lists those that differ: learning rate, losses, teachers, data, and numbers of
    processes and threads, which change the last bits. ValueError for another model, kind of optimiser or seed.
    ``set_epoch(epoch, epochs)`` of the trainable and the data, where defined, is called before every epoch, from 0.
    log: called after every epoch with its number, the means of loss and terms, and the metric.
    progress: a bar over epochs (default: on a terminal, elsewhere a line a tenth of a run of more than ten seconds).
    title: the label of the bar or the lines.
    shares_every: report in every ``shares_every``-th epoch, the first included, how much each weighted term moves the
    student, ``"share of kl"``: the norm of its gradient on the epoch's first batch over the sum of all terms' norms.
    Raises ValueError when the loss, a weight or a buffer is no longer finite, before that state is saved, and where
    another run uses the folder; OSError where the folder cannot be written.
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
        optimizer or adam(processes, lr=_LR),
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
        if value is not None and not value >= least:  # also for NaN
            raise ValueError(f"'{name}' must be at least {least}, got {value}")
