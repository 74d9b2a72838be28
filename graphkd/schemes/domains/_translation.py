"""Source features that are made to look like the target's before a student learns from them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed, mapped
from graphkd.core.distiller import Step
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call
from graphkd.schemes._functional import constant_logits
from graphkd.schemes.domains._domains import SOURCE, TARGET
from graphkd.schemes.domains.adversarial import adversarial_adaptation


class Translator(nn.Module):
    """x + W_2 relu(W_1 x), which starts as x: (N, d) -> (N, d)."""

    def __init__(self, width: int, inner: int = 64) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(width, inner), nn.Linear(inner, width)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x + self.last(self.first(x).relu())


class Translation(Trainable):
    """Train a translator of source features: a discriminator takes them for target's, a teacher for what they were.

    CE(t(F(x_s)), argmax t(x_s)) + weight mean BCE(D(F(x_s)), target), D and the teacher t constant, and the
    discriminator's own loss, as in ``adversarial_adaptation``: semantic consistency and the adversary of CyCADA. The
    batch names source rows ``source_mask`` and target rows ``target_mask``; t sees the graph with the translated ``x``.
    The paper's cycle and its generator back, which keep pixels in place, are left out: rows of features have their
    identity by their place. ``fit`` gives back the translator, rows (N, d) -> (N, d).
    """

    def __init__(
        self,
        translator: nn.Module,
        discriminator: nn.Module,
        teacher: nn.Module | Frozen,
        *,
        weight: float = 1.0,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        self.student, self.discriminator, self.weight = translator, discriminator, weight
        self._teacher = self.hold(teacher if isinstance(teacher, Frozen) else Frozen(teacher, call=call))

    def forward(self, batch: Batch) -> Step:
        """The sum of both losses."""
        source, target = batch[SOURCE], batch[TARGET]
        said = self._teacher(batch)["logits"][source].argmax(dim=1)
        seen = translated(batch, self.student)
        logits = constant_logits(self._teacher.model.eval(), seen, call=self._teacher.call)[source]
        shown = batch["x"][target], seen["x"][source]  # who is to be taken for whom: the second for the first
        translator, discriminator = adversarial_adaptation(logits, said, shown, self.discriminator, weight=self.weight)
        terms = {"translator": translator.detach(), "discriminator": discriminator.detach()}
        return Step(translator + discriminator, terms)


def translated(batch: Batch, translator: nn.Module) -> Any:
    """Copy a batch with the features of its source rows translated, where the translator is, and put back."""
    x, source = batch["x"], batch[SOURCE]
    place = next((parameter.device for parameter in translator.parameters()), x.device)
    return changed(batch, x=x.masked_scatter(source[:, None], translator(x[source].to(place)).to(x.device)))


def translate(
    problem: Problem,
    players: tuple[nn.Module, nn.Module],
    teacher: Frozen,
    data: Any,
    *,
    weight: float = 1.0,
    name: str = "translator",
) -> Any:
    """Train a translator against its discriminator, to the last epoch, and give the data that it translates."""
    translator = problem.train(Translation(*players, teacher, weight=weight), name, data, choose=False)

    @torch.no_grad()
    def seen(batch: Batch) -> Any:
        return translated(batch, translator)

    return mapped(data, seen)
