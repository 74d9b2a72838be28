"""Factors: the teacher's features as an auto-encoder encodes them, and the student's translated into them."""

from itertools import pairwise
from typing import Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import absolute_powers, unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_rows
from graphkd.losses._projector import Linear

_SLOPE = 0.1  # of the authors' leaky ReLUs


def _layers(*widths: int) -> nn.Sequential:
    """Linear maps, each followed by a leaky ReLU."""
    return nn.Sequential(*(layer for a, b in pairwise(widths) for layer in (Linear(a, b), nn.LeakyReLU(_SLOPE))))


class Paraphraser(nn.Module):
    """Encode a teacher's features as factors and decode them: (N, d_t) -> factors (N, rate d_t) -> (N, d_t).

    Example::

        >>> paraphraser = Paraphraser(8, rate=0.25)
        >>> tuple(paraphraser.encoder(data.x).shape), tuple(paraphraser(data.x).shape)
        ((48, 2), (48, 8))
    """

    def __init__(self, width: int, rate: float = 0.5) -> None:
        super().__init__()
        self.factors = max(1, round(rate * width))
        self.encoder = _layers(width, width, self.factors, self.factors)
        self.decoder = _layers(self.factors, self.factors, width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct features: (N, d_t) -> (N, d_t)."""
        return self.decoder(self.encoder(x))


def factor_transfer(student: Tensor, teacher: Tensor, power: float = 1.0, *, collapse: float | None = None) -> Tensor:
    """Average |.|^power of the difference of unit-norm factors, flattened for each object: (N, ...) twice -> scalar.

    ``collapse=p`` first averages x^p over the last dimension, (N, positions, d) -> (N, positions). RepDistiller calls
    this factor transfer too; it is attention transfer with an L1 distance.

    Example::

        >>> s = torch.tensor([[2.0, 0.0]])
        >>> factor_transfer(s, torch.tensor([[0.0, 7.0]]))  # (|1 - 0| + |0 - 1|) / 2
        tensor(1.)
        >>> factor_transfer(s, 9 * s)  # lengths do not count
        tensor(0.)
    """
    check_rows(student, teacher)
    if collapse is not None:
        if student.dim() < 3:
            raise ValueError(f"'student' must have shape (N, positions, d) to collapse, got {tuple(student.shape)}")
        student, teacher = (x.to(accumulation_dtype(x)).pow(collapse).mean(dim=-1) for x in (student, teacher))
    s, t = (unit_vectors(x.flatten(1)) for x in (student, teacher))
    if s.shape != t.shape:
        raise ValueError(f"'teacher' must have {s.size(1)} factors, as 'student', got {t.size(1)}")
    return absolute_powers(s - t, power).sum() / max(s.numel(), 1)


class FT(Loss):
    """Match what an auto-encoder keeps of the teacher (factor transfer). Kim et al., NeurIPS 2018, arXiv:1802.04977.

    mean_ik | F^s_ik / |F^s_i|_2 - F^t_ik / |F^t_i|_2 |^p with F^t = ``paraphraser.encoder(t)`` and F^s =
    ``translator(s)``, of width rate d_t; student: (N, d_s), teacher: (N, d_t). Call ``fit_paraphraser`` on the
    teacher's features before training; afterwards the paraphraser is frozen, and saved in the ``state_dict``. The
    translator trains with the student. Both are three linear layers with leaky ReLUs; the authors use convolutions. As
    in their code the mean is over entries (the paper has the norm), without batch norm. Their weight is 500.

    Example::

        >>> loss, features = FT(12, 8, rate=0.25), torch.randn(48, 8)
        >>> error = loss.fit_paraphraser(features)  # the teacher's
        >>> tuple(loss.translator(torch.randn(48, 12)).shape), tuple(loss.paraphraser.encoder(features).shape)
        ((48, 2), (48, 2))
        >>> any(each.requires_grad for each in loss.paraphraser.parameters())
        False
        >>> result = graphkd.distil("ft", student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self, student_width: int, teacher_width: int, *, rate: float = 0.5, power: float = 1.0, **reads: Unpack[Reads]
    ) -> None:
        super().__init__(**reads)
        self.power = power
        self.paraphraser = Paraphraser(teacher_width, rate).requires_grad_(False)
        factors = self.paraphraser.factors
        self.translator = _layers(student_width, student_width, factors, factors)

    def fit_paraphraser(
        self, features: Tensor, *, epochs: int = 5, batch_size: int = 128, lr: float = 1e-3, weight_decay: float = 5e-4
    ) -> float:
        """Train the paraphraser to reconstruct a teacher's features (N, d_t), and freeze it.

        Minimises the L1 error, as the authors do, by Adam, unlike them. Moves the paraphraser to the features' device.
        Returns the mean error of the last epoch.
        """
        features, total = features.detach(), 0.0
        self.paraphraser.to(features.device).requires_grad_(True)
        optimizer = torch.optim.Adam(self.paraphraser.parameters(), lr=lr, weight_decay=weight_decay)
        for _ in range(epochs):
            total = 0.0
            for rows in torch.randperm(features.size(0), device=features.device).split(batch_size):
                error = F.l1_loss(self.paraphraser(features[rows]), features[rows])
                optimizer.zero_grad()
                error.backward()
                optimizer.step()
                total += float(error.detach()) * rows.size(0)
        self.paraphraser.requires_grad_(False)
        return total / max(features.size(0), 1)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        with torch.no_grad():
            factors = self.paraphraser.encoder(teacher)
        return factor_transfer(self.translator(student), factors, self.power)


@method(
    "ft",
    family="features",
    paper="Kim et al., NeurIPS 2018",
    arxiv="1802.04977",
    survey=(57,),
    needs=("hidden",),
    space={"rate": (0.1, 2.0)},
)
def ft_method(problem: Problem, *, weight: float = 500.0, rate: float = 0.5) -> Loss:
    """Match what an auto-encoder keeps of the teacher's hidden rows, beside the labels.

    Choose it where the teacher's features are wide and redundant: an auto-encoder, trained on them first, reduces them
    to ``rate`` of their width.
    """
    loss = FT(*problem.widths, rate=rate)
    loss.fit_paraphraser(problem.view_of(problem.teacher, "hidden"))
    return problem.supervised() + weight * loss
