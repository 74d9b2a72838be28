"""Several teachers as one: an ensemble, and rules that combine its members' answers into one view."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.by_name import Batch, fill, required
from graphkd.core.cached import Cached
from graphkd.core.digests import Digests, is_kept
from graphkd.core.identity import Marks
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen, ask, frozen
from graphkd.core.view import View

Combine = Callable[..., Tensor]
Weigh = Callable[..., Tensor]


def mean_logits(teachers: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute the mean of several teachers' logits, weighted by (K,) or (K, N): (K, N, C) -> (N, C)."""
    if weights is None:
        return teachers.mean(dim=0)
    shares = (weights / weights.sum(dim=0)).to(teachers.dtype)
    return (shares.reshape(teachers.size(0), -1, 1) * teachers).sum(dim=0)


def stacked(teachers: Tensor) -> Tensor:
    """Stack all teachers' logits row by row, for losses that compare with each of them: (K, N, C) -> (N, K, C)."""
    return teachers.transpose(0, 1)


@dataclass
class _Combined:
    """Constant view, and the members' views that it was combined from."""

    parts: list[Tensor]
    inputs: Marks
    view: View


class Ensemble(Frozen):
    """Several frozen teachers that answer as one; choose it where you have them, or want a steadier target.

    teachers: modules (wrapped in ``Frozen``) or teachers, ``Cached`` and ensembles too. ``combine`` reduces their
    ``logits``, stacked to (K, N, C); hidden layers that all members show are concatenated, (N, sum of widths).
    combine: (K, N, C) -> the ``logits`` of the view. By default ``mean_logits``; the mean of softened probabilities
    (Hinton et al., 2015) is ``partial(soft_target, temperature=T)`` with the loss's own T; ``entropy_reduction`` and
    ``trimmed_mean`` are others; ``stacked`` keeps all, (N, K, C), for ``LogitsGraph``.
    weights: K numbers, a tensor (K,), or a rule (K, N, C) -> (K,) or (K, N) such as ``oracle_weights``; ``combine``
    gets them as ``weights``. Further arguments of both functions are filled from the batch by name.
    taps: name -> path for each member, where the members' layers have different paths; they replace the paths that the
    ``Distiller`` gives. Over ``Cached`` members the combined view and a loss's precomputation of it are computed once.
    Raises ValueError without teachers, for weights or taps that are not one per teacher, and, when called, for members
    without ``logits`` or with different shapes.
    """

    def __init__(
        self,
        teachers: Sequence[nn.Module | Frozen],
        combine: Combine = mean_logits,
        *,
        weights: Sequence[float] | Tensor | Weigh | None = None,
        taps: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        if not teachers:
            raise ValueError("'teachers' must hold one at least, got none")
        self.members = [frozen(teacher) for teacher in teachers]
        count = len(self.members)
        if taps is not None and len(taps) != count:
            raise ValueError(f"'taps' must hold those of each of {count} teachers, got {len(taps)}")
        if not callable(weights) and weights is not None:
            weights = torch.as_tensor(weights, dtype=torch.get_default_dtype())
            if weights.shape != (count,) or not _are_shares(weights):
                raise ValueError(
                    f"'weights' must be {count} numbers of at least 0, finite and one of them above, got "
                    f"{weights.tolist()}"
                )
        self.combine, self.weights, self.taps = combine, weights, taps or [{}] * count
        self._inputs = (required(combine)[1:], required(weights)[1:] if callable(weights) else ())
        self._stays = all(isinstance(member, Cached) for member in self.members)
        self._forget()

    def attach(self, taps: Mapping[str, str]) -> None:
        """Register hidden layers of every member, by the member's own path where it has one."""
        for member, own in zip(self.members, self.taps, strict=True):
            member.attach({**taps, **own})

    def part_from(self, student: nn.Module) -> None:
        """Let every member copy what training the student would change, see ``apart``; not in a subclass."""
        for member in self.members if type(self) is Ensemble else ():
            member.part_from(student)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_combined", "_digests")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def apply_to_tensors(self, function: Callable[[Tensor], Tensor]) -> None:
        """Move or cast every member, and fixed weights."""
        for member in self.members:
            member.apply_to_tensors(function)
        if isinstance(self.weights, Tensor):
            self.weights = function(self.weights)
        self._forget()

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Pass the epoch on to every member."""
        for member in self.members:
            member.set_epoch(epoch, epochs)

    def kept(self) -> nn.Module | None:
        """Return the parts of the members that a run changes; None where all are frozen."""
        found = {str(place): kept for place, member in enumerate(self.members) if (kept := member.kept()) is not None}
        return nn.ModuleDict(found) if found else None

    @torch.no_grad()
    def __call__(self, batch: Batch, taps: Mapping[str, str] | None = None) -> View:
        """Return the combined view of the members, hidden layers ``taps`` side by side."""
        views = [ask(each, batch, {**(taps or {}), **own}) for each, own in zip(self.members, self.taps, strict=True)]
        inputs = [fill(wanted, batch, "the Ensemble's rule") for wanted in self._inputs]
        shared = [name for name in views[0] if all(name in view for view in views)]
        if "logits" not in shared:
            raise ValueError(f"every teacher of an Ensemble must show 'logits', got {[sorted(view) for view in views]}")
        if not self._stays:
            return self._view_of(views, shared, inputs)
        layers = tuple((taps or {}).items())
        parts, known = [view[name] for view in views for name in shared], self._combined.get(layers)
        if known is None or not _same(parts, known.parts) or not known.inputs.holds({**inputs[0], **inputs[1]}):
            marks = Marks({**inputs[0], **inputs[1]})
            known = self._combined[layers] = _Combined(parts, marks, self._view_of(views, shared, inputs))
        return known.view

    def digest(self, loss: Loss, view: View, batch: Batch) -> Any:
        """Return what ``loss`` precomputes from this ensemble's view; it is computed once for a constant view."""
        if not any(is_kept(loss, view, known.view.values()) for known in self._combined.values()):
            return super().digest(loss, view, batch)
        return self._digests(loss, view, batch, lambda: super(Ensemble, self).digest(loss, view, batch))

    def _view_of(self, views: Sequence[View], shared: Sequence[str], inputs: Sequence[dict[str, Any]]) -> View:
        hidden = {name: torch.cat([view[name] for view in views], dim=-1) for name in shared if name != "logits"}
        return {"logits": self._together(_stack([view["logits"] for view in views]), *inputs), **hidden}

    def _together(self, logits: Tensor, for_combine: dict[str, Any], for_weights: dict[str, Any]) -> Tensor:
        if self.weights is None:
            return self.combine(logits, **for_combine)
        weights = self.weights(logits, **for_weights) if callable(self.weights) else self.weights
        return self.combine(logits, weights=weights, **for_combine)

    def _forget(self) -> None:
        self._combined: dict[tuple, _Combined] = {}  # by the requested hidden layers
        self._digests = Digests()


def _are_shares(weights: Tensor) -> bool:
    return bool(weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0)


def _same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _stack(logits: list[Tensor]) -> Tensor:
    shapes = [tuple(one.shape) for one in logits]
    if len(set(shapes)) > 1:
        raise ValueError(f"the teachers of an Ensemble must answer in one shape, got {shapes}")
    return torch.stack(logits)
