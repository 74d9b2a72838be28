"""Source rows that are made to look like target rows before a student learns them: CyCADA and BDL on features."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller, Step
from graphkd.core.fit import fit
from graphkd.core.teachers import Cached, Frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch
from graphkd.losses.response.ce import CE
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.schemes.adaptation import Adversarial, adversarial_adaptation
from graphkd.schemes.augment import changed
from graphkd.schemes.meta import constant_logits


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
        self, translator: nn.Module, discriminator: nn.Module, teacher: nn.Module, *, weight: float = 1.0
    ) -> None:
        super().__init__()
        self.student, self.discriminator, self.weight = translator, discriminator, weight
        self._teacher = self.hold(Frozen(teacher))

    def forward(self, batch: Batch) -> Step:
        """The sum of both losses."""
        source, target = batch["source_mask"], batch["target_mask"]
        said = self._teacher(batch)["logits"][source].argmax(dim=1)
        seen = translated(batch, self.student)
        logits = constant_logits(self._teacher.model, seen)[source]
        shown = batch["x"][target], seen["x"][source]  # who is to be taken for whom: the second for the first
        translator, discriminator = adversarial_adaptation(logits, said, shown, self.discriminator, weight=self.weight)
        terms = {"translator": translator.detach(), "discriminator": discriminator.detach()}
        return Step(translator + discriminator, terms)


def translated(batch: Batch, translator: nn.Module) -> Any:
    """The batch with the features of its source rows translated."""
    x, source = batch["x"], batch["source_mask"]
    return changed(batch, x=x.masked_scatter(source[:, None], translator(x[source])))


class Translators(NamedTuple):
    """A translator of features, (N, d) -> (N, d), and the discriminator of features that it plays against."""

    translator: nn.Module
    discriminator: nn.Module


def translate(batch: Batch, teacher: nn.Module, players: Translators, weight: float, **options: Any) -> Any:
    """Train the translator, to its last epoch, and translate."""
    first = {**options, "metric": None, "patience": None}
    translator = fit(Translation(*players, teacher, weight=weight), batch, **first)
    with torch.no_grad():
        return translated(batch, translator)


def cycada(
    student: nn.Module,
    teacher: nn.Module,
    players: Translators,
    discriminator: nn.Module,
    data: Batch,
    *,
    tap: str | None = None,
    weight: float = 1.0,
    feature_weight: float = 1e-3,
    **options: Any,
) -> nn.Module:
    """Translate the source, learn its labels there, and align features. Hoffman et al., ICML 2018, arXiv:1711.03213.

    Choose it where source and target differ in how features are given (other units, words, encoders of the same thing)
    and not in classes; ``teacher`` is a model trained on the source. First ``Translation``, with ``weight`` of its
    adversary; then ``Adversarial`` on the translated graph, whose ``discriminator`` sees the student's hidden layer
    ``tap``, or its class probabilities, with ``feature_weight``. Feature adversaries and semantic consistency alone are
    taken over of CyCADA. options go to ``fit``, in both stages.
    """
    seen = translate(data, teacher, players, weight, **options)
    return fit(Adversarial(student, discriminator, weight=feature_weight, tap=tap), seen, **options)


def bidirectional(
    student: nn.Module,
    discriminator: nn.Module,
    data: Batch,
    *,
    players: Translators | None = None,
    rounds: int = 2,
    threshold: float = 0.9,
    knobs: Mapping[str, Any] | None = None,
    **options: Any,
) -> nn.Module:
    """Alternate alignment and confident self-training. Li, Yuan and Vasconcelos, CVPR 2019, arXiv:1904.10620 (BDL).

    Choose it where one adversarial round leaves the target half learnt. Each round aligns by ``Adversarial``, then
    learns the source's labels and the target's pseudo-labels of confidence ``threshold`` at least, by the model that
    the alignment gave. players: the paper's other direction, a translator of source features that goes on to learn at
    the beginning of every round but the first, by ``Translation`` with the student of the round before; without them
    features stay. knobs: of ``Adversarial``; options go to ``fit``, in each of its calls.
    """
    losses = CE(where="source_mask") + PseudoLabel(threshold, where="target_mask")
    seen: Any = data
    for number in range(rounds):
        if players is not None and number:
            seen = translate(data, copy.deepcopy(student), players, 1.0, **options)
        fit(Adversarial(student, discriminator, **(knobs or {})), seen, **options)
        fit(Distiller(student, Cached(copy.deepcopy(student), seen), losses), seen, **options)
    return student
