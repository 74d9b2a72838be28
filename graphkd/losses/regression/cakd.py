"""A hint, a contrast and an adversary of hidden features, for regression (CAKD)."""

from typing import Unpack

from torch import Tensor

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses._checks import check_rows
from graphkd.losses.features.feature_adversary import FeatureAdversary
from graphkd.losses.features.fitnet import fitnet
from graphkd.losses.information.info_nce import info_nce


class CAKD(FeatureAdversary):
    """Match hidden features for regression by a hint, a contrast and an adversary. Xu et al., Neurocomputing 2022.

    A linear map d_s -> d_t projects the student's rows. The loss is FitNet's mean squared difference, plus ``contrast``
    times ``info_nce`` at ``temperature``, plus ``adversary`` times ``FeatureAdversary``, whose discriminator has one
    hidden layer of width ``inner``. student: (N, d_s), teacher: (N, d_t). We do not know the paper's formula and
    weights; these are its parts with our weights.

    Example::

        >>> loss = CAKD(12, 12, contrast=0.1, adversary=0.1)
        >>> sorted({name.split(".")[0] for name, _ in loss.named_parameters()})  # train with the student
        ['discriminator', 'projector']
        >>> data.y, task = data.x[:, :3], graphkd.tasks.Regression()
        >>> given = {"task": task, "hidden": "convs.0", "epochs": 2, "progress": False}
        >>> result = graphkd.distil(loss, student, teacher, data, **given)
    """

    def __init__(
        self,
        student_width: int,
        teacher_width: int,
        *,
        contrast: float = 0.1,
        adversary: float = 0.1,
        temperature: float = 0.5,
        inner: int = 64,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(student_width, teacher_width, inner=inner, **reads)
        self.contrast, self.adversary, self.temperature = contrast, adversary, temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        check_rows(student, teacher)
        shown = self.projector(student)
        match = fitnet(shown, teacher) + self.contrast * info_nce(shown, teacher, self.temperature)
        return match + self.adversary * self.play(shown, teacher)


@method(
    "cakd",
    family="regression",
    paper="Xu et al., Neurocomputing 2022",
    survey=(196, 206),
    tasks=("regression",),
    needs=("hidden",),
)
def cakd_method(
    problem: Problem, *, weight: float = 1.0, contrast: float = 0.1, adversary: float = 0.1, temperature: float = 0.5
) -> Loss:
    """Match hidden rows by a hint, a contrast and an adversary, beside the labels.

    Choose it for regression where the teacher's features of a row are worth more than its answer. ``weight`` multiplies
    all three parts, ``contrast`` and ``adversary`` one part each. We do not know the paper's weights.
    """
    loss = CAKD(*problem.widths, contrast=contrast, adversary=adversary, temperature=temperature)
    return problem.supervised() + weight * loss
