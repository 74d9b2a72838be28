"""Students that know a teacher on ordinary rows only: where they fail, or disagree, is what is not ordinary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch
from graphkd.losses.features.feature_distance import FeatureDistance
from graphkd.schemes.architecture import hidden_of
from graphkd.schemes.augment import changed, told
from graphkd.schemes.weights import check_stack


def _gaps(students: Tensor, teacher: Tensor) -> Tensor:
    check_stack(students)
    if teacher.shape != students.shape[1:]:
        raise ValueError(f"'teacher' must have shape {tuple(students.shape[1:])}, got {tuple(teacher.shape)}")
    return students - teacher


def uninformed_students(students: Tensor, teacher: Tensor) -> Tensor:
    """Each student regresses the teacher: (M, N, d), (N, d) -> scalar. Bergmann et al., CVPR 2020, arXiv:1911.02357.

    sum_m mean_i |s_mi - t_i|^2; the students differ in how they start (or in depth), and the teacher's features are
    standardised over ordinary rows, (t - mean) / std. Per node, user or rating here, per pixel in the paper.
    """
    return _gaps(students, teacher).square().sum() / max(students.size(1), 1)


def regression_error(students: Tensor, teacher: Tensor) -> Tensor:
    """How far the students' mean is from the teacher, |mean_m s_mi - t_i|^2: (M, N, d), (N, d) -> (N,)."""
    return _gaps(students, teacher).mean(dim=0).square().sum(dim=-1)


def predictive_uncertainty(students: Tensor) -> Tensor:
    """How far the students are from each other, mean_m |s_mi|^2 - |mean_m s_mi|^2: (M, N, d) -> (N,)."""
    check_stack(students)
    return (students - students.mean(dim=0)).square().sum(dim=-1).mean(dim=0)


def anomaly_score(
    students: Tensor,
    teacher: Tensor,
    error: tuple[float | Tensor, float | Tensor],
    uncertainty: tuple[float | Tensor, float | Tensor],
) -> Tensor:
    """Standardised ``regression_error`` plus standardised ``predictive_uncertainty``: (M, N, d), (N, d) -> (N,).

    ``error`` and ``uncertainty`` are mean and standard deviation of each over held-out ordinary rows.
    """
    one, other = regression_error(students, teacher), predictive_uncertainty(students)
    return (one - error[0]) / error[1] + (other - uncertainty[0]) / uncertainty[1]


def uninformed_scores(
    students: Sequence[nn.Module],
    teacher: nn.Module,
    data: Batch,
    hidden: str,
    *,
    ordinary: str = "train_mask",
    held_out: str = "val_mask",
    **options: Any,
) -> Tensor:
    """Train uninformed students on ordinary rows, and score all rows. Bergmann et al., CVPR 2020, arXiv:1911.02357.

    Choose it where ordinary rows are known and anomalies are not, and there is a teacher that knows such rows well: its
    features at ``hidden`` (a tap path), standardised over the rows ``ordinary``, are what every student regresses
    there, ``uninformed_students`` student by student. Elsewhere they err and disagree: ``anomaly_score``, its errors
    and uncertainties standardised over the ordinary rows ``held_out``. students: show (N, d), d the teacher's width.
    options go to ``fit``; the seed of student m is m above. -> (N,).
    """
    options.setdefault("seed", 0)
    seed, target = options.pop("seed"), hidden_of(teacher, hidden, data)
    known = target[data[ordinary]]
    tiny = torch.finfo(target.dtype).eps
    target = (target - known.mean(dim=0)) / known.std(dim=0, correction=0).clamp_min(tiny)
    loss, batch = FeatureDistance("l2", on="logits", where=ordinary), changed(data, target=target)
    for number, student in enumerate(students):
        fit(Distiller(student, told("target"), loss), batch, seed=seed + number, **options)
    with torch.no_grad():
        answers = torch.stack([Frozen(student)(data)["logits"] for student in students])
    rows = data[held_out]
    found = regression_error(answers, target)[rows], predictive_uncertainty(answers)[rows]
    (one, other) = ((values.mean(), values.std(correction=0).clamp_min(tiny)) for values in found)
    return anomaly_score(answers, target, one, other)
