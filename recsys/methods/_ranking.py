"""Problem of ranking methods: pairs, batches with lists, and the items that teachers rank first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from recsys.data.interactions import Interactions, Split
from recsys.data.sampling import Outside
from recsys.data.source import Source
from recsys.methods._problem import RecommenderProblem
from recsys.models.base import Recommender, check_model
from recsys.models.mean import recommender_of
from recsys.models.rankings import top_items, top_users
from recsys.models.tables import tables_of
from recsys.models.view import show
from recsys.tasks._judged import is_smaller_better
from recsys.tasks.ranking import Ranking, base_loss

_log = logging.getLogger(__name__)


class RankingProblem(RecommenderProblem):
    """Student, teachers and a split of pairs; a method of rankings is a function of it.

    A teacher with inner products is replaced by its tables, computed once. A ``Cached`` or ``Frozen`` teacher counts as
    its model, an ``Ensemble`` as the mean of its members' scores.
    """

    data: Split
    task: Ranking

    def __init__(
        self,
        student: Any,
        teachers: Sequence[Any],
        data: Split,
        task: Ranking,
        *,
        check: Callable[..., None] = lambda **_: None,
        **options: Any,
    ) -> None:
        self._models: WeakKeyDictionary[Frozen, Recommender] = WeakKeyDictionary()
        super().__init__(student, [recommender_of(each) for each in teachers], data, task, **options)
        for name, model in (("student", self.student), *(("teacher", each.model) for each in self.teachers)):
            if not isinstance(model, Recommender):
                raise TypeError(f"'{name}' must be a recsys.models.Recommender, got {type(model).__name__}")
            check_model(model, self.pairs, name)
            check(**{name: model})

    @property
    def pairs(self) -> Interactions:
        """Return the training pairs."""
        return self.data.train

    @property
    def ranked_student(self) -> Recommender:
        """Return the student as a recommender that ranks items for users."""
        student: Recommender = self.student
        return student

    @property
    def batch_size(self) -> int:
        """Count the rows of a batch, one for each negative of a pair: the factor of losses that are means over rows."""
        return self.task.batch_size * self.copies

    @property
    def copies(self) -> int:
        """Count how often batches have each pair, once for each of its negatives."""
        return self.task.negatives.count

    @property
    def widths(self) -> tuple[int, int]:
        """Return the widths of the tables of student and teacher."""
        return self.width_of(self.student), self.width_of(self.teacher)

    def score(self, model: nn.Module, part: Any = "val") -> float:
        """Measure a model on validation pairs, in the task's first metric, minus it where less is better."""
        found = super().score(model, part)
        first = next(iter(getattr(self.task, "wanted", self.task.metrics)))
        return -found if is_smaller_better(first) else found

    def width_of(self, model: nn.Module | Frozen) -> int:
        """Return the width of the tables of a model or a teacher; TypeError where there are none."""
        known: Any = model.model if isinstance(model, Frozen) else model
        return int(known.tables()[0].size(1))

    def batches(self, sources: Mapping[str, Source] | None = None) -> Any:
        """Make the training batches, with the lists of some sources."""
        return self.task.batches(self.pairs, sources or {})

    def supervised(self, where: str | None = None) -> Loss:
        """Return the student's base loss: BPR, or a RecBole model's own loss."""
        return self.task.supervised(where) if where is not None else base_loss(self.student, self.copies)

    def learn(self, losses: Loss, **sources: Source) -> nn.Module:
        """Train the student on a loss and the lists that it reads."""
        distiller = self.distiller(self.student, self.teacher, losses)
        served: nn.Module = self.train(distiller, data=self.batches(sources))
        return served

    def taught_by(self, model: nn.Module) -> Frozen:
        """Make a teacher of a model, or of its tables where it has some."""
        assert isinstance(model, Recommender)
        teacher = Frozen(tables_of(model) if model.has_tables else model, call=show)
        self._models[teacher] = model
        self._know(teacher, show, None)
        return teacher

    def teacher_to_train(self, teacher: Frozen | None = None) -> Any:
        """Copy the teacher's whole model, also where the teacher is only its tables, and make it trainable."""
        teacher = self.teacher if teacher is None else teacher
        if teacher not in self._models:
            return super().teacher_to_train(teacher)
        return self.twin(self._models[teacher]).requires_grad_()

    def room(self, pairs: Interactions | None = None) -> int:
        """Count the items left to the user with most training items; of transposed pairs, users left to an item."""
        return int(Outside(self.pairs if pairs is None else pairs).free.min())

    def at_most(self, name: str, asked: int, there: int) -> int:
        """Shorten a list to what a small data set has, and log a warning."""
        if asked > there:
            _log.warning("%r is %d here, as many as there are, not %d", name, there, asked)
        return min(asked, there)

    def top_items(self, length: int) -> Tensor:
        """Return the teacher's first items for every user, training items left out: (U, length) int32."""
        top: Tensor = self.once(f"top-{length}-items", lambda: top_items(self.teacher.model, self.pairs, length))
        return top

    def top_users(self, length: int) -> Tensor:
        """Return the users that the teacher scores highest for every item: (I, length) int32; see ``top_items``."""
        top: Tensor = self.once(f"top-{length}-users", lambda: top_users(self.teacher.model, self.pairs, length))
        return top
