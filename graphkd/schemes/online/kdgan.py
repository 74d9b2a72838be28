"""KDGAN: a classifier and its teacher make up labels, and a discriminator tells them from true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer, fill
from graphkd.losses.response.logit_mse import logit_mse
from graphkd.schemes._measured import measured
from graphkd.schemes.online.peers import with_known


def _at(values: Tensor, samples: Tensor) -> Tensor:
    """Entries of (N, C) at (row, class) pairs (S, 2)."""
    return values[samples[:, 0], samples[:, 1]]


def pair_discrimination(scores: Tensor, samples: Tensor, is_real: Tensor) -> Tensor:
    """Take the sigmoid cross-entropy of true and made-up pairs: scores (N, C), pairs (S, 2), (S,) -> scalar."""
    return F.binary_cross_entropy_with_logits(_at(scores, samples), is_real.to(scores.dtype))


def pair_policy(logits: Tensor, scores: Tensor, samples: Tensor) -> Tensor:
    """Let a maker's logits (N, C) at pairs (S, 2) that it drew follow the discriminator's constant verdict.

    mean over pairs of the sigmoid cross-entropy of z with sigmoid(score), the code's surrogate for policy gradients.
    """
    return F.binary_cross_entropy_with_logits(_at(logits, samples), _at(scores.detach(), samples).sigmoid())


class KDGAN(Trainable):
    """Train classifier, teacher and discriminator in one game; ``fit`` it, and it gives back the classifier.

    The discriminator D scores pairs of row and class: (1 - share) BCE on true pairs and the classifier's + ``share``
    BCE on true pairs and the teacher's. Classifier C: CE + (1 - share) policy + distil (1 / 2N) |z_t - z_c|^2;
    teacher: the same with ``share``, distilled from C (both sides of a distance constant for the other).

    classifier, teacher, discriminator: modules that show (N, C) for a batch, in ways of their own; ``calls`` one each.
    labels: the supervised loss of both makers. where, targets: names of the entries of a batch that select labelled
    rows and hold their classes. Every step draws as many rows as have labels, at random with replacement, and a class
    of each from softmax(z).
    """

    def __init__(
        self,
        classifier: nn.Module,
        teacher: nn.Module,
        discriminator: nn.Module,
        *,
        labels: Loss,
        where: str,
        targets: str,
        distil: float = 1.0,
        share: float = 0.3,
        adversarial: float = 1.0,
        calls: Sequence[Call | None] = (None, None, None),
    ) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"'share' must be in [0, 1], got {share}")
        self.student, self.teacher, self.discriminator = classifier, teacher, discriminator
        models = zip((classifier, teacher, discriminator), calls, strict=True)
        self._viewers = [self.hold(Viewer(model, call=call)) for model, call in models]
        self.labels, self.where, self.targets = labels, where, targets
        self.distil, self.share, self.adversarial = distil, share, adversarial

    def forward(self, batch: Batch) -> Step:
        """All three losses; terms ``label_``, ``policy_`` and ``discrimination_`` of both makers, and ``distil``."""
        true = self._true_pairs(batch)
        student, teacher, scores = (viewer(batch)["logits"] for viewer in self._viewers)
        terms: dict[str, Tensor] = {}
        total: Any = 0.0 * scores.sum()
        sides = ("classifier", student, teacher, 1 - self.share), ("teacher", teacher, student, self.share)
        for name, logits, other, weight in sides:
            found = self._game(name, logits, scores, true, weight) if len(true) else {}
            found[f"distil_{name}"] = self.distil, logit_mse(logits, other.detach())
            label = measured(self.labels, {"logits": logits}, {}, batch)
            if label is not None:
                found[f"label_{name}"] = 1.0, label
            terms |= {term: value.detach() for term, (_, value) in found.items()}
            total = total + sum(factor * value for factor, value in found.values())
        return Step(total, terms)

    def _true_pairs(self, batch: Batch) -> Tensor:
        """Labelled rows and their classes, (S, 2)."""
        labelled, y = (fill((self.where, self.targets), batch, "KDGAN")[name] for name in (self.where, self.targets))
        rows = labelled.nonzero()[:, 0] if labelled.dtype == torch.bool else labelled
        return torch.stack([rows, y[rows]], dim=1)

    def _game(
        self, name: str, logits: Tensor, scores: Tensor, true: Tensor, weight: float
    ) -> dict[str, tuple[float, Tensor]]:
        """What a maker's pairs come to, for the discriminator and for itself."""
        drawn = _draw(logits.detach(), len(true))
        is_real = torch.arange(2 * len(true), device=true.device) < len(true)
        return {
            f"discrimination_{name}": (weight, pair_discrimination(scores, torch.cat([true, drawn]), is_real)),
            f"policy_{name}": (self.adversarial * weight, pair_policy(logits, scores, drawn)),
        }


def _draw(logits: Tensor, count: int) -> Tensor:
    """Pairs of a random row and a class drawn from its probabilities: (count, 2)."""
    rows = torch.randint(logits.size(0), (count,), device=logits.device)
    return torch.stack([rows, logits[rows].softmax(dim=1).multinomial(1)[:, 0]], dim=1)


@method(
    "kdgan",
    family="online",
    paper="Wang et al., NeurIPS 2018",
    cannot={"ensemble": "it trains a copy of its teacher"},
    space={"share": (0.01, 0.99)},
)
def kdgan(
    problem: Problem,
    *,
    distil: float = 1.0,
    share: float = 0.3,
    adversarial: float = 1.0,
    discriminator: nn.Module | None = None,
) -> nn.Module:
    """Train the student and a copy of the teacher to make up labels that a discriminator cannot tell from true ones.

    Choose it where a teacher has more to see (privileged features, the graph) but labels are few, and made-up ones may
    help; both learn the labels and each other's logits besides, see ``KDGAN``. What the survey says of it (student for
    generator, teacher for discriminator) is not the paper's ("KDGAN: Knowledge Distillation with Generative Adversarial
    Networks"). Ours: classes drawn outright where the paper has Gumbel-softmax with a falling temperature, all three
    steps at once, CE throughout instead of before, no common factor (training size over batch size).

    distil: weight of the logits' distance. share: of the teacher in the game. adversarial: weight of the verdict.
    discriminator: a model of as many answers as there are classes, called as the student is; by default a fresh one of
    the student's kind. Costs the trainings of student, teacher and discriminator.
    """
    judge = problem.fresh_student(1) if discriminator is None else discriminator.to(problem.device)
    models, labels, where = (problem.student, problem.teacher_to_train(), judge), problem.supervised(), problem.labelled
    game: dict[str, Any] = {"distil": distil, "share": share, "adversarial": adversarial}
    game["calls"] = [problem.call_of(model) for model in models]
    trainable = KDGAN(*models, labels=labels, where=where, targets="known", **game)
    return problem.train(trainable, "game", with_known(problem, where))
