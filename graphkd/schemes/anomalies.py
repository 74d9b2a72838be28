"""Students that know a teacher on ordinary rows only: where they fail, or disagree, is what is not ordinary."""

from __future__ import annotations

from torch import Tensor

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
