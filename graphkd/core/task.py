"""Base class of the tasks in ``graphkd.tasks``: data entries, losses and metrics of a prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.view import Call

Part = Literal["val", "test"]


class Task(ABC):
    """Prediction task: the entries of the data that are labels and splits, the losses that fit, and the metric.

    kind: the name by which methods list the tasks that they support. labelled: the batch entry that selects the rows
    whose labels are learnt, for ``where=`` of a loss. lower_is_better: names of scores that are errors.
    """

    kind: ClassVar[str]
    labelled: ClassVar[str]
    lower_is_better: ClassVar[tuple[str, ...]] = ()

    def call(self, call: Call | None) -> Call | None:
        """Return the ``call`` of models for this kind of answers, given the user's; None for calls by name."""
        return call

    @abstractmethod
    def prepare(self, data: Any) -> Any:
        """Check the user's data, one batch or a loader, and return them in the one form that the rest reads."""

    @abstractmethod
    def supervised(self, where: str | None = None) -> Loss:
        """Make the loss of the labels, on the labelled rows or those of ``where``."""

    @abstractmethod
    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:
        """Make the loss between a student's and a teacher's answers of this kind, on all rows or those of ``where``."""

    @abstractmethod
    def has(self, part: Part, data: Any) -> bool:
        """Tell whether the data have rows of this part to evaluate a model on."""

    @abstractmethod
    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:
        """Measure a model on the rows of a part; the first value chooses epochs, higher is better."""

    def progress(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, float]:
        """Measure a model on validation rows by the scores of which higher is better; the first chooses epochs."""
        found = self.score(model, data, "val", call)
        return {name: value for name, value in found.items() if name not in self.lower_is_better}

    @abstractmethod
    def targets(self, batch: Any) -> Tensor:
        """Return the labels of a batch's rows, (n,)."""

    def scores(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, dict[str, float]]:
        """Measure a model on every part that the data have."""
        parts: tuple[Part, ...] = ("val", "test")
        return {part: self.score(model, data, part, call) for part in parts if self.has(part, data)}
