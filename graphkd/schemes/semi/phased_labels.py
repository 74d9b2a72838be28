"""Pseudo-labels from easy to hard, in phases."""

from __future__ import annotations

import math

from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.semi._pseudo_labels import unlabelled_nodes


def relative_entropy(logits: Tensor) -> Tensor:
    """Divide the entropy of every row's softmax by its largest value, log C: (N, C) -> (N,), in [0, 1]."""
    logs = logits.to(accumulation_dtype(logits)).log_softmax(dim=-1)
    return -(logs.exp() * logs).sum(dim=-1) / math.log(logits.size(-1))


@method("phased_labels", family="semi", paper="multi-phase pseudo-labelling, a restatement", survey=(7,))
def phased_labels(problem: Problem, *, phases: int = 3) -> nn.Module:
    """Learn pseudo-labels from easy to hard, in phases; choose it where the teacher is unsure about many rows.

    Phase k of K learns the labels and, on the share k / K of the other rows with the teacher's lowest
    ``relative_entropy`` H, cross-entropy with the teacher's probabilities, times the mean of 1 - H over these rows. A
    restatement of multi-phase pseudo-labelling: the share of rows and the weight of each phase are ours; one weight per
    phase, unlike one per row, needs no support in the loss. Each of the K trainings continues from the weights of the
    one before. Raises ValueError for fewer than one phase.
    """
    if phases < 1:
        raise ValueError(f"'phases' must be at least 1, got {phases}")
    unlabelled = unlabelled_nodes(problem)
    entropies = relative_entropy(problem.view_of(problem.teacher)).to(unlabelled.device)
    entropy = problem.once("entropy", lambda: entropies[unlabelled])
    order, student = entropy.argsort(stable=True), problem.student
    for phase in range(1, phases + 1):
        easy = order[: math.ceil(order.numel() * phase / phases)]
        weight = float((1 - entropy[easy]).mean()) if easy.numel() else 0.0
        losses = {"labels": problem.supervised(), "pseudo": weight * SoftCE(where="pseudo")}
        task = problem.distiller(student, problem.teacher, losses)
        student = problem.train(task, f"phase-{phase}", problem.with_rows(pseudo=unlabelled[easy]))
    return student
