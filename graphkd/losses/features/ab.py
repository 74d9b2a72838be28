"""Activation boundaries: which hidden units fire (AB)."""

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads, Sum
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._batch_norm import BatchNorm
from graphkd.losses._checks import check_same_shape, check_widths
from graphkd.losses._projector import Linear


def activation_boundaries(student: Tensor, teacher: Tensor, margin: float = 1.0) -> Tensor:
    """Sum squared hinges against the teacher's signs, mean over rows: (N, d), (N, d) -> scalar; see ``AB``."""
    check_same_shape(student, teacher, "; AB(student_width, teacher_width) connects the student")
    wide = student.to(accumulation_dtype(student))
    towards = torch.where(teacher > 0, wide, -wide)
    return (margin - towards).clamp_min(0).square().sum() / max(wide[..., 0].numel(), 1)


class AB(Loss):
    """Match which hidden units fire (activation boundaries). Heo et al., AAAI 2019, arXiv:1811.03233.

    mean_i sum_k max(0, m - s_ik)^2 where t_ik > 0, max(0, m + s_ik)^2 elsewhere, m the ``margin``, on pre-activations;
    student: (N, d_s), teacher: (N, d_t). With both widths given, a connector (linear without bias, batch norm) d_s ->
    d_t trains with the student; otherwise the widths must agree. The paper uses it alone in a first stage and trains
    the student on labels alone afterwards. ``AB.layers`` sums several layers as the authors do.

    Example::

        >>> t = torch.tensor([[0.1, -0.1]])
        >>> AB()(torch.tensor([[2.0, -3.0]]), t)  # on the teacher's sides, by the margin of 1
        tensor(0.)
        >>> AB()(torch.zeros(1, 2), t)
        tensor(2.)
        >>> result = graphkd.distil("ab", student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int | None = None,
        teacher_width: int | None = None,
        *,
        margin: float = 1.0,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        check_widths(student_width, teacher_width)
        self.margin = margin
        self.connector = (
            nn.Sequential(Linear(student_width, teacher_width, bias=False), BatchNorm(teacher_width))
            if student_width is not None and teacher_width is not None
            else nn.Identity()
        )

    @classmethod
    def layers(cls, entries: Sequence[str], **options: Any) -> Sum:
        """Sum layers, named from first to deepest: weight 3 / 1000 for the deepest, each layer before half the next."""
        depth = len(entries) - 1
        return Sum([(3e-3 * 0.5 ** (depth - n), cls(on=on, **options)) for n, on in enumerate(entries)])

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return activation_boundaries(self.connector(student), teacher, self.margin)


@method(
    "ab",
    family="features",
    paper="Heo et al., AAAI 2019",
    arxiv="1811.03233",
    survey=(58,),
    tasks=("rows",),
    needs=("hidden",),
)
def ab_method(problem: Problem, *, margin: float = 1.0) -> nn.Module:
    """Match which hidden units fire in a first stage, then learn the labels alone.

    Choose it where the student lacks a good start: the teacher is used in the first stage only. ``hidden`` should be a
    layer before its activation. The first stage runs to its last epoch.
    """
    loss = AB(*problem.widths, margin=margin)
    problem.train(problem.distiller(problem.student, problem.teacher, loss), "boundaries", choose=False)
    return problem.train(problem.distiller(problem.student, None, problem.supervised()), "labels")
