"""A critic that tells a student's features from its teacher's, and a student that deceives it (portable networks)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call

from graphkd.core.loss import Loss
from graphkd.losses._adversarial import discrimination, fooling
from graphkd.losses._checks import check_rows
from graphkd.losses._projector import projector


class FeatureAdversary(Loss):
    """The student's hidden features pass for the teacher's. Wang, Xu, Xu and Tao, AAAI 2018 ("portable networks").

    ``fooling`` of a discriminator, held constant, by the projected student's rows, plus ``discrimination`` of both
    sides' rows, held constant, by the discriminator, which trains along: one backward pass for both, and an optimiser
    with two groups gives the discriminator a rate of its own. Choose it beside labels and soft targets where features
    should be distributed as the teacher's, without being bound to them row by row as by ``FitNet``:
    ``CE() + KL(4.0) + 0.1 * FeatureAdversary(16, 64)``. student: (N, d_s), teacher: (N, d_t), a linear map d_s -> d_t
    and a critic of one hidden layer of ``inner``; the paper's weights are not known to us. With a hint and ``InfoNCE``
    it makes up CAKD (Xu et al., Neurocomputing 2022), as far as we know it.
    """

    on = "hidden"

    def __init__(
        self,
        student_width: int,
        teacher_width: int,
        *,
        inner: int = 64,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.projector = projector(student_width, teacher_width)
        self.discriminator = nn.Sequential(nn.Linear(teacher_width, inner), nn.LeakyReLU(0.2), nn.Linear(inner, 1))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        check_rows(student, teacher)
        shown = self.projector(student)
        constant = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        fooled = functional_call(self.discriminator, constant, (shown,)).flatten()
        own, taught = (self.discriminator(rows.detach()).flatten() for rows in (shown, teacher))
        return fooling(fooled) + discrimination(own, taught)
