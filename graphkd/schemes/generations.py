"""Born-again networks: generations of one architecture, each taught by the one before, and all of them at last.

Furlanello, Lipton, Tschannen, Itti and Anandkumar, "Born-Again Neural Networks", ICML 2018, arXiv:1805.04770.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.ensemble import Ensemble
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen, cached
from graphkd.core.view import Batch, View
from graphkd.losses._checks import choose
from graphkd.losses.consistency import ConfidenceWeighted
from graphkd.losses.response import CE
from graphkd.losses.soft_targets import SoftCE
from graphkd.schemes.weights import soft_target

Dark = Literal["kd", "cwtm", "dkpp"]


def born_again(
    student: nn.Module,
    teacher: nn.Module | Frozen | None,
    data: Batch,
    fresh: Callable[[int], nn.Module],
    *,
    generations: int = 3,
    kind: Dark = "kd",
    label_weight: float = 0.0,
    where: str = "train_mask",
    **options: Any,
) -> list[nn.Module]:
    """Train generations of one architecture; choose it to better a model without making it smaller.

    student: generation 1, taught by ``teacher`` or, without one, by the labels alone. fresh: the number of a generation
    (2, 3, ...) -> a new model. Generation k minimises, against generation k - 1, by ``kind``: "kd", soft CE at T = 1 on
    all rows; "cwtm", CE weighted by the teacher's confidence (rows ``where``); "dkpp", soft CE with the classes but the
    first shuffled row by row, anew at every step; plus ``label_weight`` times CE of the labels (0: the paper's best).
    Returns the generations; ``Ensemble(models, soft_target)`` is the paper's, the mean of their probabilities, as a
    teacher, ``Together(models)`` as a model. options go to ``fit``. generations times the cost of one training.
    """
    choose("kind", kind, get_args(Dark))
    if generations < 1:
        raise ValueError(f"'generations' must be at least 1, got {generations}")
    found: list[nn.Module] = []
    previous = teacher
    for number in range(1, generations + 1):
        model = student if number == 1 else fresh(number)
        if previous is None:
            task = Distiller(model, losses=CE(where=where))
        else:
            task = Distiller(model, _shown(previous, data, kind), _losses(kind, label_weight, where))
        previous = fit(task, data, **options)
        found.append(previous)
    return found


def _losses(kind: Dark, label_weight: float, where: str) -> Loss:
    soft = ConfidenceWeighted(where=where) if kind == "cwtm" else SoftCE()
    return soft + label_weight * CE(where=where) if label_weight else soft


def _shown(teacher: nn.Module | Frozen, data: Batch, kind: Dark) -> Frozen:
    shown = cached(teacher, data)
    return Shuffled(shown) if kind == "dkpp" else shown


def shuffle_others(logits: Tensor) -> Tensor:
    """Each row with all entries but the largest in random order: (N, C) -> (N, C). DKPP."""
    first = logits.argmax(dim=1, keepdim=True)
    keys = torch.rand_like(logits, dtype=torch.float32).scatter(1, first, -1.0)  # the largest entry comes first
    order = keys.argsort(dim=1)
    places = torch.arange(logits.size(1), device=logits.device).expand_as(logits)
    places = places.masked_fill(places == first, -1).argsort(dim=1, stable=True)  # its own place, then the others
    return torch.empty_like(logits).scatter(1, places, logits.gather(1, order))


class Shuffled(Ensemble):
    """A teacher whose dark knowledge is shuffled at every step: what remains is how sure it is (DKPP)."""

    def __init__(self, teacher: Frozen) -> None:
        super().__init__([teacher])
        self._stays = False

    def __call__(self, batch: Batch) -> View:
        """Show the teacher's view, its logits shuffled."""
        view = super().__call__(batch)
        return {**view, "logits": shuffle_others(view["logits"])}


class Together(nn.Module):
    """Several models of one signature as one: the logarithm of their mean probabilities, (N, C)."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if not models:
            raise ValueError("'models' must hold one at least, got none")
        self.models = nn.ModuleList(models)

    @property
    def forward(self) -> Callable[..., Tensor]:  # type: ignore[override]
        """What the first model's ``forward`` takes, so that it can be filled by name -> (N, C)."""

        @functools.wraps(self.models[0].forward)
        def answer(*inputs: Any, **named: Any) -> Tensor:
            answers = [model(*inputs, **named) for model in self.models]
            return soft_target(torch.stack([one["logits"] if isinstance(one, Mapping) else one for one in answers]))

        return answer
