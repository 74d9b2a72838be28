"""The one training loop: trains anything whose ``forward(batch)`` returns a ``Step``."""

from __future__ import annotations

import copy
import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from tqdm import tqdm

from graphkd.core import checkpoint as files
from graphkd.core.rng import rng_state, seeded, set_rng_state
from graphkd.core.view import Batch, names

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
_ADAM = partial(torch.optim.Adam, lr=1e-2)
Metric = Callable[[nn.Module], float]
_log = logging.getLogger(__name__)


@dataclass
class _Progress:
    """How far a run has come: what a checkpoint holds besides weights, optimiser and generators."""

    seed: int
    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    best_state: dict[str, Tensor] = field(default_factory=dict)

    def stale(self, patience: int | None) -> bool:
        return patience is not None and self.epoch - self.best_epoch >= patience


def fit(
    task: nn.Module,
    data: Batch | Iterable[Batch],
    *,
    epochs: int,
    optimizer: OptimizerFactory = _ADAM,
    metric: Metric | None = None,
    metric_every: int = 1,
    patience: int | None = None,
    seed: int = 0,
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
    save_every: int = 10,
    resume: bool = False,
    log: Callable[[dict[str, float]], None] | None = None,
    progress: bool | None = None,
) -> nn.Module:
    """Train a module whose ``forward(batch)`` returns a ``Step``; give back its student, best epoch, eval mode.

    data: one batch (full-batch training, a step an epoch) or an iterable of batches, gone through once an epoch.
    optimizer: parameters -> optimiser, for example ``partial(torch.optim.Adam, lr=0.01, weight_decay=5e-4)``.
    metric: student -> float, higher is better, called after every epoch, or every ``metric_every``-th and the last, in
    eval mode without gradients; the best epoch's weights are restored (of equals the latest) and ``patience`` epochs
    without a best end the run.
    seed: of torch, numpy and random during the run; their states outside are left as they were.
    fabric: a ``lightning_fabric.Fabric`` for devices, precision and processes; by default the student's device.
    checkpoint: a folder for ``last.pt`` (all that ``resume=True`` needs to end with the same bits, the ``state_dict``
    of data that has one included) and ``best.pt`` (the student), written atomically every ``save_every`` epochs and at
    the end.
    A task or data with ``set_epoch(epoch, epochs)`` is told before every epoch how far training is, from 0.
    log: called after every epoch with the means of loss and terms, and the metric.
    progress: a bar over epochs (default: on a terminal).
    Raises ValueError when the loss is no longer finite, and for a resumed run with another seed.
    """
    for name, value, least in (
        ("epochs", epochs, 0),
        ("metric_every", metric_every, 1),
        ("patience", patience, 1),
        ("save_every", save_every, 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"'{name}' must be at least {least}, got {value}")
    if patience is not None and metric is None:
        raise ValueError("'patience' counts epochs without a better 'metric': give 'metric', got None")
    folder = Path(checkpoint) if checkpoint is not None else None
    if resume and folder is None:
        raise ValueError("'resume' needs the folder of the run: give 'checkpoint', got None")
    with seeded(seed):
        run = _Run(task, data, optimizer, fabric, _Progress(seed))
        if resume and folder is not None and (folder / "last.pt").is_file():
            run.load(folder / "last.pt")
        run.train(epochs, metric, metric_every, patience, folder, save_every, log, progress)
    close = getattr(task, "close", None)
    if close is not None:
        close()
    return run.student.eval()


class _Run:
    """One call of ``fit``: the task set up by Fabric, its optimiser, and how far they have come."""

    def __init__(
        self, task: nn.Module, data: Any, optimizer: OptimizerFactory, fabric: Fabric | None, progress: _Progress
    ) -> None:
        self.plain, self.data, self.progress = task, data, progress
        self.student: nn.Module = getattr(task, "student", task)
        self.fabric = fabric or _on_device_of(self.student)
        parameters = [p for p in task.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(f"'task' must have parameters to train, {type(task).__name__} has none")
        self.fabric.launch()
        self.task, self.optimizer = self.fabric.setup(task, optimizer(parameters))

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
    ) -> None:
        progress = self.progress
        batches = self._batches()
        hidden = not (sys.stderr.isatty() if bar is None else bar) or not self.fabric.is_global_zero
        with tqdm(total=epochs, initial=progress.epoch, disable=hidden, mininterval=0.5, unit="epoch") as shown:
            while progress.epoch < epochs and not progress.stale(patience):
                report = self._epoch(batches, epochs)
                progress.epoch += 1
                if metric is not None and (progress.epoch % metric_every == 0 or progress.epoch == epochs):
                    report["metric"] = self._measure(metric)
                shown.set_postfix(report, refresh=False)
                shown.update()
                if log is not None:
                    log({"epoch": progress.epoch, **report})
                if folder is not None and progress.epoch % save_every == 0:
                    self.save(folder)
        if folder is not None:
            self.save(folder)
        if progress.best_state:
            self.student.load_state_dict(progress.best_state)

    def _batches(self) -> Callable[[], Iterator[Any]]:
        """What an epoch goes through: the one batch, moved once, or a loader's batches, moved as they come."""
        data = self.data
        if names(data) is None:
            loader = self.fabric.setup_dataloaders(data) if isinstance(data, torch.utils.data.DataLoader) else data
            return lambda: (self.fabric.to_device(batch) for batch in loader)
        if self.fabric.world_size > 1:
            _log.warning("every one of %d processes trains on the same single batch", self.fabric.world_size)
        batch = self.fabric.to_device(copy.copy(data))  # PyG's Data.to() works in place
        return lambda: iter((batch,))

    def _epoch(self, batches: Callable[[], Iterator[Any]], epochs: int) -> dict[str, float]:
        """One pass; means of loss and terms over the batches that had them. Waits for the device only at the end."""
        for part in (self.plain, self.data):
            announce: Any = getattr(part, "set_epoch", None)
            if announce is not None:
                announce(self.progress.epoch, epochs)
        self.plain.train()
        sums: dict[str, list[Tensor]] = {}
        for batch in batches():
            loss, terms = self.task(batch)
            self.optimizer.zero_grad()
            self.fabric.backward(loss)
            self.optimizer.step()
            for name, value in (("loss", loss.detach()), *terms.items()):
                sums.setdefault(name, []).append(value)
        if not sums:
            raise ValueError("'data' must give at least one batch an epoch, got none; a generator ends after one epoch")
        report = {name: float(torch.stack(values).double().mean()) for name, values in sums.items()}
        if not math.isfinite(report["loss"]):
            raise ValueError(f"the loss must stay finite, got at epoch {self.progress.epoch + 1}: {report}")
        return report

    @torch.no_grad()
    def _measure(self, metric: Metric) -> float:
        self.plain.eval()
        value = float(metric(self.student))
        if math.isnan(value):
            raise ValueError(f"'metric' must return a number, got NaN at epoch {self.progress.epoch}")
        if value >= self.progress.best:
            self.progress.best, self.progress.best_epoch = value, self.progress.epoch
            self.progress.best_state = {k: v.clone() for k, v in self.student.state_dict().items()}
        return value

    def save(self, folder: Path) -> None:
        """Write last.pt and best.pt."""
        if self.fabric.is_global_zero:
            state = {"task": self.plain.state_dict(), "optimizer": self.optimizer.state_dict(), "rng": rng_state()}
            state |= {"progress": asdict(self.progress)}
            if hasattr(self.data, "state_dict"):
                state |= {"data": self.data.state_dict()}
            files.save(state, folder / "last.pt")
            files.save(self.progress.best_state or self.student.state_dict(), folder / "best.pt")
        self.fabric.barrier()

    def load(self, path: Path) -> None:
        """Go on where ``save`` left off."""
        state = files.load(path)
        progress = _Progress(**state["progress"])
        if progress.seed != self.progress.seed:
            raise ValueError(
                f"'seed' must be {progress.seed}, that of the run in {str(path)!r}, got {self.progress.seed}"
            )
        self.plain.load_state_dict(state["task"])
        self.optimizer.load_state_dict(state["optimizer"])
        if "data" in state:
            self.data.load_state_dict(state["data"])
        set_rng_state(state["rng"])
        self.progress = progress


def _on_device_of(student: nn.Module) -> Fabric:
    device = next((p.device for p in student.parameters()), torch.device("cpu"))
    devices: Any = [device.index or 0] if device.type == "cuda" else 1
    return Fabric(accelerator=device.type, devices=devices)
