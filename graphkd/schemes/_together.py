"""Several models as one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.schemes.teachers._combine import soft_target


class Together(nn.Module):
    """Several models as one: the logarithm of their mean probabilities, (N, C).

    models: each gives logits, or a mapping that has them. ``forward`` takes what any of theirs asks for, by name or in
    the order in which it is first asked for, and hands each its own: a model of edges may stand beside one without.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if not models:
            raise ValueError("'models' must hold one at least, got none")
        self.models = nn.ModuleList(models)

    @property
    def forward(self) -> Callable[..., Tensor]:  # type: ignore[override]
        """What the models' ``forward`` take, so that it can be filled by name -> (N, C)."""
        signatures = [inspect.signature(model.forward) for model in self.models]
        union = _union(signatures)

        def answer(*inputs: Any, **named: Any) -> Tensor:
            if all(own == union for own in signatures):
                answers = [model(*inputs, **named) for model in self.models]
            else:
                given = union.bind(*inputs, **named).arguments
                answers = [
                    model(**{name: value for name, value in given.items() if name in own.parameters})
                    for model, own in zip(self.models, signatures, strict=True)
                ]
            return soft_target(torch.stack([one["logits"] if isinstance(one, Mapping) else one for one in answers]))

        answer.__signature__ = union  # type: ignore[attr-defined]
        return answer


def _union(signatures: Sequence[inspect.Signature]) -> inspect.Signature:
    """All parameters, in the order in which they first come; those without a default in any go first."""
    if all(own == signatures[0] for own in signatures):
        return signatures[0]
    found: dict[str, inspect.Parameter] = {}
    for own in signatures:
        for name, parameter in own.parameters.items():
            if name not in found or parameter.default is parameter.empty:
                found[name] = parameter.replace(kind=parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature(sorted(found.values(), key=lambda each: each.default is not each.empty))
