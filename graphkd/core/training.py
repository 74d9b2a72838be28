"""One training: its epochs, its metric, and its saved state."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from graphkd.core.alone import precision_of
from graphkd.core.asked import asked_of, groups_of, schedule_of
from graphkd.core.finite import Finite, shown
from graphkd.core.processes import copy_buffers, gather_objects, share
from graphkd.core.progress import Progress, Shown
from graphkd.core.resume import Kept, Resume
from graphkd.core.rng import seeded
from graphkd.core.shares import Shares
from graphkd.core.sparse_features import features_mode
from graphkd.core.view import names
from graphkd.core.wrappers import load_plain_state, plain_state

if TYPE_CHECKING:
    from graphkd.core.processes import Processes

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
SchedulerFactory = Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
Metric = Callable[[nn.Module], float | Mapping[str, float]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Options of a training, see ``fit``."""

    epochs: int
    optimizer: OptimizerFactory
    scheduler: SchedulerFactory | None
    clip: float | None
    metric: Metric | None
    metric_every: int
    serve: Callable[[Any], nn.Module]
    patience: int | None
    folder: Path | None
    save_every: int
    log: Callable[[dict[str, float]], None] | None
    progress: bool | None
    title: str | None
    shares_every: int | None


class Training:
    """One call of ``fit``: the trainable set up by Fabric, its optimiser, and its progress."""

    def __init__(
        self, trainable: nn.Module, student: nn.Module, data: Any, options: Options, fabric: Processes, seed: int
    ) -> None:
        self.plain, self.student, self.data, self.fabric, self.options = trainable, student, data, fabric, options
        self.progress, self.kept, self._parts = Progress(seed), None, list(trainable.modules())
        parameters = [p for p in trainable.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(f"'trainable' must have parameters to train, {type(trainable).__name__} has none")
        served = options.serve(student)
        self.shares = Shares(trainable, student, options.shares_every)
        self.finite = Finite(trainable) if served is student else Finite(trainable, served)
        plain = _over(options.optimizer(parameters), parameters)
        groups = groups_of(plain)
        self.scheduler = None if options.scheduler is None else options.scheduler(plain)
        if options.folder is not None:
            asked = asked_of(trainable, data, plain, groups) | schedule_of(self.scheduler) | self._asked()
            given = {"data": data, "metric": options.metric, "log": options.log}
            self.kept = Kept(options.folder, fabric, trainable, plain, self.scheduler, given, groups, asked)
        self.trainable: nn.Module
        self.optimizer: Any
        self.trainable, self.optimizer = fabric.setup(trainable, plain)

    def _asked(self) -> dict[str, Any]:
        """Return the further options that distinguish a run."""
        options, fabric = self.options, self.fabric
        return {
            "clip": options.clip,
            "metric": None if options.metric is None else "given",
            "metric_every": options.metric_every,
            "patience": options.patience,
            "precision": precision_of(fabric),
            "device": fabric.device.type,
            "processes": fabric.world_size,
            "features": features_mode(),
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
        }

    def begin(self, resume: Resume) -> None:
        """Resume the run in the folder, or write the initial state of this one there."""
        if self.kept is None:
            return
        known = self.kept.load(self.progress, resume) if resume else None
        if known is not None:
            self.progress = known
            self._go_on(self.kept.differing)
            return
        self.kept.begin(self.progress, self._best())

    def _go_on(self, differing: list[str]) -> None:
        """Check whether the options let the run go on, and warn where nothing is left to train."""
        progress, options = self.progress, self.options
        if options.metric is None:
            progress.forget_bests()
        elif progress.epoch < options.epochs and progress.stale(options.patience):
            with seeded(progress.seed):  # the run's stream is not touched
                self._ask(options.metric)
        ended = progress.epoch < options.epochs and progress.stale(options.patience)
        if progress.epoch > options.epochs or (ended and differing):
            warnings.warn(
                f"nothing is trained: the run has come to epoch {progress.epoch}, 'epochs' is {options.epochs} and "
                f"'patience' {options.patience}: give more to go on",
                stacklevel=2,
            )

    def train(self) -> None:
        """Train to the last epoch, or until patience ends."""
        progress, options = self.progress, self.options
        batches = self._batches()
        show = options.progress if self.fabric.is_global_zero else False
        with Shown(options.epochs, progress.epoch, show, options.title) as shown:
            while progress.epoch < options.epochs and not progress.stale(options.patience):
                report = self._epoch(batches)
                progress.epoch += 1
                if options.metric is not None and self._measures():
                    report |= self._measure(options.metric)
                shown.update(report)
                if options.log is not None and self.fabric.is_global_zero:
                    options.log({"epoch": progress.epoch, **report})
                if progress.epoch % options.save_every == 0:
                    self._save()
        self._agree()
        self._save()

    def end(self) -> None:
        """Load the best epoch's state so far into the student and the model that serves."""
        if self.progress.best_state:
            load_plain_state(self.student, self.progress.best_state)
        if self.progress.best_served:
            load_plain_state(self.options.serve(self.student), self.progress.best_served)

    def _batches(self) -> Callable[[int], Iterable[Any]]:
        """Return epoch -> batches: the one batch, moved once, or this process's batches, moved as they are drawn."""
        data, fabric = self.data, self.fabric
        if names(data) is None:
            own = share(data, fabric.global_rank, fabric.world_size, self.progress.seed)
            return lambda epoch: map(fabric.to_device, own(epoch))
        if fabric.world_size > 1:
            _log.warning("every one of %d processes trains on the same single batch", fabric.world_size)
        batch = fabric.to_device(copy.copy(data))  # PyG's Data.to() works in place
        return lambda _: (batch,)

    def _epoch(self, batches: Callable[[int], Iterable[Any]]) -> dict[str, float]:
        """Train one epoch; return means of loss and terms over the batches that had them. Waits for the device once."""
        self._announce()
        sums: dict[str, list[Tensor]] = {}
        shares: dict[str, float] = {}
        self.shares.begin(self.progress.epoch)
        for batch in batches(self.progress.epoch):
            loss, terms = self.trainable(batch)
            shares |= self.shares.take()
            self._step(loss)
            for name, value in (("loss", loss.detach()), *terms.items()):
                sums.setdefault(name, []).append(value)
        if self.scheduler is not None:
            self.scheduler.step()
        if not sums:
            raise ValueError("'data' must give at least one batch an epoch, got none; a generator ends after one epoch")
        found = {name: _numbers(values) for name, values in sums.items()}
        report = _means(self._of_all(found))
        if not math.isfinite(report["loss"]):
            raise ValueError(f"the loss must stay finite, got at epoch {self.progress.epoch + 1}: {report}")
        self._check()
        return report | shares

    def _announce(self) -> None:
        """Pass the epoch on to the module and the data, and put the parts back into train mode."""
        for part in (self.plain, self.data):
            announce: Any = getattr(part, "set_epoch", None)
            if announce is not None:
                announce(self.progress.epoch, self.options.epochs)
        if not all(part.training for part in self._parts):  # a metric, or a log, has put some into eval mode
            self.plain.train()

    def _step(self, loss: Tensor) -> None:
        """Take one step of the optimiser."""
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.options.clip is not None:
            self.fabric.clip_gradients(self.trainable, self.optimizer, max_norm=self.options.clip)
        self.optimizer.step()

    def _check(self) -> None:
        """Raise ValueError where a step made anything infinite or NaN, before it is measured, saved or served."""
        wrong = [name for own in self._of_all(self.finite.wrong()) for name in own]
        if wrong:
            raise ValueError(
                f"the weights must stay finite, got NaN or infinity at epoch {self.progress.epoch + 1} in "
                f"{shown(list(dict.fromkeys(wrong)))}: lower the learning rate, give 'clip', or look at the gradients "
                "of the losses; with 'checkpoint' the state before it is kept, and resume=True goes on from there"
            )

    def _measures(self) -> bool:
        """Tell whether the metric is measured at this epoch."""
        return self.progress.epoch % self.options.metric_every == 0 or self.progress.epoch == self.options.epochs

    def _measure(self, metric: Metric) -> dict[str, float]:
        values, served = self._ask(metric)
        self.progress.note(values, self.student, served)
        return values

    @torch.no_grad()
    def _ask(self, metric: Metric) -> tuple[dict[str, float], nn.Module]:
        """Measure the metric; return its values and the measured model. Bests under another name are forgotten."""
        self._agree()
        self.plain.eval()
        served = self.options.serve(self.student)
        found = metric(served.eval())
        named = found if isinstance(found, Mapping) else {"metric": found}
        values = _means(self._of_all({name: [float(value)] for name, value in named.items()}))
        if not values or any(math.isnan(value) for value in values.values()):
            raise ValueError(f"'metric' must return numbers, got {found} at epoch {self.progress.epoch}")
        known = list(self.progress.bests)
        if known and next(iter(values)) not in known:
            warnings.warn(
                f"the metric of this run was {known}, is {list(values)}: the best epoch is looked for anew",
                stacklevel=2,
            )
            self.progress.forget_bests()
        return values, served

    def _of_all(self, value: Any) -> list[Any]:
        """Gather one value of every process."""
        return gather_objects(value) if self.fabric.world_size > 1 else [value]

    def _agree(self) -> None:
        """Copy the buffers of the first process to all, which differ since each process has its own batches."""
        if self.fabric.world_size > 1:
            copy_buffers(self.plain)

    def _save(self) -> None:
        """Save the state, and that of the model that serves at the best epoch so far."""
        if self.kept is not None:
            self.kept.save(self.progress, self._best())

    def _best(self) -> dict[str, Tensor]:
        best = self.progress.best_served or self.progress.best_state
        return best or plain_state(self.options.serve(self.student))


def _over(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Check that an optimiser changes only parameters that are trained, and return it."""
    known = {id(parameter) for parameter in parameters}
    others = sum(id(p) not in known for group in optimizer.param_groups for p in group["params"])
    if others:
        raise ValueError(
            f"'optimizer' must be over the parameters that are trained, {others} of its own are others: give a "
            "function of them, for example partial(torch.optim.Adam, lr=0.01)"
        )
    return optimizer


def _numbers(values: list[Tensor]) -> list[float]:
    """Return scalars as numbers; waits for the device once."""
    if values[0].device.type == "cpu":
        return [value.item() for value in values]
    return torch.stack(values).double().flatten().tolist()


def _means(reports: list[dict[str, list[float]]]) -> dict[str, float]:
    """Average all values of all processes by name; a name may be missing in some."""
    found: dict[str, list[float]] = {}
    for report in reports:
        for name, values in report.items():
            found.setdefault(name, []).extend(values)
    return {name: fmean(values) for name, values in found.items()}
