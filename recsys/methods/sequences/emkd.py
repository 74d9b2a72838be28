"""EMKD: an ensemble of masked models that contrast copies of sequences and teach one another."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.losses._checks import check_positive, choose
from recsys.methods._sequential import SequentialProblem
from recsys.methods.sequences._masked import MaskedPeers, Weights
from recsys.models.bert4rec import BERT4Rec

Serve = Literal["mean", "first"]


@method(
    "emkd",
    family="sequences",
    paper="Du et al., SIGIR 2023",
    arxiv="2304.14668",
    tasks=("sequential",),
    needs=("masked student",),
    teacher=False,
    space={"mask": (0.05, 0.6)},
)
def ensemble_modelling(
    problem: SequentialProblem,
    *,
    count: int = 3,
    copies: int = 8,
    mask: float = 0.15,
    tau: float = 0.3,
    mutual: float = 0.001,
    contrast: float = 0.01,
    attributes: Tensor | None = None,
    serve: Serve = "mean",
) -> nn.Module:
    """Train several masked models that teach one another; choose it where no teacher is at hand, but time to train is.

    ``count`` networks like the student, a BERT4Rec, start from different weights and fill in the masked items in
    ``copies`` masked copies of each stretch. At masked places each network learns the others' distributions (times
    ``mutual``, both at the temperature ``tau``, without a factor tau^2). Copies of one stretch are drawn together,
    those of different stretches apart, within a network and across networks (times ``contrast``). mask: the probability
    that a place is masked. attributes: (I, A), 0 or 1 for every item, padding first; they are predicted at the masked
    places of the last copy. serve: the networks' "mean" score, as in the paper, which is as large as all networks, or
    the "first" network, which is as small as the student. Defaults are the authors' for Beauty and Toys. This loss
    replaces the task's; with drawn negatives, items are predicted among these. count=1 with contrast=0 is BERT4Rec
    alone. The authors' code ranks all items but the history's; here the task decides. Costs count (copies + 1) passes a
    step.
    """
    choose("serve", serve, get_args(Serve))
    if not isinstance(problem.student, BERT4Rec):
        raise TypeError(
            "'emkd' masks items on both sides of others: give 'student' as recsys.models.BERT4Rec(num_items, width, "
            f"max_length=...), got {type(problem.student).__name__}"
        )
    if min(count, copies) < 1 or not 0 < mask < 1:
        got = f"{count}, {copies} and {mask}"
        raise ValueError(f"'count' and 'copies' must be at least 1 and 'mask' between 0 and 1, got {got}")
    weights = Weights(check_positive("tau", tau), mutual, contrast)
    networks = [problem.student, *(problem.fresh_student(number) for number in range(1, count))]
    peers = MaskedPeers(networks, weights, copies=copies, share=mask, attributes=_of_items(problem, attributes))
    batches = problem.task.batches(problem.data.train, {}, "positions")

    def served(student: Any) -> nn.Module:
        chosen: nn.Module = student if serve == "mean" else student.models[0]
        return chosen

    found: nn.Module = problem.train(peers.to(problem.device), data=batches, serve=served)
    return found


def _of_items(problem: SequentialProblem, attributes: Tensor | None) -> Tensor | None:
    """Convert attributes to numbers; ValueError unless there is a row of 0 and 1 for every item."""
    if attributes is None:
        return None
    size = problem.data.num_items
    if attributes.dim() != 2 or attributes.size(0) != size or not bool(((attributes == 0) | (attributes == 1)).all()):
        raise ValueError(
            f"'attributes' must be ({size}, A) of 0 and 1, a row an item with padding first, got "
            f"{tuple(attributes.shape)}"
        )
    return attributes.to(torch.get_default_dtype())
