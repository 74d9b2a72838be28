"""The methods of the click-through benchmark on logged clicks, by name: one literal table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import nn

from benchmarks.context.click_models import embeddings, hidden
from datasets.clicks import Clicks as Data
from graphkd import Distiller
from graphkd.core.teachers import Cached
from recsys.data.rows import RowBatches, Rows
from recsys.evaluate.clicks import held_out
from recsys.losses import ClickHint, Clicks, CrossDistil, Rocket, SoftClicks
from recsys.models.clicks import ClickNet, MultiTaskNet, RocketNet, Several, show


class Plan(NamedTuple):
    """A task to fit on some rows, the model that serves, and a metric in place of the served model's AUC."""

    task: Distiller
    served: nn.Module
    rows: Rows
    metric: Callable[[nn.Module], float] | None = None


@dataclass
class Lesson:
    """A light net to train, with a booster to share its embeddings, on clicks that trained teachers have seen."""

    data: Data
    light: nn.Module
    booster: Callable[[], nn.Module]
    teachers: Sequence[nn.Module]

    def plain(self) -> Plan:
        """Labels alone."""
        return Plan(Distiller(self.light, None, Clicks(), call=show), self.light, self.data.rows)

    def single(self) -> Plan:
        """Soft clicks of the first teacher."""
        losses = {"clicks": Clicks(), "soft": SoftClicks()}
        return self._taught(losses, self.teachers[0])

    def ensemble(self, *, hint: float = 0.0, stop: bool = False) -> Plan:
        """Soft clicks of all teachers, gated."""
        losses: dict = {"clicks": Clicks(), "soft": SoftClicks(teachers=len(self.teachers))}
        taps = None
        if hint:
            (path, width), (theirs, wide) = hidden(self.light), hidden(self.teachers[0])
            taps = {"hidden": (path, f"models.0.{theirs}")}
            losses["hint"] = hint * ClickHint(width, wide)
        plan = self._taught(losses, Several(self.teachers), taps)
        valid = RowBatches(plan.rows, plan.rows.valid, batch_size=8192, shuffle=False)
        return plan._replace(metric=held_out(plan.task, valid, "soft")) if stop else plan

    def rocket(self, *, weight: float = 0.03, taught: bool = False) -> Plan:
        """A booster beside the light net; with a pre-trained teacher besides."""
        net = RocketNet(self.light, self.booster(), embeddings(self.light))
        losses: dict = {"rocket": Rocket(weight)} | ({"soft": SoftClicks()} if taught else {})
        teacher = self._stored(self.teachers[0]) if taught else None
        return Plan(Distiller(net, teacher, losses, call=show), self.light, self.data.rows)

    def two_tasks(self, loss: Clicks | CrossDistil) -> Plan:
        """Clicks, and ratings above the user's mean."""
        if not isinstance(self.light, ClickNet):
            raise TypeError("two tasks need the student's own layers: give --student net:WIDTH:LAYERS")
        columns = {**self.data.rows.columns, "y": self.data.rows.columns["tasks"]}
        task = Distiller(MultiTaskNet(self.light), None, loss, call=show)
        return Plan(task, self.light, replace(self.data.rows, columns=columns))

    def _taught(self, losses: dict, teacher: nn.Module, taps: dict | None = None) -> Plan:
        task = Distiller(self.light, self._stored(teacher), losses, taps=taps, call=show)
        return Plan(task, self.light, self.data.rows)

    def _stored(self, teacher: nn.Module) -> Cached:
        """A teacher that answers for every row once."""
        return Cached(teacher, self.data.rows.take(), call=show)


METHODS: dict[str, Callable[[Lesson], Plan]] = {
    "none": lambda lesson: lesson.plain(),
    "kd": lambda lesson: lesson.single(),
    "ensemble": lambda lesson: lesson.ensemble(),
    "ensemble_stop": lambda lesson: lesson.ensemble(stop=True),
    "ensemble_hint": lambda lesson: lesson.ensemble(hint=0.01),
    "rocket": lambda lesson: lesson.rocket(),
    "rocket_kd": lambda lesson: lesson.rocket(taught=True),
    "multitask": lambda lesson: lesson.two_tasks(Clicks()),
    "crossdistil": lambda lesson: lesson.two_tasks(
        CrossDistil(alpha=0.3, margin=0.0, ranking_weight=0.05, start_epoch=3)
    ),
}
