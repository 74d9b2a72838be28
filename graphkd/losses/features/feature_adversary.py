"""A discriminator of student's and teacher's features, and a student that deceives it (portable networks)."""

from typing import Unpack

from torch import Tensor, nn
from torch.func import functional_call

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._adversarial import discrimination, fooling
from graphkd.losses._checks import check_rows
from graphkd.losses._projector import Linear, projector


class FeatureAdversary(Loss):
    """Deceive a discriminator of both models' features. Wang, Xu, Xu and Tao, AAAI 2018 (portable networks).

    The sum of two losses. ``fooling`` trains the projected student against a constant discriminator;
    ``discrimination`` trains the discriminator on constant rows of both sides. One backward pass serves both; an
    optimiser with two parameter groups can give the discriminator its own learning rate. Choose it beside labels and
    soft targets where features should be distributed as the teacher's without matching row by row as in ``FitNet``:
    ``CE() + KL(4.0) + 0.1 * FeatureAdversary(16, 64)``. student: (N, d_s), teacher: (N, d_t). A linear map d_s -> d_t
    and a discriminator with one hidden layer of width ``inner`` train with the student. We do not know the paper's
    weights. ``CAKD`` adds a hint and ``InfoNCE``.

    Example::

        >>> loss = FeatureAdversary(12, 12)
        >>> _ = nn.init.zeros_(loss.discriminator[-1].weight), nn.init.zeros_(loss.discriminator[-1].bias)
        >>> round(float(loss(torch.randn(5, 12), torch.randn(5, 12)).detach()), 3)  # it tells nothing apart: 3 log 2
        2.079
        >>> loss = graphkd.losses.CE(where="train_mask") + 0.1 * FeatureAdversary(12, 12)
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    on = "hidden"

    def __init__(self, student_width: int, teacher_width: int, *, inner: int = 64, **reads: Unpack[Reads]) -> None:
        super().__init__(**reads)
        self.projector = projector(student_width, teacher_width)
        self.discriminator = nn.Sequential(
            Linear(teacher_width, inner, side="teacher"), nn.LeakyReLU(0.2), Linear(inner, 1)
        )

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        check_rows(student, teacher)
        return self.play(self.projector(student), teacher)

    def play(self, shown: Tensor, teacher: Tensor) -> Tensor:
        """Sum the losses of student and discriminator on projected and teacher's rows: (N, d_t) each -> scalar."""
        constant = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        fooled = functional_call(self.discriminator, constant, (shown,)).flatten()
        own, taught = (self.discriminator(rows.detach()).flatten() for rows in (shown, teacher))
        return fooling(fooled) + discrimination(own, taught)


@method(
    "feature_adversary",
    family="features",
    paper="Wang et al., AAAI 2018",
    survey=(21, 78, 126),
    tasks=("rows",),
    needs=("hidden",),
)
def feature_adversary_method(
    problem: Problem, *, weight: float = 0.1, temperature: float = 4.0, inner: int = 64
) -> Loss:
    """Deceive a discriminator of hidden features, beside labels and soft targets.

    Choose it where features should be distributed as the teacher's without matching them row by row. We do not know the
    paper's weights.
    """
    adversary = FeatureAdversary(*problem.widths, inner=inner)
    return problem.supervised() + problem.soft(temperature) + weight * adversary
