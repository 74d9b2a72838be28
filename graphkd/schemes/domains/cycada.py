"""CyCADA on features: source rows are translated to resemble target rows before a student learns them.

Hoffman et al., "CyCADA: Cycle-Consistent Adversarial Domain Adaptation", ICML 2018, arXiv:1711.03213.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed, mapped
from graphkd.core.distiller import Step
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call
from graphkd.schemes._functional import constant_logits
from graphkd.schemes.domains.adversarial import (
    SOURCE,
    TARGET,
    adversarial_adaptation,
    aligning,
    discriminator,
    with_domains,
)


class Translator(nn.Module):
    """Residual translator x + W_2 relu(W_1 x), initialised as the identity."""

    def __init__(self, width: int, inner: int = 64) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(width, inner), nn.Linear(inner, width)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Translate rows: (N, d) -> (N, d)."""
        return x + self.last(self.first(x).relu())


class Translation(Trainable):
    """Train a translator that makes source features look like the target's and keeps a teacher's answers about them.

    Minimises CE(t(F(x_s)), argmax t(x_s)) + weight mean BCE(D(F(x_s)), target) with D and the teacher t constant, plus
    the discriminator's own loss, as in ``adversarial_adaptation``: CyCADA's semantic consistency and adversary. Batches
    have the masks ``source_mask`` and ``target_mask``; t sees the graph with the translated ``x``. The paper's cycle
    and backward generator, which keep pixels in place, are left out, since translated rows keep their place. call:
    replaces the by-name call of a teacher that is a module. ``fit`` returns the translator, rows (N, d) -> (N, d).
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
        """Compute the sum of both losses."""
        source, target = batch[SOURCE], batch[TARGET]
        said = self._teacher(batch)["logits"][source].argmax(dim=1)
        seen = translated(batch, self.student)
        with evaluating(self._teacher.model):
            logits = constant_logits(self._teacher.model, seen, call=self._teacher.call)[source]
        shown = batch["x"][target], seen["x"][source]  # the discriminator should take the second for the first
        translator, discriminator = adversarial_adaptation(logits, said, shown, self.discriminator, weight=self.weight)
        terms = {"translator": translator.detach(), "discriminator": discriminator.detach()}
        return Step(translator + discriminator, terms)


def translated(batch: Batch, translator: nn.Module) -> Any:
    """Copy a batch with the features of its source rows translated, on the translator's device, and put back."""
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
    """Train a translator against its discriminator, to the last epoch, and return the translated data."""
    translator = problem.train(Translation(*players, teacher, weight=weight), name, data, choose=False)
    return mapped(data, torch.no_grad()(lambda batch: translated(batch, translator)))


@method(
    "cycada",
    family="domains",
    paper="Hoffman et al., ICML 2018",
    arxiv="1711.03213",
    survey=(28,),
    needs=("hidden", "domains"),
    cannot={
        "sparse": "it translates features from one domain to another",
        "ensemble": "a translator learns by gradients through its teacher's model",
    },
)
def cycada(
    problem: Problem,
    *,
    domains: Tensor,
    translation_weight: float = 1.0,
    feature_weight: float = 0.001,
    inner: int = 64,
) -> nn.Module:
    """Translate the source's features into the target's, learn its labels there, and align hidden features.

    Choose it where source and target have the same classes but describe features differently (other units, words,
    encoders of the same thing); the teacher is a model trained on the source. The first stage is ``Translation``, to
    its last epoch, with its adversary weighted by ``translation_weight``. The second aligns the student's hidden layer
    on the translated data, as ``adversarial_features`` does, with ``feature_weight``. ``domains``, inner: as in
    ``adversarial_output``. Of CyCADA only feature adversaries and semantic consistency are implemented. Costs two
    trainings; a step of the first has two forward passes of the teacher.
    """
    data, width, student = with_domains(problem, domains), problem.features, problem.student
    players = problem.made(lambda: Translator(width, inner)), problem.made(lambda: discriminator(width, inner))
    judge = problem.made(lambda: discriminator(problem.width_of(student), inner))
    seen = translate(problem, players, problem.teacher, data, weight=translation_weight)
    adapting = aligning(problem, student, judge, feature_weight, problem.path_of(student))
    return problem.train(adapting, "student", seen)
