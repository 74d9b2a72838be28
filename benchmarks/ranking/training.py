"""Training of the recommender benchmark: one model with a stopwatch, or a teacher in stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.ranking.methods import BATCH_SIZE, Plan
from benchmarks.ranking.protocol import Protocol
from graphkd import Distiller, Frozen, fit
from recsys.data.batches import RankingBatches
from recsys.methods._trajectory import trajectory
from recsys.models import Recommender
from recsys.models import show as view


class Stopwatch:
    """Batches that keep the time of an epoch's parts, also over interruptions: making batches, validating, the rest."""

    def __init__(self, batches: RankingBatches) -> None:
        self.batches, self.started = batches, time.perf_counter()
        self.spent = {"seconds": 0.0, "sampling": 0.0, "validation": 0.0, "epochs": 0}

    def __iter__(self) -> Iterator[Any]:
        self.spent["epochs"] += 1
        batches, started = iter(self.batches), time.perf_counter()
        for batch in batches:
            self.spent["sampling"] += time.perf_counter() - started
            yield batch
            started = time.perf_counter()

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Pass on."""
        self.batches.set_epoch(epoch, epochs)

    def validate(self, metric: Callable[[Any], dict[str, float]], model: Any) -> dict[str, float]:
        """The metrics of a model, on the watch."""
        started = time.perf_counter()
        value = metric(model)
        self.spent["validation"] += time.perf_counter() - started
        return value

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on with."""
        now = time.perf_counter()
        self.spent["seconds"], self.started = self.spent["seconds"] + now - self.started, now
        return {"batches": self.batches.state_dict(), "spent": dict(self.spent)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on."""
        self.batches.load_state_dict(state["batches"])
        self.spent, self.started = dict(state["spent"]), time.perf_counter()

    def costs(self) -> dict[str, float]:
        """Seconds in all, and per epoch for sampling and for the gradient."""
        spent = self.state_dict()["spent"]
        epochs = max(spent["epochs"], 1)
        gradient = spent["seconds"] - spent["sampling"] - spent["validation"]
        return {
            "train_seconds": spent["seconds"],
            "sampling_seconds": spent["sampling"] / epochs,
            "gradient_seconds": gradient / epochs,
            "epochs": spent["epochs"],
        }


@dataclass(frozen=True)
class Trained:
    """A model, and the seconds that training it took: in all, and per epoch for sampling and for the gradient."""

    model: Recommender
    costs: dict[str, float]


@dataclass(frozen=True)
class Training:
    """A recommender to fit to a loss and its lists; the epoch is chosen on the validation part, or is the last."""

    student: Recommender
    teacher: Recommender | None
    plan: Plan
    protocol: Protocol
    options: Mapping[str, Any]

    def run(self) -> Trained:
        """Train."""
        task, batches, options = self._set_up()
        fit(task, batches, **options)
        return Trained(self.student, batches.costs())

    def stages(self) -> list[Recommender]:
        """Train, and give up to four stages of it: after epochs E/8, E/4, E/2, as powers of two, and the chosen E."""
        task, batches, options = self._set_up()
        powers = [2**n for n in range(options["epochs"].bit_length())]
        found: list[Any] = trajectory(task, batches, powers, **options)
        return found[-4:]

    def _set_up(self) -> tuple[Distiller, Stopwatch, dict[str, Any]]:
        loss, sources = self.plan
        batches = Stopwatch(RankingBatches(self.protocol.split.train, batch_size=BATCH_SIZE, sources=sources))
        teacher = Frozen(self.teacher, call=view) if self.teacher else None
        metric = partial(batches.validate, self.protocol.validate) if self.options["patience"] else None
        return Distiller(self.student, teacher, loss, call=view), batches, {**self.options, "metric": metric}
