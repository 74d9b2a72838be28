"""Losses: comparisons of one entry of two views, and weighted sums of such comparisons."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self, TypedDict

import torch
from torch import Tensor, nn

from graphkd.core.adjacency import edge_index_of
from graphkd.core.answers import Answers, check_exclusive, check_logits, check_width
from graphkd.core.by_name import Batch, fill, lookup
from graphkd.core.hyperparameters import check_call, finite_number
from graphkd.core.identity import leaves
from graphkd.core.processes import gather_rows
from graphkd.core.supervision import check_labelled
from graphkd.core.view import View
from graphkd.core.where import Rows, Where, read_where

Entry = Tensor | tuple[Tensor, ...]


class Reads(TypedDict, total=False):
    """Keyword arguments of every loss's constructor: the entry that is compared, and the rows."""

    on: str | tuple[str, ...] | None
    where: Where | None


def _opening(method: Callable) -> Callable:
    """Wrap a loss's method so that entries are checked before it gets them, see ``Loss._opened``."""
    sides = [p.name for p in inspect.signature(method).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]

    @functools.wraps(method)
    def opened(self: Loss, *entries: Any, **named: Any) -> Any:
        if not (self.columns or self.answers):
            return method(self, *entries, **named)
        shown = [self._opened(entry, side) for entry, side in zip(entries, sides, strict=False)]
        others = {name: self._opened(value, name) if name in sides else value for name, value in named.items()}
        return method(self, *shown, *entries[len(sides) :], **others)

    return opened


def _keyword_only(method: Callable) -> dict[str, bool]:
    parameters = inspect.signature(method).parameters.values()
    return {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}


