"""What every loss is: a comparison of one entry of two views, and weighted sums of such comparisons."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self, TypedDict

import torch
from torch import Tensor, nn

from graphkd.core.processes import gather_rows
from graphkd.core.view import Batch, View, fill

Entry = Tensor | tuple[Tensor, ...]


class Reads(TypedDict, total=False):
    """What every loss's constructor takes by keyword and hands on: which entry is compared, and in which rows."""

    on: str | tuple[str, ...] | None
    where: str | None


def _keyword_only(method: Callable) -> dict[str, bool]:
    parameters = inspect.signature(method).parameters.values()
    return {p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY}


class Loss(nn.Module):
    """Compare one entry of two views; keyword-only arguments of ``forward`` are facts filled from the batch.

    ``on`` names the entry (or entries: ``forward`` then gets tuples). A fact without a default must be in the batch,
    one with a default is given where the batch has it. A ``forward`` without ``teacher`` is a supervised loss.
    ``where`` restricts rows: ``"train_mask"`` (a mask or indices in the batch), ``"~train_mask"``, or ``"seed"``, the
    first ``batch_size`` rows of a neighbour-sampled batch; it applies to the entries and to the facts in ``rows``.
    Weights belong to the caller: ``0.9 * KL(4.0) + 100 * LSP()``.
    """

    on: str | tuple[str, ...] = "logits"
    rows: ClassVar[tuple[str, ...]] = ()
    needs_teacher: ClassVar[bool]
    _known: ClassVar[dict[str, dict[str, bool]]]  # method -> its facts, and whether each is required

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._known = {method: _keyword_only(getattr(cls, method)) for method in ("forward", "digest")}
        cls.needs_teacher = "teacher" in inspect.signature(cls.forward).parameters

    def __init__(self, *, on: str | tuple[str, ...] | None = None, where: str | None = None) -> None:
        super().__init__()
        if on is not None:
            self.on = on
        self.where, self.gathers = where, False
        if where is not None:
            self._reads_only_rows(f"where={where!r} restricts rows")

    def gathered(self) -> Self:
        """Compare the rows of all processes, not of each alone; the loss itself, changed. See ``gather_rows``.

        Under DDP its gradient is then that of one process with all rows, whatever the reduction and however uneven the
        rows. Without it that holds for a mean over equally many rows in each; an uneven mean counts processes, not
        rows, and a sum is divided by their number.
        """
        self._reads_only_rows("gathered() joins rows")
        self.gathers = True
        return self

    def _reads_only_rows(self, why: str) -> None:
        others = sorted(name for name, needed in self._known["forward"].items() if needed and name not in self.rows)
        if others:
            raise ValueError(f"{why}, but {type(self).__name__} also reads {others}")

    def digest(self, teacher: Any) -> Any:
        """What this loss needs of the teacher alone; ``forward`` takes it for ``teacher``, ``Cached`` keeps it."""
        return teacher

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before epoch ``epoch`` of ``epochs``, from 0; a loss that anneals overrides it."""

    def parts(self) -> Iterator[tuple[float, Loss]]:
        """The weighted losses this one is the sum of: itself, once."""
        yield 1.0, self

    def measure(self, student: View, teacher: Any, batch: Batch) -> Tensor | None:
        """Evaluate on a student's view and the ``digest`` of a teacher's; None where ``where`` selects no row."""
        entry = self._pick(student, batch, "student")
        facts = self._facts(batch, "forward")
        first = entry[0] if isinstance(entry, tuple) else entry
        if self.where is not None and first.size(0) == 0:
            return None
        return self(entry, teacher, **facts) if self.needs_teacher else self(entry, **facts)

    def digest_view(self, teacher: View, batch: Batch) -> Any:
        """``digest`` of the entry that this loss reads of a teacher's view."""
        return self.digest(self._pick(teacher, batch, "teacher"), **self._facts(batch, "digest"))

    def _pick(self, view: View, batch: Batch, side: str) -> Entry:
        wanted = (self.on,) if isinstance(self.on, str) else self.on
        missing = [name for name in wanted if name not in view]
        if missing:
            raise KeyError(
                f"{type(self).__name__} reads {missing} of the {side}'s view, which has {sorted(view)}; "
                f"name a hidden layer with taps={{{missing[0]!r}: 'path.of.sub_module'}}"
            )
        entries = tuple(self._choose(view[name], batch) for name in wanted)
        return entries[0] if isinstance(self.on, str) else entries

    def _facts(self, batch: Batch, method: str) -> dict[str, Any]:
        wanted = [name for name, needed in self._known[method].items() if needed or name in batch]
        facts = fill(wanted, batch, type(self).__name__)
        return {name: self._choose(fact, batch) if name in self.rows else fact for name, fact in facts.items()}

    def _choose(self, tensor: Tensor, batch: Batch) -> Tensor:
        rows = self._restrict(tensor, batch)
        return gather_rows(rows) if self.gathers else rows

    def _restrict(self, tensor: Tensor, batch: Batch) -> Tensor:
        if self.where is None:
            return tensor
        if self.where == "seed":
            return tensor[: int(fill(["batch_size"], batch, "where='seed'")["batch_size"])]
        name = self.where.removeprefix("~")
        chosen = fill([name], batch, f"where={self.where!r}")[name]
        if chosen.dtype == torch.bool and chosen.size(0) != tensor.size(0):
            raise ValueError(f"where={self.where!r} has {chosen.size(0)} rows, the entry has {tensor.size(0)}")
        if name != self.where and chosen.dtype != torch.bool:
            raise TypeError(f"where={self.where!r} must negate a boolean mask, got {chosen.dtype}")
        return tensor[~chosen if name != self.where else chosen]

    def __mul__(self, weight: float) -> Sum:
        return Sum([(float(weight) * w, loss) for w, loss in self.parts()])

    __rmul__ = __mul__

    def __add__(self, other: Loss) -> Sum:
        if not isinstance(other, Loss):
            raise TypeError(f"only a Loss can be added to a Loss, got {type(other).__name__}")
        return Sum([*self.parts(), *other.parts()])


class Sum(Loss):
    """A weighted sum of losses (eq. 14 of Hu et al., arXiv:2304.14800), made by ``*`` and ``+``."""

    def __init__(self, parts: list[tuple[float, Loss]]) -> None:
        super().__init__()
        self.weights = [weight for weight, _ in parts]
        self.losses = nn.ModuleList(loss for _, loss in parts)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Called by ``fit`` before epoch ``epoch`` of ``epochs``, from 0; a loss that anneals overrides it."""

    def parts(self) -> Iterator[tuple[float, Loss]]:
        """The weighted losses, in the order they were written."""
        yield from zip(self.weights, self.losses, strict=True)

    def gathered(self) -> Self:
        """Each part on the rows of all processes."""
        for _, loss in self.parts():
            loss.gathered()
        return self

    def forward(self, student: Entry, teacher: Any, **facts: Any) -> Tensor:
        """The sum on tensors; every part gets the two entries and those of the facts that it takes."""
        total = torch.zeros(())
        for weight, loss in self.parts():
            taken = {name: facts[name] for name in loss._known["forward"] if name in facts}
            total = total + weight * (loss(student, teacher, **taken) if loss.needs_teacher else loss(student, **taken))
        return total
