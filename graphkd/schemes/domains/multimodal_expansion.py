"""Rows labelled by a teacher of one kind of input for a student of several (cross-modal).

Xue, Ren, Gao and Zhao, "Multimodal Knowledge Expansion", ICCV 2021, arXiv:2103.14431.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from graphkd.core.distiller import Distiller, Step
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.view import Batch
from graphkd.losses.response.consistency import consistency
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.schemes.augment import Change, mask_features


class SteadyDistiller(Distiller):
    """Distiller whose student must answer alike when its batch is changed.

    The losses plus weight mean_i |softmax(s_i) - softmax(s'_i)|^2, s' the student's logits on ``change(batch)``, drawn
    anew at every step; both have gradients. change: batch -> changed batch with the same rows; other arguments are
    those of ``Distiller``. Costs two more forward and backward passes of the student.
    """

    def __init__(self, *arguments: Any, change: Change, weight: float = 1.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.change, self.weight = change, weight

    def forward(self, batch: Batch) -> Step:
        """Compute the sum, with a further term ``steady``."""
        loss, terms = super().forward(batch)
        one, other = (self._viewer(seen)["logits"] for seen in (batch, self.change(batch)))
        steady = consistency(one, other) * one.size(-1) / max(one.size(0), 1)
        self.note({"steady": self.weight * steady})
        return Step(loss + self.weight * steady, {**terms, "steady": steady.detach()})


@method(
    "multimodal_expansion",
    family="domains",
    paper="Xue et al., ICCV 2021",
    arxiv="2103.14431",
    survey=(143,),
    needs=("modality",),
    space={"rate": (0.02, 0.8)},
)
def multimodal_expansion(
    problem: Problem, *, modality: Tensor, gamma: float = 1.0, rate: float = 0.2, threshold: float = 0.0
) -> nn.Module:
    """Let a teacher of one kind of input label rows for a student of two kinds.

    Choose it where the second input has no labels of its own, such as text beside interactions. The student learns the
    labels and, on all other rows, the teacher's classes of confidence at least ``threshold``; the paper has the latter
    alone. ``gamma`` times the consistency of ``SteadyDistiller``, between features and the same features with the share
    ``rate`` masked, keeps the student from the teacher's mistakes, so that it can surpass the teacher; the paper's
    gamma is not known to us. ``modality``: (N, F) by node id, the second input; batches have it under this name, for a
    student with ``forward(x, modality)`` or a ``call`` that reads it. Raises ValueError for a ``modality`` with too few
    rows.
    """
    if modality.dim() < 2 or modality.size(0) < problem.nodes:
        raise ValueError(
            f"'modality' must hold a row for each of {problem.nodes} nodes, (N, F), got {tuple(modality.shape)}"
        )
    # validation calls the student on the run's data, which therefore need its second input
    problem.data = problem.with_values(modality=modality)
    losses = problem.supervised() + PseudoLabel(threshold, where=f"~{problem.labelled}")
    change, call = partial(mask_features, rate=rate), problem.call_of(problem.student)
    steady = SteadyDistiller(problem.student, problem.teacher, losses, change=change, weight=gamma, call=call)
    return problem.train(steady)
