"""Several models combined into one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.answers import check_logits
from graphkd.schemes.teachers._combine import soft_target


class Together(nn.Module):
    """Several models as one, whose answer is the logarithm of their mean probabilities, (N, C).

    models: each returns logits or a mapping with "logits". ``forward`` takes the union of the models' arguments, by
    name or in order of first occurrence, and passes each model its own, so that models with and without edges can be
    combined. Raises ValueError without models, and where a model returns probabilities.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if not models:
            raise ValueError("'models' must hold one at least, got none")
        self.models = nn.ModuleList(models)
        self._looked = False

    @property
    def forward(self) -> Callable[..., Tensor]:  # type: ignore[override]
        """Return a ``forward`` with the arguments of all models, so that it can be filled by name -> (N, C)."""
        return jointly(self.models, self._joined)

    def _joined(self, ask: Callable[[], list[Any]]) -> Tensor:
        found = [logits_of(answer) for answer in ask()]
        if not self._looked:
            for number, logits in enumerate(found):
                check_logits(type(self).__name__, "classes", logits, f"models[{number}]")
            self._looked = all(logits.numel() for logits in found)
        return soft_target(torch.stack(found))


def jointly(models: Iterable[nn.Module], found: Callable[[Callable[[], list[Any]]], Tensor]) -> Callable[..., Tensor]:
    """Make a ``forward`` with all models' arguments that returns ``found(ask)``; ``ask()`` lists their outputs."""
    pairs = [(model, inspect.signature(model.forward)) for model in models]
    union = _union([own for _, own in pairs])

    def forward(*inputs: Any, **named: Any) -> Tensor:
        def ask() -> list[Any]:
            if all(own == union for _, own in pairs):
                return [model(*inputs, **named) for model, _ in pairs]
            given = union.bind(*inputs, **named).arguments
            return [
                model(**{name: value for name, value in given.items() if name in own.parameters})
                for model, own in pairs
            ]

        return found(ask)

    forward.__signature__ = union  # type: ignore[attr-defined]
    return forward


def logits_of(answer: Any) -> Tensor:
    """Return the logits in a model's output, which may be all of it."""
    return answer["logits"] if isinstance(answer, Mapping) else answer


def _union(signatures: Sequence[inspect.Signature]) -> inspect.Signature:
    """Join all parameters in order of first occurrence; those that lack a default in some model go first."""
    if all(own == signatures[0] for own in signatures):
        return signatures[0]
    found: dict[str, inspect.Parameter] = {}
    for own in signatures:
        for name, parameter in own.parameters.items():
            if name not in found or parameter.default is parameter.empty:
                found[name] = parameter.replace(kind=parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature(sorted(found.values(), key=lambda each: each.default is not each.empty))
