"""Problem of KDCRec's methods: logged and uniform ratings, and the differences between the kinds of students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import nn

from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from recsys.data.ratings import BlockBatches, PairBatches, UniformSplit
from recsys.losses.decay import Decay
from recsys.losses.rating_error import RatingError
from recsys.methods._problem import RecommenderProblem
from recsys.models.mean import MeanView, members
from recsys.tasks.uniform import UniformRatings, reads_rows

_PAIRS, _ROWS = 1024, 128  # sizes of a batch: logged ratings, or rows of users
_ROW_TRAINING = {"epochs": 160, "patience": 16, "lr": 1e-3, "weight_decay": 0.0}


class UniformProblem(RecommenderProblem):
    """Student, teacher and ratings with a uniform sample; a method of KDCRec is a function of it.

    The teacher is a model trained on the uniform ratings. Students are factorisations, which read pairs, or
    autoencoders, which read rows of all items. A ``Cached`` or ``Frozen`` teacher counts as its model, an ``Ensemble``
    as the mean of its members' views.
    """

    data: UniformSplit
    task: UniformRatings
    start: Any

    def __init__(
        self, student: Any, teachers: Sequence[Any], data: UniformSplit, task: UniformRatings, **options: Any
    ) -> None:
        found = [members(each) for each in teachers]
        super().__init__(student, [one[0] if len(one) == 1 else MeanView(one) for one in found], data, task, **options)

    @property
    def of_rows(self) -> bool:
        """Tell whether the student reads rows of all items."""
        return reads_rows(self.student)

    @property
    def training(self) -> Mapping[str, Any]:
        """Return options of ``fit`` for this kind of student."""
        return _ROW_TRAINING if self.of_rows else self.task.training

    @property
    def decay(self) -> float:
        """Return the weight of the L2."""
        return (1e-5 if self.of_rows else 1e-3) if self.task.decay is None else self.task.decay

    def batches(self, *, uniform: bool = False, **options: Any) -> Any:
        """Make batches of the logged ratings, and with ``uniform`` of the uniform ones too."""
        data, size = self.data, self.task.batch_size
        if self.of_rows:
            few = data.uniform_rows if uniform else None
            return BlockBatches(data.logged_rows, few, batch_size=size or _ROWS, **options)
        return PairBatches(data.logged, data.train if uniform else None, batch_size=size or _PAIRS, **options)

    def uniform_batches(self) -> Any:
        """Make batches of only the uniform ratings."""
        return BlockBatches(self.data.uniform_rows) if self.of_rows else PairBatches(self.data.train)

    def decayed(self, losses: Loss) -> Loss:
        """Add the L2 to a loss."""
        return losses + self.decay * Decay()

    def supervised(self, where: str | None = None) -> Loss:
        """Squared error of the observed ratings, and the L2."""
        return self.decayed(super().supervised(where))

    def taught_by(self, model: nn.Module) -> Frozen:
        """Make a teacher of a model, which is evaluated on every batch."""
        call, path = self.call_of(model), self.path_of(model)
        teacher = Frozen(model, call=call)
        self._know(teacher, call, path)
        return teacher

    def learn(self, losses: Loss, batches: Any = None, *, taught: bool = False) -> nn.Module:
        """Train the student on a loss and the L2; with ``taught``, the loss also reads the uniform model."""
        teacher = self.uniform if taught else None
        served: nn.Module = self.train(self.distiller(self.student, teacher, self.decayed(losses)), data=batches)
        return served

    @cached_property
    def uniform(self) -> Any:
        """Return the teacher; without one, first train a model like the student on the uniform ratings."""
        if self.teachers:
            return self.teacher
        distiller = self.distiller(self.twin(self.start), None, self.decayed(RatingError()))
        return self.taught_by(self.train(distiller, "uniform", self.uniform_batches()))

    @cached_property
    def biased(self) -> nn.Module:
        """Train a model like the student on the logged ratings; label-based students start from it."""
        model: nn.Module = self.train(self.distiller(self.twin(self.start), None, self.supervised()), "logged")
        return model

    def need(self, *, rows: bool) -> None:
        """Raise ValueError unless the student reads rows of all items, or pairs."""
        if self.of_rows != rows:
            wanted = (
                "an autoencoder, as recsys.models.ratings.AutoRec"
                if rows
                else ("a factorisation, as recsys.models.ratings.BiasedMF")
            )
            raise ValueError(f"this method is for {wanted}: give such a 'student', got {type(self.student).__name__}")
