"""The same rows under other conditions: the student sees a changed batch, the teacher the same or the clean one."""

from __future__ import annotations

from typing import Any

from torch import nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Cached, Frozen
from graphkd.core.view import Batch
from graphkd.losses.response.kd import KL
from graphkd.schemes.augment import Change, Changed, drop_edges_and_features


def function_matching(
    student: nn.Module,
    teacher: nn.Module,
    data: Batch,
    *,
    losses: Loss | None = None,
    noise: Change = drop_edges_and_features,
    **options: Any,
) -> nn.Module:
    """Both see the same changed batch, at every step another. Beyer et al., CVPR 2022, arXiv:2106.05237.

    Choose it where there is time for very many epochs and rows are few: the student is to match the function of the
    teacher, also away from the data, so that a stored view will not do; labels are not needed. losses: by default
    KL(1) on all rows. The paper's changes are crops and aggressive mixup. options go to ``fit``. A step costs a forward
    pass of the teacher.
    """
    task = Distiller(student, Frozen(teacher), KL() if losses is None else losses)
    return fit(task, Changed(data, noise), **options)


def parallel_student(
    student: nn.Module,
    teacher: nn.Module,
    data: Batch,
    *,
    losses: Loss | None = None,
    condition: Change = drop_edges_and_features,
    **options: Any,
) -> nn.Module:
    """The teacher sees the clean batch, the student the same rows as it will get them. Li et al., arXiv:1708.05466.

    Choose it where the student is to serve under worse conditions than the teacher: sampled neighbours, missing
    features, the short profile of a new user; pairs of both conditions are all it needs, no labels. losses: by default
    KL(1) on all rows, the paper's (far-field speech, ICASSP 2018, as in its adaptation at large scale, Interspeech
    2017). Its student starts as a copy of the teacher: give one where the architectures are equal. ``condition``
    changes the batch anew at every step; rows stay where they are. options go to ``fit``.
    """
    task = Distiller(student, Cached(teacher, data), KL() if losses is None else losses)
    return fit(task, Changed(data, condition), **options)
