"""KDGAN: a classifier and its teacher make up labels, and a discriminator tells them from true ones.

Wang, Zhang, Sun and Qi, "KDGAN: Knowledge Distillation with Generative Adversarial Networks", NeurIPS 2018.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Viewer, fill
from graphkd.losses.response.ce import CE
from graphkd.losses.response.logit_mse import logit_mse


def _at(values: Tensor, samples: Tensor) -> Tensor:
    """Entries of (N, C) at (row, class) pairs (S, 2)."""
    return values[samples[:, 0], samples[:, 1]]


def pair_discrimination(scores: Tensor, samples: Tensor, is_real: Tensor) -> Tensor:
    """Sigmoid cross-entropy of true and made-up pairs: scores (N, C), (row, class) pairs (S, 2), (S,) -> scalar."""
    return F.binary_cross_entropy_with_logits(_at(scores, samples), is_real.to(scores.dtype))


def pair_policy(logits: Tensor, scores: Tensor, samples: Tensor) -> Tensor:
    """The maker's loss: its logits (N, C) at pairs (S, 2) that it drew follow the discriminator's constant verdict.

    mean over pairs of the sigmoid cross-entropy of z with sigmoid(score), the code's surrogate for policy gradients.
    """
    return F.binary_cross_entropy_with_logits(_at(logits, samples), _at(scores.detach(), samples).sigmoid())


class KDGAN(Trainable):
    """Classifier, teacher and discriminator in one game; ``fit`` it, and it gives back the classifier.

    The discriminator D scores pairs of row and class: (1 - share) BCE on true pairs and the classifier's + ``share``
    BCE on true pairs and the teacher's. Classifier C: CE + (1 - share) policy + distil (1 / 2N) |z_t - z_c|^2;
    teacher: the same with ``share``, distilled from C (both sides of a distance constant for the other). Choose it
    where a teacher has more to see (privileged features, the graph) but labels are few, and made-up ones may help.

    classifier, teacher, discriminator: modules that show (N, C) for a batch, in ways of their own. labels: CE of both.
    Every step draws as many rows as have labels (``where``), at random with replacement, and a class of each from
    softmax(z). What the survey says of it (student for generator, teacher for discriminator) is not the paper's. Ours:
    classes drawn outright where the paper has Gumbel-softmax with a falling temperature, all three steps at once, CE
    throughout instead of before, no common factor (training size over batch size).
    """

    def __init__(
        self,
        classifier: nn.Module,
        teacher: nn.Module,
        discriminator: nn.Module,
        *,
        where: str = "train_mask",
        distil: float = 1.0,
        share: float = 0.3,
        adversarial: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"'share' must be in [0, 1], got {share}")
        self.student, self.teacher, self.discriminator = classifier, teacher, discriminator
        self._viewers = [self.hold(Viewer(model)) for model in (classifier, teacher, discriminator)]
        self.where, self.distil, self.share, self.adversarial = where, distil, share, adversarial
        self.labels: Loss = CE(where=where)

    def forward(self, batch: Batch) -> Step:
        """All three losses; terms ``label_``, ``policy_`` and ``discrimination_`` of both makers, and ``distil``."""
        y, labelled = fill(("y", self.where), batch, "KDGAN").values()
        rows = labelled.nonzero()[:, 0] if labelled.dtype == torch.bool else labelled
        true = torch.stack([rows, y[rows]], dim=1)
        student, teacher, scores = (viewer(batch)["logits"] for viewer in self._viewers)
        terms: dict[str, Tensor] = {}
        total = student.new_zeros(())
        for name, logits, other, weight in (
            ("classifier", student, teacher, 1 - self.share),
            ("teacher", teacher, student, self.share),
        ):
            drawn = _draw(logits.detach(), len(true))
            is_real = torch.arange(2 * len(true), device=y.device) < len(true)
            found = {
                f"discrimination_{name}": (weight, pair_discrimination(scores, torch.cat([true, drawn]), is_real)),
                f"policy_{name}": (self.adversarial * weight, pair_policy(logits, scores, drawn)),
                f"distil_{name}": (self.distil, logit_mse(logits, other.detach())),
            }
            label = self.labels.measure({"logits": logits}, None, batch)
            if label is not None:
                found[f"label_{name}"] = 1.0, label
            terms |= {term: value.detach() for term, (_, value) in found.items()}
            total = total + sum(factor * value for factor, value in found.values())
        return Step(total, terms)


def _draw(logits: Tensor, count: int) -> Tensor:
    """Pairs of a random row and a class drawn from its probabilities: (count, 2)."""
    rows = torch.randint(logits.size(0), (count,), device=logits.device)
    return torch.stack([rows, logits[rows].softmax(dim=1).multinomial(1)[:, 0]], dim=1)
