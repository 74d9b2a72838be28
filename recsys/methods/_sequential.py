"""Problem of sequence methods: training rows in the place of users, batches with lists, and teachers' states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from recsys.data.interactions import Interactions
from recsys.data.sequence_batches import By
from recsys.data.sequence_rows import SequenceSplit
from recsys.data.source import Source
from recsys.losses.recbole import RecBoleLoss
from recsys.methods._problem import RecommenderProblem
from recsys.methods._ranking import RankingProblem
from recsys.models.base import Recommender
from recsys.models.sequence_view import show_rows
from recsys.models.sequential import RowScores, check_items, row_tables, sequential_of
from recsys.models.tables import Tables
from recsys.tasks.sequential import Sequential


class SequentialProblem(RankingProblem):
    """Student, teachers and a split of sequences; to ranking methods, each training row takes the place of a user.

    A teacher is replaced by its states of all rows (R, d) and its table of items (I, d), computed once. An ``Ensemble``
    counts as the mean of its members' scores, a ``Cached`` or ``Frozen`` teacher as its model.
    """

    data: SequenceSplit  # type: ignore[assignment]
    task: Sequential  # type: ignore[assignment]

    def __init__(
        self,
        student: Any,
        teachers: Sequence[Any],
        data: SequenceSplit,
        task: Sequential,
        **options: Any,
    ) -> None:
        self._models: WeakKeyDictionary[Frozen, Any] = WeakKeyDictionary()
        if isinstance(student, nn.Module):
            check_items(sequential_of(student, "student"), data, "student")
        models = [sequential_of(each) for each in teachers]
        for model in models:
            check_items(model, data, "teacher")
        RecommenderProblem.__init__(self, student, models, data, task, **options)
        check_items(sequential_of(self.student, "student"), data, "student")
        if self.by == "positions" and not self.student.causal:
            raise ValueError(
                f"by='positions' reads states at every position, {type(self.student).__name__} has them at the end of "
                "a history alone: leave out 'by', or say by='rows'"
            )

    @property
    def by(self) -> By:
        """Say how training rows are read, by positions or by rows."""
        return self.task.by or ("positions" if getattr(self.student, "causal", True) else "rows")

    @property
    def pairs(self) -> Interactions:
        """Return training rows, numbered from 1, and their targets."""
        return self.data.train.pairs

    @property
    def batch_size(self) -> int:
        """Return the average number of training rows in a batch."""
        rows = self.data.train
        read = len(rows.windows) if self.by == "positions" else len(rows)
        return max(round(len(rows) / -(-read // self.task.batch_size)), 1)

    @property
    def copies(self) -> int:
        """Count how often batches have each row: once."""
        return 1

    @property
    def ranked_student(self) -> Recommender:
        """Return the student as a recommender that ranks items for training rows."""
        return RowScores(self.student, self.data.train, windows=self.by == "positions")

    def width_of(self, model: nn.Module | Frozen) -> int:
        """Give the width of the states of a model, or of a teacher's stored states."""
        known: Any = model.model if isinstance(model, Frozen) else model
        return int((known.item if isinstance(known, Tables) else known.items()).size(1))

    def batches(self, sources: Mapping[str, Source] | None = None) -> Any:
        """Make the training batches, with the lists of some sources."""
        return self.task.batches(self.data.train, sources or {}, self.by)

    def supervised(self, where: str | None = None) -> Loss:
        """Return the student's base loss: RecBole's, summed over the rows, or the task's."""
        if where is None and hasattr(self.student, "own_loss"):
            return 1.0 * RecBoleLoss(reduction="sum")
        return self.task.supervised(where)

    def taught_by(self, model: nn.Module) -> Frozen:
        """Make a teacher of a model's states of all training rows, from passes over stretches where these are read."""
        known = sequential_of(model)
        windows = self.by == "positions" and known.causal
        teacher = Frozen(Tables(*row_tables(known, self.data.train, windows=windows), padding=True), call=show_rows)
        self._models[teacher] = known
        self._know(teacher, show_rows, None)
        return teacher

    def top_users(self, length: int) -> Tensor:
        """Raise ValueError, since rows cannot be ranked for an item."""
        raise ValueError(
            f"lists of users for an item (length {length}) need the states of all users in every step, which rows of "
            "histories do not have: leave out side='items' or 'both', or distil by the tables of a sequential model, "
            "recsys.models.sequential.tables_at, as task=Ranking()"
        )
