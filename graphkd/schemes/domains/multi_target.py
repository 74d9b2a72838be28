"""Multi-target adaptation: one expert for each target domain, agreement among them, and one student of all.

Isobe et al., "Multi-Target Domain Adaptation with Collaborative Consistency Learning", CVPR 2021, arXiv:2106.03418.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.losses.response.kd import kl
from graphkd.schemes.domains.adversarial import SOURCE, discriminator, domain_adversaries, with_domains
from graphkd.schemes.teachers._combine import soft_target


class CollaborativeExperts(Trainable):
    """Experts for one target domain each, which learn from each other, and the student that they teach; ``fit`` it.

    Batches have ``domain`` (N,): 0 for the labelled source, k = 1..K for the target of expert k; ``labels`` is the loss
    of the source's labels, ``CE(where="source_mask")``. Expert k minimises ``labels`` plus ``weight`` times the
    student's loss in ``domain_adversaries`` between source and target k, with its own discriminator of class
    probabilities, plus ``agreement`` times T^2 KL to each other expert (mean) on all target rows. The student minimises
    ``labels`` plus T^2 KL to the experts' mean softened answer on all target rows. All update at once; ``fit`` returns
    the student. calls: replace the by-name calls of the student and of each expert. Raises ValueError for fewer than
    two experts, or where experts and discriminators differ in number.
    """

    def __init__(
        self,
        student: nn.Module,
        experts: Sequence[nn.Module],
        discriminators: Sequence[nn.Module],
        labels: Loss,
        *,
        weight: float = 1e-3,
        agreement: float = 1.0,
        temperature: float = 1.0,
        calls: Sequence[Call | None] | None = None,
    ) -> None:
        super().__init__()
        if len(experts) < 2 or len(experts) != len(discriminators):
            raise ValueError(
                "'experts' must be two at least with a discriminator each, got "
                f"{len(experts)} and {len(discriminators)}"
            )
        self.student, self.experts, self.discriminators = student, nn.ModuleList(experts), nn.ModuleList(discriminators)
        self.labels, self.weight, self.agreement, self.temperature = labels, weight, agreement, temperature
        ways = zip((student, *experts), calls or [None] * (1 + len(experts)), strict=True)
        self._viewers = [self.hold(Viewer(model, call=call)) for model, call in ways]

    def forward(self, batch: Batch) -> Step:
        """Sum the terms ``expert_1``, ``discriminator_1``, ..., ``agreement``, ``labels`` and ``taught``."""
        domain, views = batch["domain"], [viewer(batch) for viewer in self._viewers]
        student, *answers = (view["logits"] for view in views)
        labels, *known = (self._labels(view, batch) for view in views)
        targets = domain > 0
        terms: dict[str, Tensor] = {}
        for k, (logits, judge) in enumerate(zip(answers, self.discriminators, strict=True), start=1):
            chances = logits.softmax(dim=-1)
            fooled, judged = domain_adversaries((chances[domain == 0], chances[domain == k]), judge)
            terms |= {f"expert_{k}": known[k - 1] + self.weight * fooled, f"discriminator_{k}": judged}
        on_targets = torch.stack(answers)[:, targets]
        together = soft_target(on_targets.detach(), self.temperature)
        terms |= {"agreement": self.agreement * self._each_other(on_targets), "labels": labels}
        terms["taught"] = kl(student[targets], together, self.temperature)
        self.note(terms)
        total = torch.stack(list(terms.values())).sum()
        return Step(total, {name: term.detach() for name, term in terms.items()})

    def _labels(self, view: Batch, batch: Batch) -> Tensor:
        """Compute the loss of the source's labels, 0 in a batch without source rows."""
        found = self.labels.measure(view, None, batch)  # type: ignore[arg-type]
        return view["logits"].sum() * 0 if found is None else found

    def _each_other(self, logits: Tensor) -> Tensor:
        """Compute KL from the other experts' constant answers, summed over experts, mean over the others: (K, N, C)."""
        fixed, count = logits.detach(), len(logits)
        total = logits.new_zeros(())
        for step in range(1, count):
            others = fixed.roll(step, dims=0)
            total = total + count * kl(logits.flatten(0, 1), others.flatten(0, 1), self.temperature) / (count - 1)
        return total


@method(
    "multi_target",
    family="domains",
    paper="Isobe et al., CVPR 2021",
    arxiv="2106.03418",
    survey=(141,),
    needs=("domains",),
    teacher=False,
)
def multi_target(
    problem: Problem,
    *,
    domains: Tensor,
    experts: Sequence[nn.Module] | None = None,
    weight: float = 0.001,
    agreement: float = 1.0,
    temperature: float = 1.0,
    inner: int = 64,
) -> nn.Module:
    """Train one student for several unlabelled targets by one expert each; choose it where one model must serve all.

    Domains may be markets, periods or communities of a graph. Each expert, by default of the student's architecture,
    adapts to one target, and experts learn from each other, see ``CollaborativeExperts``; the student learns the
    source's labels and the experts' mean answer. ``domains``: (N,), each node's domain, 0 for the source, 1 to K for
    the targets. The paper's style transfer between images, and its tie between the weights of student and experts, are
    left out; its details are not known to us. Costs K + 1 forward and backward passes per step. Raises ValueError for
    fewer than two targets, and unless there is one expert per target.
    """
    data = with_domains(problem, domains, targets=2)
    count = int(domains.max())
    models = [problem.fresh_student(k) for k in range(1, count + 1)] if experts is None else list(experts)
    if len(models) != count:
        raise ValueError(f"'experts' must hold one for each of {count} targets, got {len(models)}")
    judges = [problem.made(lambda: discriminator(problem.classes, inner)) for _ in models]
    options: dict[str, Any] = {"weight": weight, "agreement": agreement, "temperature": temperature}
    options["calls"] = [problem.call_of(model) for model in (problem.student, *models)]
    both = CollaborativeExperts(problem.student, models, judges, problem.supervised(where=SOURCE), **options)
    return problem.train(both, data=data)
