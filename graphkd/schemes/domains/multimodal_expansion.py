"""Students and teachers that see different things: text, side features, the graph itself (cross-modal)."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.distiller import Distiller, Step
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.rng import seeded
from graphkd.core.teachers import Frozen, cached
from graphkd.core.view import Batch
from graphkd.losses.features.fitnet import FitNet
from graphkd.losses.response.ce import CE
from graphkd.losses.response.consistency import consistency
from graphkd.losses.response.kd import KL
from graphkd.losses.response.pseudo_label import PseudoLabel
from graphkd.schemes.augment import Change, drop_edges_and_features


def supervision_transfer(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    data: Batch,
    taps: tuple[str, str],
    widths: tuple[int, int],
    *,
    finetune: Loss | None = None,
    **options: Any,
) -> nn.Module:
    """Hidden features of one modality into another, then labels. Gupta, Hoffman and Malik, CVPR 2016, arXiv:1507.00448.

    Choose it where many objects have both modalities and few have labels: the first stage needs pairs only. It brings
    the student's layer to the teacher's behind a linear map (``FitNet``) on all rows, to its last epoch; the second
    trains on ``finetune``, by default CE(where="train_mask"). Both models are called by the names of their inputs in
    the batch, which may differ. taps: (student path, teacher path); widths: of both layers. options go to ``fit``.
    """
    with seeded(options.get("seed", 0)):
        hint = FitNet(*widths)
    first = {**options, "metric": None, "patience": None}
    fit(Distiller(student, cached(teacher, data), hint, taps={"hidden": taps}), data, **first)
    return fit(Distiller(student, losses=CE(where="train_mask") if finetune is None else finetune), data, **options)


def hallucination(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    data: Batch,
    taps: tuple[str, str],
    widths: tuple[int, int],
    *,
    share: float = 0.5,
    weight: float = 0.5,
    temperature: float = 4.0,
    **options: Any,
) -> nn.Module:
    """Make up the features of what is missing, and learn the answers. Garcia, Morerio and Murino, ECCV 2018.

    Choose it where the missing modality is there in training and not when the student serves:
    (1 - share) FitNet + share ((1 - weight) CE(where="train_mask") + weight KL(temperature)), generalised distillation.
    The paper's numbers are unknown to us, and so are these; its distance has a sigmoid, ours a linear map. taps,
    widths, options: see ``supervision_transfer``. arXiv:1806.07110.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"'share' must be in [0, 1], got {share}")
    with seeded(options.get("seed", 0)):
        answers = (1 - weight) * CE(where="train_mask") + weight * KL(temperature)
        losses = (1 - share) * FitNet(*widths) + share * answers
    return fit(Distiller(student, cached(teacher, data), losses, taps={"hidden": taps}), data, **options)


class SteadyDistiller(Distiller):
    """A distiller whose student is to answer alike when its batch is changed.

    The losses plus weight mean_i |softmax(s_i) - softmax(s'_i)|^2, s' the student's logits on ``change(batch)``, drawn
    anew at every step; both have gradients. Costs two more forward and backward passes of the student.
    """

    def __init__(self, *arguments: Any, change: Change, weight: float = 1.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.change, self.weight = change, weight

    def forward(self, batch: Batch) -> Step:
        """The sum; a further term ``steady``."""
        loss, terms = super().forward(batch)
        one, other = (self._viewer(seen)["logits"] for seen in (batch, self.change(batch)))
        steady = consistency(one, other) * one.size(-1) / max(one.size(0), 1)
        return Step(loss + self.weight * steady, {**terms, "steady": steady.detach()})


def multimodal_expansion(
    student: nn.Module,
    teacher: nn.Module | Frozen,
    data: Batch,
    *,
    gamma: float = 1.0,
    change: Change = drop_edges_and_features,
    losses: Loss | None = None,
    **options: Any,
) -> nn.Module:
    """A teacher of one modality labels rows for a student of several. Xue, Ren, Gao and Zhao, ICCV 2021.

    Choose it where labels exist for one modality, a second one comes in unlabelled (text beside interactions, say), and
    the student is to surpass its teacher: pseudo-labels carry the task over, ``gamma`` times the consistency of
    ``SteadyDistiller`` keeps the student from their mistakes. Both models are called by the names of their inputs in
    the batch. losses: by default CE(where="train_mask") and the hard ``PseudoLabel`` of all other rows; the paper has
    the latter alone, and its gamma is not known to us. options go to ``fit``. arXiv:2103.14431.
    """
    if losses is None:
        losses = CE(where="train_mask") + PseudoLabel(0.0, where="~train_mask")
    task = SteadyDistiller(student, cached(teacher, data), losses, change=change, weight=gamma)
    return fit(task, data, **options)