class Loss(nn.Module):
    """Compare one entry of two views; keyword-only arguments of ``forward`` are inputs filled from the batch by name.

    ``on`` names the entry (or entries: ``forward`` then gets tuples). An input without a default must be in the batch;
    one with a default is filled where the batch has it. A loss whose ``forward`` takes no ``teacher`` is supervised.
    ``where`` selects rows of the entries, and of the inputs named in ``rows``: ``"train_mask"`` (a mask or ids in the
    batch), ``"~train_mask"`` (the other rows of a mask), ``"seed"`` (the seeds of a sampled batch), ``"all"``, or a
    tuple of such, for the rows that all of them select. By default a loss of rows reads the seeds of a sampled batch
    and all rows of any other; a loss that requires further inputs, such as edges, reads the whole sub-graph. A loss
    that by default reads labels outside of ``train_mask`` raises ValueError, unless ``where=None`` or ``"all"`` is
    given; where ``learns_labels`` is False, an optional ``y`` is not passed. ``answers``: the kind of logits that the
    loss softens, "classes" that exclude each other or independent "labels"; others raise ValueError.
    Weights belong to the caller: ``0.9 * KL(4.0) + 100 * LSP()``. They, and numbers of the constructor, must be finite.
    """

    on: str | tuple[str, ...] = "logits"
    rows: ClassVar[tuple[str, ...]] = ()
    answers: Answers | None = None
    answers_at: ClassVar[tuple[int, ...] | None] = None  # which of several entries are softened; None: all
    classes_from: ClassVar[int] = 2  # with fewer it learns nothing
    columns: ClassVar[bool] = False  # whether an entry (N,) is read as (N, 1), as in all of graphkd.losses
    needs_teacher: ClassVar[bool]
    learns_labels: bool  # whether it reads labels, by default whether its methods take ``y``
    _says_where: bool
    __array_ufunc__ = None  # a numpy number times a loss is a loss
    _known: ClassVar[dict[str, dict[str, bool]]]  # method -> its batch inputs, and whether each is required

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._known = {method: _keyword_only(getattr(cls, method)) for method in ("forward", "digest")}
        cls.needs_teacher = "teacher" in inspect.signature(cls.forward).parameters
        if "learns_labels" not in vars(cls):
            cls.learns_labels = any("y" in inputs for inputs in cls._known.values())
        cls.columns = cls.columns or cls.__module__.startswith("graphkd.losses.")
        for method in ("forward", "digest"):
            if method in vars(cls):
                setattr(cls, method, _opening(vars(cls)[method]))

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Check the constructor's numbers, and note whether ``where`` is given."""
        check_call(cls.__init__, None, *arguments, **named)
        made = super().__new__(cls)
        vars(made)["_says_where"] = "where" in named  # a constructor may pass on its default None
        return made

    def __init__(self, *, on: str | tuple[str, ...] | None = None, where: Where | None = None) -> None:
        super().__init__()
        if on is not None:
            self.on = on
        self.where = None if where is None else read_where(where)
        self.gathers, self._whole = False, bool(self._other_inputs())
        self._looked: set[str] = set()  # sides whose values have been checked
        if self.where not in (None, "all"):
            self._refuse_other_inputs(f"where={self.where!r} restricts rows")

    def gathered(self) -> Self:
        """Compare the rows of all processes, not of each alone; return the loss itself, changed. See ``gather_rows``.

        Under DDP the gradient is then that of one process with all rows, for any reduction and numbers of rows. Without
        ``gathered`` that holds only for a mean over equally many rows in each process: else a mean weighs processes
        equally, and a sum is divided by their number. Raises ValueError for a loss that requires inputs without rows.
        """
        self._refuse_other_inputs("gathered() joins rows")
        self.gathers = True
        return self

    def _other_inputs(self) -> list[str]:
        """Name the required batch inputs that do not have one entry per row."""
        return sorted(name for name, needed in self._known["forward"].items() if needed and name not in self.rows)

    def _refuse_other_inputs(self, why: str) -> None:
        if others := self._other_inputs():
            raise ValueError(f"{why}, but {type(self).__name__} also reads {others}")

    def _reads_whole(self, why: str) -> None:
        """Declare that this loss reads a whole graph; ValueError where ``where`` selects rows."""
        self._whole = True
        if self.where not in (None, "all"):
            raise ValueError(f"{why}, got where={self.where!r}")

    def digest(self, teacher: Any) -> Any:
        """Precompute what this loss needs of the teacher; ``forward`` gets it as ``teacher``, ``Cached`` caches it."""
        return teacher

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before epoch ``epoch`` of ``epochs``, from 0; a loss that anneals overrides it."""

    def parts(self) -> Iterator[tuple[float, Loss]]:
        """Return the weighted losses of which this is the sum: itself, once."""
        yield 1.0, self

    def rows_in(self, batch: Batch) -> Rows:
        """Return the rows of a batch that this loss reads."""
        return Rows("all" if self._whole else self.where, batch)

    def reads(self, batch: Batch) -> list[Tensor]:
        """List all tensors of a batch that the ``digest`` of a teacher depends on."""
        inputs = [*fill(self._wanted("digest", needed=True), batch, type(self).__name__).values()]
        inputs += lookup(batch, self._wanted("digest", needed=False)).values()
        held = (leaf for fact in inputs for leaf in leaves(fact))
        return [*self.rows_in(batch).reads(), *(leaf for leaf in held if isinstance(leaf, Tensor))]

    def measure(self, student: View, teacher: Any, batch: Batch) -> Tensor | None:
        """Evaluate on a student's view and the ``digest`` of a teacher's; None where no row of the batch is read."""
        rows = self.rows_in(batch)
        entry = self._pick(student, rows, "student")
        inputs = self._inputs(batch, "forward", rows)
        self._check_labels(student, batch, rows)
        first = entry[0] if isinstance(entry, tuple) else entry
        if not rows.all and first.size(0) == 0:
            return None
        return self(entry, teacher, **inputs) if self.needs_teacher else self(entry, **inputs)

    def digest_view(self, teacher: View, batch: Batch) -> Any:
        """Compute the ``digest`` of the entry that this loss reads of a teacher's view."""
        rows = self.rows_in(batch)
        return self.digest(self._pick(teacher, rows, "teacher"), **self._inputs(batch, "digest", rows))

    def _pick(self, view: View, rows: Rows, side: str) -> Entry:
        wanted = (self.on,) if isinstance(self.on, str) else self.on
        missing = [name for name in wanted if name not in view]
        if missing:
            raise KeyError(
                f"{type(self).__name__} reads {missing} of the {side}'s view, which has {sorted(view)}; "
                f"name a hidden layer with taps={{{missing[0]!r}: 'path.of.sub_module'}}"
            )
        entries = tuple(self._chosen(view[name], rows) for name in wanted)
        return entries[0] if isinstance(self.on, str) else entries

    def _inputs(self, batch: Batch, method: str, rows: Rows) -> dict[str, Any]:
        inputs = fill(self._wanted(method, needed=True), batch, type(self).__name__)
        inputs |= lookup(batch, self._wanted(method, needed=False))
        if "edge_index" in inputs:
            inputs["edge_index"] = edge_index_of(inputs["edge_index"])
        return {name: self._chosen(fact, rows) if name in self.rows else fact for name, fact in inputs.items()}

    def _wanted(self, method: str, *, needed: bool) -> list[str]:
        hidden = () if needed or self.learns_labels else ("y",)
        return [name for name, is_needed in self._known[method].items() if is_needed is needed and name not in hidden]

    def _chosen(self, tensor: Tensor, rows: Rows) -> Tensor:
        chosen = rows.of(tensor)
        return gather_rows(chosen) if self.gathers else chosen

    def _check_labels(self, student: View, batch: Batch, rows: Rows) -> None:
        """Raise ValueError for labels that are not to be learnt, or of another kind than this loss's answers."""
        if self.where is None and not self._says_where and self.learns_labels:
            check_labelled(type(self).__name__, batch, rows)
        if self.answers == "classes":
            y, remedy = lookup(batch, ("y",)).get("y"), "SoftBCE" if self.needs_teacher else "BCE"
            for name in (self.on,) if isinstance(self.on, str) else self.on:
                check_exclusive(type(self).__name__, y, student[name], remedy)

    def _opened(self, entry: Any, side: str) -> Any:
        """Return an entry in the form that is compared, (N,) as (N, 1) with ``columns``; ValueError for a wrong one."""
        if isinstance(entry, tuple):
            opened = tuple(self._column(each) for each in entry)
            places = range(len(entry)) if self.answers_at is None else self.answers_at
            self._look([opened[place] for place in places], side)
            return opened
        opened = self._column(entry)
        self._look([opened], side)
        return opened

    def _column(self, entry: Any) -> Any:
        return entry[:, None] if self.columns and isinstance(entry, Tensor) and entry.dim() == 1 else entry

    def _look(self, entries: list[Any], side: str) -> None:
        """Check widths always, and values until one batch had enough of them to be sure."""
        if self.answers is None:
            return
        name, told = type(self).__name__, side in self._looked or torch.compiler.is_compiling()
        shown = [entry for entry in entries if isinstance(entry, Tensor)]
        if self.answers == "classes":
            for entry in shown:
                check_width(name, entry, side, self.classes_from)
        enough = [] if told else [check_logits(name, self.answers, entry, side) for entry in shown]
        if enough and all(enough):
            self._looked.add(side)

    def __mul__(self, weight: float) -> Sum:
        factor = finite_number("weight", weight)
        return Sum([(factor * own, loss) for own, loss in self.parts()])

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Sum:
        factor = finite_number("weight", divisor)
        if not factor:
            raise ValueError("a loss must be divided by another number than 0")
        return Sum([(own / factor, loss) for own, loss in self.parts()])

    def __neg__(self) -> Sum:
        return -1.0 * self

    def __add__(self, other: Loss) -> Sum:
        if not isinstance(other, Loss):
            raise TypeError(f"only a Loss can be added to a Loss, got {type(other).__name__}")
        return Sum([*self.parts(), *other.parts()])

    def __radd__(self, other: int) -> Loss:
        if type(other) is int and other == 0:  # where sum() begins
            return self
        raise TypeError(f"only a Loss can be added to a Loss, got {type(other).__name__}")

    def __sub__(self, other: Loss) -> Sum:
        if not isinstance(other, Loss):
            raise TypeError(f"only a Loss can be taken from a Loss, got {type(other).__name__}")
        return self + -other


class Sum(Loss):
    """A weighted sum of losses (eq. 14 of Hu et al., arXiv:2304.14800), made by ``*`` and ``+``."""

    def __init__(self, parts: list[tuple[float, Loss]]) -> None:
        super().__init__()
        self.weights = [finite_number("weight", weight) for weight, _ in parts]
        self.losses = nn.ModuleList(loss for _, loss in parts)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before epoch ``epoch`` of ``epochs``, from 0; a loss that anneals overrides it."""

    def parts(self) -> Iterator[tuple[float, Loss]]:
        """Return the weighted losses, in the order in which they were written."""
        yield from zip(self.weights, self.losses, strict=True)

    def gathered(self) -> Self:
        """Compare each part's rows of all processes."""
        for _, loss in self.parts():
            loss.gathered()
        return self

    def forward(self, student: Entry, teacher: Any, **inputs: Any) -> Tensor:
        """Compute the sum on tensors; every part gets the two entries and the batch inputs that it takes."""
        total = torch.zeros(())
        for weight, loss in self.parts():
            taken = {name: inputs[name] for name in loss._known["forward"] if name in inputs}
            total = total + weight * (loss(student, teacher, **taken) if loss.needs_teacher else loss(student, **taken))
        return total
