"""One expert for each target domain, agreement among them, and one student of all (multi-target adaptation)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Viewer
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes.adaptation import adversarial_adaptation
from graphkd.schemes.mutual import each_other
from graphkd.schemes.weights import soft_target


class CollaborativeExperts(Trainable):
    """Experts that adapt to a target each and learn from each other, and the student they teach; ``fit`` it.

    Isobe et al., "Multi-Target Domain Adaptation with Collaborative Consistency Learning", CVPR 2021, arXiv:2106.03418.
    Choose it where one model must work in several unlabelled domains at once: markets, periods, communities of a graph.
    The batch says by ``domain`` (N,) where a row is from: 0 the labelled source, k = 1..K the target of expert k.
    Expert k minimises ``adversarial_adaptation`` of source and target k with its own discriminator of class
    probabilities, plus ``agreement`` times T^2 KL to each other expert on all target rows; the student, CE of the
    source plus T^2 KL to the experts' mean softened answer on all target rows. All step at once; ``fit`` gives back
    the student. The paper's style transfer between images, and its tie between the weights of student and experts, are
    left out; its details are not known to us. Costs K + 1 forward and backward passes.
    """

    def __init__(
        self,
        student: nn.Module,
        experts: Sequence[nn.Module],
        discriminators: Sequence[nn.Module],
        *,
        weight: float = 1e-3,
        agreement: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if len(experts) < 2 or len(experts) != len(discriminators):
            raise ValueError(
                f"'experts' must be two at least with a discriminator each, got {len(experts)} and "
                f"{len(discriminators)}"
            )
        self.student, self.experts, self.discriminators = student, nn.ModuleList(experts), nn.ModuleList(discriminators)
        self.weight, self.agreement, self.temperature = weight, agreement, temperature
        self._viewers = [self.hold(Viewer(model)) for model in (student, *experts)]

    def forward(self, batch: Batch) -> Step:
        """The sum of its terms, ``expert_1``, ``discriminator_1``, ..., ``agreement``, ``labels`` and ``taught``."""
        domain, y = batch["domain"], batch["y"]
        source, targets = domain == 0, domain > 0
        student, *answers = (viewer(batch)["logits"] for viewer in self._viewers)
        terms: dict[str, Tensor] = {}
        for k, (logits, discriminator) in enumerate(zip(answers, self.discriminators, strict=True), start=1):
            chances = logits.softmax(dim=-1)
            shown = chances[source], chances[domain == k]
            adapted = adversarial_adaptation(logits[source], y[source], shown, discriminator, weight=self.weight)
            terms |= {f"expert_{k}": adapted.student, f"discriminator_{k}": adapted.discriminator}
        on_targets = torch.stack(answers)[:, targets]
        terms["agreement"] = self.agreement * sum(
            (share * self._match(on_targets, others) for share, others in each_other(on_targets).targets),
            start=student.new_zeros(()),
        )
        together = soft_target(on_targets.detach(), self.temperature)
        terms |= {"labels": cross_entropy(student[source], y[source])}
        terms |= {"taught": kl(student[targets], together, self.temperature)}
        total = torch.stack(list(terms.values())).sum()
        return Step(total, {name: term.detach() for name, term in terms.items()})

    def _match(self, logits: Tensor, others: Tensor) -> Tensor:
        """Of all experts, each to its own other, summed over experts: (K, N, C) each -> scalar."""
        return len(logits) * kl(logits.flatten(0, 1), others.flatten(0, 1), self.temperature)
