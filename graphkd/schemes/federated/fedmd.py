"""FedMD: clients digest the consensus of all about public rows.

Li and Wang, "FedMD: Heterogenous Federated Learning via Model Distillation", 2019, arXiv:1910.03581.
"""

from __future__ import annotations

from typing import Any, get_args

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_same_shape, choose
from graphkd.schemes.federated._rounds import federated, labelled_rows
from graphkd.schemes.federated.rule import Received, Rule
from graphkd.schemes.teachers._combine import Average, soft_target


def rule(average: Average = "logits", transfer: Loss | None = None, *, revisit: bool = True) -> Rule:
    """Make FedMD's rule, see ``fedmd``; ``transfer``: the loss of labels on public rows, all of them labelled."""
    choose("average", average, get_args(Average))

    def fused(received: Received) -> Tensor:
        target = soft_target(received.answers, average=average)
        return target if average == "logits" else target - target.mean(dim=-1, keepdim=True)

    return Rule("answers", fuse=fused, client=LogitMAE(), transfer=transfer, revisits=revisit)


@method("fedmd-probabilities", preset={"average": "probabilities"})
@method(
    "fedmd",
    family="federated",
    paper="Li and Wang, 2019",
    arxiv="1910.03581",
    survey=(120,),
    needs=("clients", "public"),
)
def fedmd(
    problem: Problem,
    *,
    public: Any,
    rounds: int = 5,
    local_epochs: int = 40,
    distil_epochs: int = 200,
    average: Average = "logits",
    transfer: bool = False,
    revisit: bool = True,
) -> nn.Module:
    """Train every client on its own data, and on the mean of all clients' logits on public rows.

    Choose it where weights must not leave the clients or cannot be averaged. ``public``: one batch of rows that all
    see. ``average``: of "logits", or of "probabilities" (their logarithm, centred at 0 as logits are; not the paper's),
    see ``feddf``. ``transfer``: clients first learn the labels of the public rows for ``distil_epochs``, and all rows
    must have one; the paper's clients do so, which makes their logits alike. ``revisit``: clients learn their own data
    once more after the last target, as after every other one; they get better on rows like their own, and worse on
    others. A round costs each client ``local_epochs`` on its data and ``distil_epochs`` on ``public``. Returns the
    clients' models as one, ``Together``, whose answer is the logarithm of their mean probabilities; its ``models`` are
    theirs. All public rows are answered in every round, where the authors draw some.
    """
    labels = problem.supervised() if transfer else None
    public = labelled_rows(problem, public) if transfer else public
    return federated(problem, rule(average, labels, revisit=revisit), rounds, local_epochs, distil_epochs, public)


def logit_mae(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute the mean absolute difference of logits, over all entries: (N, C), (N, C) -> scalar; see ``LogitMAE``."""
    check_same_shape(student, teacher)
    return (student - teacher).abs().sum() / max(student.numel(), 1)


class LogitMAE(Loss):
    """Match a consensus of logits, (1/NC) sum |s - t|. Li and Wang, 2019, arXiv:1910.03581 (FedMD).

    student, teacher: (N, C). As in the authors' Keras code; the teacher is the plain mean of all clients' logits, the
    student's own included.
    """

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        return logit_mae(student, teacher)
