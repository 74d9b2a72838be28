"""A student that lacks something its teacher sees: text, side features, the graph itself (cross-modal)."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.rng import seeded
from graphkd.core.teachers import Cached, Frozen
from graphkd.core.view import Batch
from graphkd.losses.hidden import FitNet
from graphkd.losses.response import CE, KL


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
    fit(Distiller(student, _known(teacher, data), hint, taps={"hidden": taps}), data, **first)
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
    return fit(Distiller(student, _known(teacher, data), losses, taps={"hidden": taps}), data, **options)


def _known(teacher: nn.Module | Frozen, data: Batch) -> Frozen:
    return teacher if isinstance(teacher, Frozen) else Cached(teacher, data)
