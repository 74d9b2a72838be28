"""Anomaly detection by students that know a teacher on ordinary rows only: where they fail, or disagree, is anomalous.

Bergmann, Fauser, Sattlegger and Steger, "Uninformed Students: Student-Teacher Anomaly Detection with Discriminative
Latent Embeddings", CVPR 2020, arXiv:1911.02357.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.view import Taps
from graphkd.kernels.norms import deviations
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses.features.feature_distance import FeatureDistance
from graphkd.schemes._together import jointly, logits_of
from graphkd.schemes.augment import told
from graphkd.schemes.teachers._combine import check_stack


def _gaps(students: Tensor, teacher: Tensor) -> Tensor:
    check_stack(students)
    if teacher.shape != students.shape[1:]:
        raise ValueError(f"'teacher' must have shape {tuple(students.shape[1:])}, got {tuple(teacher.shape)}")
    return students.to(accumulation_dtype(students)) - teacher.to(accumulation_dtype(teacher))


def uninformed_students(students: Tensor, teacher: Tensor) -> Tensor:
    """Let each student regress the teacher: (M, N, d), (N, d) -> scalar. Bergmann et al., CVPR 2020, arXiv:1911.02357.

    sum_m mean_i |s_mi - t_i|^2; the students differ in initial weights (or in depth), and the teacher's features are
    standardised over ordinary rows, (t - mean) / std. Rows are nodes, users or ratings here, pixels in the paper.
    """
    return _gaps(students, teacher).square().sum() / max(students.size(1), 1)


def regression_error(students: Tensor, teacher: Tensor) -> Tensor:
    """Measure how far the students' mean is from the teacher, |mean_m s_mi - t_i|^2: (M, N, d), (N, d) -> (N,)."""
    return _gaps(students, teacher).mean(dim=0).square().sum(dim=-1)


def predictive_uncertainty(students: Tensor) -> Tensor:
    """Measure how far the students are from each other, mean_m |s_mi|^2 - |mean_m s_mi|^2: (M, N, d) -> (N,)."""
    check_stack(students)
    students = students.to(accumulation_dtype(students))
    return (students - students.mean(dim=0)).square().sum(dim=-1).mean(dim=0)


def anomaly_score(
    students: Tensor, teacher: Tensor, error: Sequence[float | Tensor], uncertainty: Sequence[float | Tensor]
) -> Tensor:
    """Add standardised ``regression_error`` and standardised ``predictive_uncertainty``: (M, N, d), (N, d) -> (N,).

    error, uncertainty: (mean, standard deviation) of these two over held-out ordinary rows.
    """
    one, other = regression_error(students, teacher), predictive_uncertainty(students)
    return (one - error[0]) / error[1] + (other - uncertainty[0]) / uncertainty[1]


class Uninformed(nn.Module):
    """Detector made of students and their teacher: ``anomaly_score`` of every row, (N,).

    ``forward`` takes the union of the models' arguments, by name or by place. hidden: tap path of the teacher's
    features. All statistics are buffers; call ``calibrate``, which sets them, before use.
    """

    mean: Tensor
    deviation: Tensor
    error: Tensor
    uncertainty: Tensor

    def __init__(self, students: Sequence[nn.Module], teacher: nn.Module, hidden: str) -> None:
        super().__init__()
        self.students, self.teacher, self.hidden = nn.ModuleList(students), teacher.requires_grad_(False), hidden
        for name, size in (("mean", 0), ("deviation", 0), ("error", 2), ("uncertainty", 2)):
            self.register_buffer(name, torch.zeros(size))

    def calibrate(self, features: Tensor, answers: Tensor, known: Tensor, held: Tensor) -> None:
        """Standardise by ordinary rows: features (N, d) over ``known``, errors and uncertainties over ``held``.

        answers: (M, N, d), of students that learnt the standardised features. known, held: masks (N,) of ordinary rows.
        """
        self.mean, self.deviation = standardisation(features[known])
        target = (features - self.mean) / self.deviation
        self.error = torch.stack(standardisation(regression_error(answers, target)[held]))
        self.uncertainty = torch.stack(standardisation(predictive_uncertainty(answers)[held]))

    @property
    def forward(self) -> Callable[..., Tensor]:  # type: ignore[override]
        """Return a ``forward`` with the arguments of all models, so that it can be filled by name -> (N,)."""
        return jointly([*self.students, self.teacher], self._score)

    def _score(self, ask: Callable[[], list[Any]]) -> Tensor:
        with Taps(self.teacher, {"hidden": self.hidden}).watch() as seen:
            answers = [logits_of(answer) for answer in ask()[:-1]]
        features = seen.take()["hidden"]
        target = (features - self.mean) / self.deviation
        return anomaly_score(torch.stack(answers), target, tuple(self.error), tuple(self.uncertainty))


def standardisation(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation over rows, the latter 1 where all rows are equal, up to rounding."""
    found = deviations(rows, 0).square().mean(dim=0).sqrt()
    return rows.mean(dim=0), torch.where(found > 0, found, 1).to(rows.dtype)


@method(
    "uninformed",
    family="semi",
    paper="Bergmann et al., CVPR 2020",
    arxiv="1911.02357",
    survey=(86,),
    tasks=("anomaly_detection",),
    needs=("hidden",),
    cannot={"ensemble": "what serves holds a copy of its teacher"},
    space={"held_out": (0.05, 0.8)},
)
def uninformed(problem: Problem, *, students: int = 3, held_out: float = 0.2) -> nn.Module:
    """Train students that know the teacher on ordinary rows only, and score rows by their errors and disagreement.

    Choose it where ordinary rows are known and anomalies are not, and a teacher knows such rows well. Each of
    ``students`` students regresses, on ordinary rows, the teacher's hidden features, standardised over these rows
    (``uninformed_students``, student by student). On other rows they err and disagree, which ``anomaly_score``
    measures; it standardises errors and uncertainties over the share ``held_out`` of the ordinary rows, on which no
    student is trained. A student's output must be as wide as the teacher's hidden layer. Returns an ``Uninformed``,
    which contains all students and the teacher. Costs ``students`` trainings. Raises ValueError for fewer than one
    student.
    """
    if students < 1:
        raise ValueError(f"'students' must be at least 1, got {students}")
    features = problem.view_of(problem.teacher, "hidden")
    known, held = (mask.to(features.device) for mask in problem.split(held_out))
    mean, deviation = standardisation(features[known])
    data = problem.with_values(target=(features - mean) / deviation, ordinary=known)
    loss, models = FeatureDistance("l2", on="logits", where="ordinary"), []
    for number in range(students):
        model = problem.fresh_student(number) if number else problem.student
        learning, seed = problem.distiller(model, told("target"), loss), problem.seed + number
        models.append(problem.train(learning, f"student-{number + 1}", data, choose=False, seed=seed))
    both = Uninformed(models, problem.teacher_to_train(), str(problem.path_of(problem.teacher)))
    answers = torch.stack([problem.view_of(model) for model in models])
    both.calibrate(features, answers, known, held)
    return both.to(answers.device)
