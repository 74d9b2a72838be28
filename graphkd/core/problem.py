"""Problem of a method: student, teachers, data and task as the runner prepared them, and steps common to methods."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from graphkd.core.batches import node_ids
from graphkd.core.cached import Cached
from graphkd.core.distiller import Distiller
from graphkd.core.lazy import give_shapes
from graphkd.core.loss import Loss
from graphkd.core.models import reset_parameters, shown
from graphkd.core.rng import seeded
from graphkd.core.rows import Rows
from graphkd.core.task import Task
from graphkd.core.teachers import Frozen
from graphkd.core.view import Call, View, names


class Runner(Protocol):
    """Runner that trains a problem's stages and saves them; see ``graphkd.core.run``."""

    def train(
        self,
        trainable: nn.Module,
        name: str,
        data: Any,
        *,
        serve: Callable[[Any], nn.Module] | None,
        choose: bool,
        seed: int | None,
        published: Mapping[str, Any],
    ) -> nn.Module:
        """Train a stage, see ``Problem.train``."""

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Make something once, see ``Problem.once``."""

    def rounds(self, count: int, states: Sequence[Any]) -> Iterator[int]:
        """Count rounds, see ``Problem.rounds``."""


Student = nn.Module | Callable[[], nn.Module] | None


class Problem(Rows):
    """Student, teachers, data and task of one run; a method is a function of it.

    student: a copy of the given one, None where the method makes its own. teachers: the given ones, modules wrapped by
    ``taught_by``; ``teacher`` is the first or None. data: one batch, or a loader that can be read again, as the task
    prepared it. hidden, calls: the tap path and the ``call`` of the student and of each teacher. seed: of the run.
    Each model keeps its ``call`` and its hidden path: copies, models with new weights and teachers made of it get them.
    Helpers that read the data do not change the run's stream of random numbers.
    """

    def __init__(
        self,
        student: Student,
        teachers: Sequence[nn.Module | Frozen],
        data: Any,
        task: Task,
        *,
        hidden: Sequence[str | None] = (),
        calls: Sequence[Call | None] = (),
        seed: int = 0,
    ) -> None:
        self.data, self.task, self.seed = data, task, seed
        self._calls: weakref.WeakKeyDictionary[Any, Call | None] = weakref.WeakKeyDictionary()
        self._paths: weakref.WeakKeyDictionary[Any, str | None] = weakref.WeakKeyDictionary()
        self._side: tuple[Call | None, str | None] = (_at(calls, 0), _at(hidden, 0))
        self._factory = student if not isinstance(student, nn.Module) else None
        self.student: Any = None if student is None else self.shaped(self._own(self._make(student)))
        self.start = copy.deepcopy(self.student)  # the untrained student
        self.teachers: list[Any] = []
        for place, each in enumerate(teachers, 1):
            self._know(each, _at(calls, place), _at(hidden, place))
            self.teachers.append(each if isinstance(each, Frozen) else self.taught_by(each))
        self.run: Runner  # set by the runner

    # ------------------------------------------------------------------ models
    @property
    def teacher(self) -> Any:
        """Return the first teacher, or None."""
        return self.teachers[0] if self.teachers else None

    @property
    def hidden(self) -> tuple[str | None, str | None]:
        """Return the tap paths of the hidden layers of student and teacher."""
        return self._side[1], self.path_of(self.teacher) if self.teachers else None

    @property
    def device(self) -> torch.device:
        """Return the device on which models are made: that of the student, else of the teacher, else of the data."""
        for model in (self.student, getattr(self.teacher, "model", None)):
            parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
            if parameter is not None:
                return parameter.device
        return node_ids(self.first).device

    def call_of(self, model: Any) -> Call | None:
        """Return a model's ``call(model, batch)``, None for calls by name; the student's for an unknown model."""
        return self._calls[model] if model in self._calls else self._side[0]

    def path_of(self, model: Any) -> str | None:
        """Return the tap path of a model's hidden layer; the student's for an unknown model."""
        return self._paths[model] if model in self._paths else self._side[1]

    def by_name(self, model: nn.Module, hidden: str | None = None) -> Any:
        """Register the method's own model as one called by name, with the path of its hidden layer; return it."""
        return self._know(model, None, hidden)

    def twin(self, model: nn.Module) -> Any:
        """Copy a model, weights and all."""
        return self._know(copy.deepcopy(model), self.call_of(model), self.path_of(model))

    def fresh(self, model: nn.Module, number: int) -> Any:
        """Make a model of the same kind with new weights, which depend on the seed and the number."""
        twin = self.twin(model).requires_grad_()
        with seeded(self.seed + 1000 * number):
            reset_parameters(twin)
        return twin

    def fresh_student(self, number: int) -> Any:
        """Make a student of the given one's kind, with new weights; ValueError where none is given."""
        if self._factory is not None:
            with seeded(self.seed + 1000 * number):
                return self.shaped(self._own(self._factory().to(self.device)), number)
        if self.start is None:
            raise ValueError("'student' must be a module or a factory here, got None")
        return self.fresh(self._own(self.start), number)

    def made(self, build: Callable[[], nn.Module]) -> Any:
        """Build a module under the run's seed, on the models' device; it is called by name."""
        with seeded(self.seed):
            return self.by_name(build().to(self.device))

    def shaped(self, model: nn.Module, number: int = 0) -> Any:
        """Set the widths of a model's lazy layers by the first batch; weights depend on seed and number."""
        with seeded(self.seed + 1000 * number):
            give_shapes(model, lambda: self._first_view(model))
        return model

    def taught_by(self, model: nn.Module) -> Frozen:
        """Make a teacher of a model; its view of a single graph is computed once."""
        call = self.call_of(self.shaped(model))
        teacher = Frozen(model, call=call) if names(self.data) is None else Cached(model, self.data, call=call)
        self._know(teacher, call, self.path_of(model))
        return teacher

    def teacher_to_train(self, teacher: Frozen | None = None) -> Any:
        """Copy the teacher's model to be trained; TypeError where the teacher is no single model."""
        teacher = self.teacher if teacher is None else teacher
        model = getattr(teacher, "model", None)
        if not isinstance(model, nn.Module):
            raise TypeError(f"this method trains a copy of its teacher: give a module, got {type(teacher).__name__}")
        return self._know(copy.deepcopy(model).requires_grad_(), teacher.call, self.path_of(teacher))

    # ------------------------------------------------------------------ views
    @cached_property
    def classes(self) -> int:
        """Return the width of the ``logits``: of the first teacher's, else of the student's."""
        shown = self.teacher if self.teachers else self.student
        return int(self._shown(shown, "logits").size(-1))

    @cached_property
    def widths(self) -> tuple[int, int]:
        """Return the widths of the hidden layers of student and teacher."""
        return self.width_of(self.student), self.width_of(self.teacher)

    def width_of(self, model: nn.Module | Frozen) -> int:
        """Return the width of the hidden layer of a model or a teacher."""
        return int(self._shown(model, "hidden").size(-1))

    def view_of(self, teacher: nn.Module | Frozen, name: str = "logits") -> Tensor:
        """Compute an entry of a teacher's or a model's view for all nodes, by node id, (N, d)."""
        path = self.path_of(teacher) if name == "hidden" else None
        with shown(teacher, self.call_of(teacher), path) as show:
            return self.gather(lambda batch: show(batch)[name])

    # ------------------------------------------------------------------ losses and training
    def supervised(self, where: str | None = None) -> Loss:
        """Make the loss of the labels."""
        return self.task.supervised(where)

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:
        """Make the loss of soft targets that fits the task's answers."""
        return self.task.soft(temperature, where)

    def score(self, model: nn.Module, part: Any = "val") -> float:
        """Measure a model on the rows of a part by the task's first metric; ValueError where there are none."""
        with seeded(self.seed):
            known = self.task.has(part, self.data)
        if not known:
            raise ValueError(f"models are chosen here by their score: the data must have rows for {part!r}, got none")
        with seeded(self.seed):
            return next(iter(self.task.score(model, self.data, part, self.call_of(model)).values()))

    def distiller(
        self,
        student: nn.Module,
        teacher: Frozen | nn.Module | None,
        losses: Loss | Mapping[str, Loss],
        *,
        taps: Mapping[str, str | tuple[str, str]] | None = None,
    ) -> Distiller:
        """Make the distiller of a student and a teacher; their hidden layers are tapped where a loss reads them."""
        parts = [part for loss in _each(losses) for _, part in loss.parts()]
        if teacher is None or not any(part.needs_teacher for part in parts):
            teacher = None
        elif isinstance(teacher, nn.Module):
            teacher = self.taught_by(teacher)
        if taps is None and any("hidden" in (part.on if isinstance(part.on, tuple) else (part.on,)) for part in parts):
            own, other = self.path_of(student), self.path_of(teacher)
            taps = {"hidden": (own, other)} if own is not None and other is not None else None
        return Distiller(student, teacher, losses, taps=taps, call=self.call_of(student))

    @property
    def training(self) -> Mapping[str, Any]:
        """Return the options of ``fit`` where neither the user nor the method says otherwise."""
        return {}

    def batches(self) -> Any:
        """Return the data on which a stage trains where it gives none of its own."""
        return self.data

    def train(
        self,
        trainable: nn.Module,
        name: str = "student",
        data: Any = None,
        *,
        serve: Callable[[Any], nn.Module] | None = None,
        choose: bool = True,
        seed: int | None = None,
        **published: Any,
    ) -> Any:
        """Train a stage, or load it where it is finished; return the model that serves, in eval mode.

        name: of the stage, unique in the run. data, seed: the run's by default. serve: student -> the module that is
        evaluated, returned and saved. choose: the best epoch on validation rows, else the last. published: options of
        ``fit`` from the paper; the user's take precedence. Among them ``optimizer_of``, a function of the optimiser
        factory in force that returns the stage's own, is for stages that train more than a student.
        """
        return self.run.train(trainable, name, data, serve=serve, choose=choose, seed=seed, published=published)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Make something random or expensive once a run, under the run's seed; it is saved with the run by its name."""
        return self.run.once(name, make)

    def rounds(self, count: int, *states: Any) -> Iterator[int]:
        """Count rounds from 0; after each, save ``states`` and generators and delete the round's stages."""
        return self.run.rounds(count, states)

    # ------------------------------------------------------------------ inside
    def _make(self, student: Any) -> nn.Module:
        if isinstance(student, nn.Module):
            return copy.deepcopy(student)
        with seeded(self.seed):
            made = student()
        if not isinstance(made, nn.Module):
            raise TypeError(f"'student' must be a module or make one, got {type(made).__name__}")
        return made

    def _own(self, model: nn.Module) -> Any:
        return self._know(model, *self._side)

    def _know(self, model: Any, call: Call | None, path: str | None) -> Any:
        self._calls[model], self._paths[model] = call, path
        return model

    def _shown(self, model: nn.Module | Frozen, name: str) -> Tensor:
        """Return an entry of a model's view of the first batch."""
        path = self.path_of(model) if name == "hidden" else None
        if name == "hidden" and path is None:
            raise ValueError("a hidden layer is asked for: give 'hidden', its path in student and teacher, got None")
        return self._first_view(model, path)[name]

    def _first_view(self, model: nn.Module | Frozen, path: str | None = None) -> View:
        with shown(model, self.call_of(model), path) as show:
            return show(self.first)


def _at(values: Sequence[Any], place: int) -> Any:
    return values[place] if place < len(values) else None


def _each(losses: Loss | Mapping[str, Loss]) -> list[Loss]:
    return [losses] if isinstance(losses, Loss) else list(losses.values())
