"""Adaptation to a target without labels, by a teacher's answers and the rows on which it is certain (Ruder et al.)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.batches import Mapped, batches, changed
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.augment import told
from graphkd.schemes.domains.adversarial import TARGET, with_domains


def cluster_difference(hidden: Tensor, teacher: Tensor) -> Tensor:
    """Measure how clearly a row belongs to one cluster (MCD): (N, d), (N, C) -> (N,). Ruder et al., 2017.

    cos(x_i, m_a) - cos(x_i, m_b), with a and b the two classes of the largest cosines and m_c the mean of the hidden
    rows that the teacher assigns to class c (maximum cluster difference; the paper has two classes). A class without
    rows has cosine 0. arXiv:1702.02052. Raises ValueError for fewer than two classes.
    """
    check_rows(hidden, teacher)
    if teacher.size(-1) < 2:
        raise ValueError(f"'teacher' must have 2 classes at least, got {teacher.size(-1)}")
    members = F.one_hot(teacher.argmax(dim=-1), teacher.size(-1)).to(hidden.dtype)
    cosines = unit_vectors(hidden) @ unit_vectors(members.t() @ hidden).t()
    first, second = cosines.topk(2, dim=-1).values.unbind(dim=-1)
    return first - second


def mixed_pseudo_labels(teacher: Tensor, temperature: float = 5.0, mix: float = 0.5) -> Tensor:
    """Mix (1 - mix) onehot(argmax t) + mix softmax(t / T), as logits at T: (N, C) -> (N, C). Ruder et al., 2017.

    Use it in ``soft_cross_entropy`` at T on the rows of largest ``cluster_difference``, alternating with all rows at
    mix = 1.
    """
    soft = (teacher.to(accumulation_dtype(teacher)) / temperature).log_softmax(dim=-1)
    hard = F.one_hot(teacher.argmax(dim=-1), teacher.size(-1)).to(soft.dtype)
    shares = soft.new_tensor([1 - mix, mix]).log()
    return temperature * torch.logaddexp(shares[0] + hard.log(), shares[1] + soft)


class _InTurn(Mapped):
    """Every batch twice: with the teacher's answers on target rows, then with mixed labels on chosen rows."""

    def __iter__(self) -> Iterator[Any]:
        for batch in batches(self.data):
            yield changed(batch, told=batch["answers"], taught=batch[TARGET])
            yield changed(batch, told=batch["mixed"], taught=batch["chosen"])


@method(
    "mcd",
    family="domains",
    paper="Ruder et al., 2017",
    arxiv="1702.02052",
    survey=(92,),
    needs=("hidden", "domains"),
    space={"share": (0.02, 1.0), "mix": (0.02, 0.98)},
)
def maximum_cluster_difference(
    problem: Problem, *, domains: Tensor, share: float = 0.5, mix: float = 0.5, temperature: float = 5.0
) -> nn.Module:
    """Learn a source teacher's answers on unlabelled target rows, mixed with hard labels where it is certain.

    Choose it where the target has no labels. Steps alternate between the soft labels of all target rows and
    ``mixed_pseudo_labels`` of the share ``share`` of them with the largest ``cluster_difference`` in the teacher's
    hidden layer. domains: (N,), each node's domain, 0 for the source; all others are targets. How many rows the paper
    takes and how it mixes is unknown to us. The cross-entropy is multiplied by T^2, so that weight decay does not
    outweigh it. Costs two steps per batch; the teacher is evaluated once. Raises ValueError for a ``share`` outside (0,
    1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"'share' must be above 0 and at most 1, got {share}")
    answers = problem.view_of(problem.teacher)
    target = (domains[: problem.nodes] > 0).to(answers.device)
    difference = cluster_difference(problem.view_of(problem.teacher, "hidden"), answers).masked_fill(
        ~target, -torch.inf
    )
    chosen = torch.zeros_like(target)
    chosen[difference.topk(max(round(share * int(target.sum())), 1)).indices] = True
    data = with_domains(problem, domains)
    entries = {"answers": answers, "mixed": mixed_pseudo_labels(answers, temperature, mix), "chosen": chosen}
    rows = _InTurn(problem.with_values(data, **entries), lambda batch: batch)
    loss = temperature**2 * SoftCE(temperature, where="taught")
    return problem.train(problem.distiller(problem.student, told("told"), loss), data=rows)
