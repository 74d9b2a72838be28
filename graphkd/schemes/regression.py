"""Students that answer numbers: taught on made-up inputs, or by features that a discriminator cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from graphkd.core.loss import Loss
from graphkd.core.rng import seeded
from graphkd.core.view import Viewer
from graphkd.losses.adversarial import discrimination, fooling
from graphkd.losses.checks import check_same_shape
from graphkd.losses.regression import disagreement


class AdversarialHint(Loss):
    """Hidden features that a discriminator takes for the teacher's: a loss that trains the discriminator too.

    fooling(D(s)) + discrimination(D(s), D(t)), the features constant in the second and D in the first, so that one
    optimiser serves both; student, teacher: (N, d), of one width. discriminator: rows (N, d) -> logits (N, 1), by
    default one hidden layer as wide as the features, of which ``width`` is then asked.
    Choose it where features are to be alike as a distribution rather than row by row. For regression it is a part of
    contrastive adversarial distillation (CAKD; Xu et al., Neurocomputing 2022), whose formula and weights we do not
    know: ``FitNet() + InfoNCE() + AdversarialHint(d)`` beside the error of the outputs is our restatement.
    """

    on = "hidden"

    def __init__(
        self,
        width: int | None = None,
        discriminator: nn.Module | None = None,
        *,
        on: str | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        if (width is None) == (discriminator is None):
            raise ValueError("give 'width' or 'discriminator', one of them")
        if discriminator is None:
            assert width is not None
            discriminator = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))
        self.discriminator = discriminator

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        check_same_shape(student, teacher)
        constant = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        fooled: Tensor = functional_call(self.discriminator, constant, (student,)).flatten()
        ours, theirs = (self.discriminator(rows.detach()).flatten() for rows in (student, teacher))
        return fooling(fooled) + discrimination(ours, theirs)


def data_free_regression(
    student: nn.Module,
    teacher: nn.Module,
    width: int,
    *,
    rounds: int = 200,
    student_steps: int = 10,
    rows: int = 256,
    noise: int = 50,
    lr: float = 1e-3,
    size: float = 1e-5,
    output: float = 1e-5,
    seed: int = 0,
) -> nn.Module:
    """A student of inputs on which it differs from its teacher, without any data. Kang and Kang, ESWA 2021.

    A generator of inputs x (``width`` features) lowers ``disagreement`` once, then the student takes ``student_steps``
    steps on f (t - s)^2 of made inputs plus 1 - f times that of N(0, I), f falling from 1 to 0 over the ``rounds``;
    RMSProp for both. Choose it for a regressor whose data is gone, where its inputs were standardised: it is for them
    that N(0, I) stands. Ours: the generator is one hidden layer of ``noise`` and a BatchNorm, without which made inputs
    run away from those that a ReLU net was trained on. Models are called with ``x`` and show ``logits`` (N, k). Gives
    the student back, in eval mode.
    """
    taught, learns = Viewer(teacher.eval()), Viewer(student.train())
    like = next(teacher.parameters())
    with seeded(seed):
        generator = nn.Sequential(
            nn.Linear(noise, noise), nn.ReLU(), nn.Linear(noise, width), nn.BatchNorm1d(width)
        ).to(like)
        makes, learner = (torch.optim.RMSprop(model.parameters(), lr=lr) for model in (generator, student))
        for number in range(rounds):
            x = generator(torch.randn(rows, noise).to(like))
            loss = disagreement(_answers(learns, x), _answers(taught, x), x, size=size, output=output)
            _step(makes, generator, loss)
            share = 1 - number / rounds
            for _ in range(student_steps):
                with torch.no_grad():
                    inputs = generator(torch.randn(rows, noise).to(like)), torch.randn(rows, width).to(like)
                    wanted = [_answers(taught, x) for x in inputs]
                errors = [F.mse_loss(_answers(learns, x), t) for x, t in zip(inputs, wanted, strict=True)]
                _step(learner, student, share * errors[0] + (1 - share) * errors[1])
    return student.eval()


def _answers(viewer: Viewer, x: Tensor) -> Tensor:
    batch: Mapping[str, Tensor] = {"x": x}
    return viewer(batch)["logits"]


def _step(optimizer: torch.optim.Optimizer, model: nn.Module, loss: Tensor) -> None:
    """Of one side; the other's gradients are not computed."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = slope
    optimizer.step()
