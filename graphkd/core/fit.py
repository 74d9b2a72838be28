"""The one training loop: trains anything whose ``forward(batch)`` returns a ``Step``."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from graphkd.core import checkpoint as files
from graphkd.core.denormals import flushed_denormals
from graphkd.core.processes import copy_buffers, default_fabric, gather_objects, share
from graphkd.core.progress import Progress, Shown
from graphkd.core.rng import rng_state, seeded, set_rng_state
from graphkd.core.view import Batch, names

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
SchedulerFactory = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
_ADAM = partial(torch.optim.Adam, lr=1e-2)
Metric = Callable[[nn.Module], float | Mapping[str, float]]
_log = logging.getLogger(__name__)


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
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
    save_every: int = 10,
    resume: bool = False,
    log: Callable[[dict[str, float]], None] | None = None,
    progress: bool | None = None,
    title: str | None = None,
) -> nn.Module:
    """Train a module whose ``forward(batch)`` returns a ``Step``; give back its student, best epoch, eval mode.

    data: one batch (full-batch training, a step an epoch) or an iterable of batches, gone through once an epoch; of
    several processes each takes its share (``processes.share``), and a step averages their gradients.
    optimizer: parameters -> optimiser, for example ``partial(torch.optim.Adam, lr=0.01, weight_decay=5e-4)``.
    scheduler: optimiser -> learning-rate scheduler, which takes a step an epoch. clip: the largest norm of a gradient.
    metric: student -> float, higher is better, called after every epoch, or every ``metric_every``-th and the last, in
    eval mode without gradients; the best epoch's weights are restored (of equals the latest) and ``patience`` epochs
    without a best end the run. It may return several by name: the first chooses, a best of any counts for patience.
    serve: student -> the module that ``metric`` is given, where it is not the student itself (an average, one of
    several peers); its state at the best epoch is restored too.
    seed: of torch, numpy and random during the run (plus the rank); their states outside are left as they were. So is
    the processor's mode: during the run it counts numbers below 1e-38 as 0, which weight decay makes.
    fabric: a ``lightning_fabric.Fabric`` for devices, precision and processes; by default the student's device, under
    ``torchrun`` all its processes. All call ``metric``, of which the mean counts; the first alone logs and writes.
    DDP refuses parameters without a gradient: give ``Fabric(strategy="ddp_find_unused_parameters_true", ...)`` then.
    checkpoint: a folder for ``last.pt`` (all that ``resume=True`` needs to end with the same bits, the ``state_dict``
    of data that has one included) and ``best.pt`` (the student), written atomically every ``save_every`` epochs and at
    the end.
    A trainable or data with ``set_epoch(epoch, epochs)`` is told before every epoch how far training is, from 0.
    log: called after every epoch with the means of loss and terms, and the metric.
    progress: a bar over epochs (default: on a terminal, elsewhere a line a tenth of a run of more than ten seconds).
    title: what the bar or the line is called.
    Raises ValueError when the loss is no longer finite, and for a resumed run with another seed.
    """
    for name, value, least in (
        ("epochs", epochs, 0),
        ("metric_every", metric_every, 1),
        ("patience", patience, 1),
        ("save_every", save_every, 1),
        ("clip", clip, 0),
    ):
        if value is not None and value < least:
            raise ValueError(f"'{name}' must be at least {least}, got {value}")
    if patience is not None and metric is None:
        raise ValueError("'patience' counts epochs without a better 'metric': give 'metric', got None")
    folder = Path(checkpoint) if checkpoint is not None else None
    if resume and folder is None:
        raise ValueError("'resume' needs the folder of the run: give 'checkpoint', got None")
    student: nn.Module = getattr(trainable, "student", trainable)
    fabric = fabric or default_fabric(next((p.device for p in student.parameters()), torch.device("cpu")))
    fabric.launch()
    with seeded(seed + fabric.global_rank), flushed_denormals():  # no two processes drop out the same units
        run = _Run(trainable, student, data, optimizer, fabric, Progress(seed), serve, scheduler, clip)
        if resume and folder is not None:
            run.load(folder / "last.pt")
        run.train(epochs, metric, metric_every, patience, folder, save_every, log, progress, title)
    close = getattr(trainable, "close", None)
    if close is not None:
        close()
    return student.eval()


class _Run:
    """One call of ``fit``: the trainable set up by Fabric, its optimiser, and how far they have come."""

    def __init__(
        self,
        trainable: nn.Module,
        student: nn.Module,
        data: Any,
        optimizer: OptimizerFactory,
        fabric: Fabric,
        progress: Progress,
        serve: Callable[[Any], nn.Module] | None,
        scheduler: SchedulerFactory | None,
        clip: float | None,
    ) -> None:
        self.serve, self.clip = serve or (lambda student: student), clip
        self.plain, self.student, self.data, self.fabric, self.progress = trainable, student, data, fabric, progress
        parameters = [p for p in trainable.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(f"'trainable' must have parameters to train, {type(trainable).__name__} has none")
        plain = _over(optimizer(parameters), parameters)
        self.scheduler = None if scheduler is None else scheduler(plain)
        self.trainable, self.optimizer = self.fabric.setup(trainable, plain)

    def train(
        self,
        epochs: int,
        metric: Metric | None,
        metric_every: int,
        patience: int | None,
        folder: Path | None,
        save_every: int,
        log: Callable[[dict[str, float]], None] | None,
        bar: bool | None,
        title: str | None,
    ) -> None:
        progress = self.progress
        batches = self._batches()
        show = bar if self.fabric.is_global_zero else False
        with Shown(epochs, progress.epoch, show, title) as shown:
            while progress.epoch < epochs and not progress.stale(patience):
                report = self._epoch(batches, epochs)
                progress.epoch += 1
                if metric is not None and (progress.epoch % metric_every == 0 or progress.epoch == epochs):
                    report |= self._measure(metric)
                shown.update(report)
                if log is not None and self.fabric.is_global_zero:
                    log({"epoch": progress.epoch, **report})
                if folder is not None and progress.epoch % save_every == 0:
                    self.save(folder)
        self._agree()
        if folder is not None:
            self.save(folder)
        if progress.best_state:
            self.student.load_state_dict(progress.best_state)
        if progress.best_served:
            self.serve(self.student).load_state_dict(progress.best_served)

    def _batches(self) -> Callable[[int], Iterable[Any]]:
        """What epoch goes through: the one batch, moved once, or this process's batches, moved as they come."""
        data, fabric = self.data, self.fabric
        if names(data) is None:
            own = share(data, fabric.global_rank, fabric.world_size, self.progress.seed)
            return lambda epoch: map(fabric.to_device, own(epoch))
        if fabric.world_size > 1:
            _log.warning("every one of %d processes trains on the same single batch", fabric.world_size)
        batch = fabric.to_device(copy.copy(data))  # PyG's Data.to() works in place
        return lambda _: (batch,)

    def _epoch(self, batches: Callable[[int], Iterable[Any]], epochs: int) -> dict[str, float]:
        """One pass; means of loss and terms over the batches that had them. Waits for the device only at the end."""
        for part in (self.plain, self.data):
            announce: Any = getattr(part, "set_epoch", None)
            if announce is not None:
                announce(self.progress.epoch, epochs)
        self.plain.train()
        sums: dict[str, list[Tensor]] = {}
        for batch in batches(self.progress.epoch):
            loss, terms = self.trainable(batch)
            self._step(loss)
            for name, value in (("loss", loss.detach()), *terms.items()):
                sums.setdefault(name, []).append(value)
        if self.scheduler is not None:
            self.scheduler.step()
        if not sums:
            raise ValueError("'data' must give at least one batch an epoch, got none; a generator ends after one epoch")
        found = {name: torch.stack(values).double().flatten().tolist() for name, values in sums.items()}
        report = _means(self._of_all(found))
        if not math.isfinite(report["loss"]):
            raise ValueError(f"the loss must stay finite, got at epoch {self.progress.epoch + 1}: {report}")
        return report

    def _step(self, loss: Tensor) -> None:
        """One step of the optimiser."""
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.clip is not None:
            self.fabric.clip_gradients(self.trainable, self.optimizer, max_norm=self.clip)
        self.optimizer.step()

    @torch.no_grad()
    def _measure(self, metric: Metric) -> dict[str, float]:
        self._agree()
        self.plain.eval()
        served = self.serve(self.student)
        found = metric(served.eval())
        named = found if isinstance(found, Mapping) else {"metric": found}
        values = _means(self._of_all({name: [float(value)] for name, value in named.items()}))
        if not values or any(math.isnan(value) for value in values.values()):
            raise ValueError(f"'metric' must return numbers, got {found} at epoch {self.progress.epoch}")
        self.progress.note(values, self.student, served)
        return values

    def _of_all(self, value: Any) -> list[Any]:
        """One value of every process."""
        return gather_objects(value) if self.fabric.world_size > 1 else [value]

    def _agree(self) -> None:
        """Give all processes the buffers of the first; each fills its own from its batches."""
        if self.fabric.world_size > 1:
            copy_buffers(self.plain)

    def save(self, folder: Path) -> None:
        """Write last.pt and best.pt."""
        rng, *others = self._of_all(rng_state())
        if self.fabric.is_global_zero:
            state = {"trainable": self.plain.state_dict(), "optimizer": self.optimizer.state_dict(), "rng": rng}
            state |= {"other_rngs": others, "progress": asdict(self.progress)}
            if self.scheduler is not None:
                state |= {"scheduler": self.scheduler.state_dict()}
            if hasattr(self.data, "state_dict"):
                state |= {"data": self.data.state_dict()}
            files.save(state, folder / "last.pt")
            files.save(self._best(), folder / "best.pt")
        self.fabric.barrier()

    def _best(self) -> dict[str, Tensor]:
        """The state of what serves, at the best epoch so far."""
        return self.progress.best_served or self.progress.best_state or self.serve(self.student).state_dict()

    def load(self, path: Path) -> None:
        """Go on where ``save`` left off, if it ever wrote; the first process reads for all."""
        found = files.load(path) if self.fabric.is_global_zero and path.is_file() else None
        state = self.fabric.broadcast(found)
        if state is None:
            return
        progress = Progress(**state["progress"])
        if progress.seed != self.progress.seed:
            raise ValueError(
                f"'seed' must be {progress.seed}, that of the run in {str(path)!r}, got {self.progress.seed}"
            )
        self.plain.load_state_dict(state["trainable"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if "data" in state:
            self.data.load_state_dict(state["data"])
        rngs = [state["rng"], *state.get("other_rngs", ())]
        if self.fabric.global_rank < len(rngs):
            set_rng_state(rngs[self.fabric.global_rank])
        self.progress = progress


def _over(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser, if all that it changes is to be trained."""
    known = {id(parameter) for parameter in parameters}
    others = sum(id(p) not in known for group in optimizer.param_groups for p in group["params"])
    if others:
        raise ValueError(
            f"'optimizer' must be over the parameters that are trained, {others} of its own are others: give a "
            "function of them, for example partial(torch.optim.Adam, lr=0.01)"
        )
    return optimizer


def _means(reports: list[dict[str, list[float]]]) -> dict[str, float]:
    """Means over all values of all processes; a name may be missing in some."""
    found: dict[str, list[float]] = {}
    for report in reports:
        for name, values in report.items():
            found.setdefault(name, []).extend(values)
    return {name: fmean(values) for name, values in found.items()}
