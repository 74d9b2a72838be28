"""Rocket launching: a light net learns beside a larger booster that shares its lower layers."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.losses import cross_entropy, kl
from graphkd.losses._checks import check_positive
from recsys.losses._scores import wide
from recsys.losses.clicks import click_loss


def rocket(
    light: Tensor, booster: Tensor, y: Tensor, *, weight: float = 0.03, block: bool = True, rows: int | None = None
) -> Tensor:
    """Sum both nets' label losses and the light net's hint: (N,) or (N, C) twice, (N,) -> scalar; see ``Rocket``."""
    if light.shape != booster.shape or light.dim() not in (1, 2):
        raise ValueError(
            f"'light' and 'booster' must have one shape, (N,) or (N, C), got {tuple(light.shape)} and "
            f"{tuple(booster.shape)}"
        )
    light, booster = wide(light, booster)
    labels = click_loss if light.dim() == 1 else cross_entropy
    hint = (light - (booster.detach() if block else booster)).square().sum() / (rows or max(light.size(0), 1))
    return labels(light, y) + labels(booster, y) + weight * hint


class Rocket(Loss):
    """Train a light net and a booster together (rocket launching). Zhou et al., AAAI 2018, arXiv:1708.04106.

    L(y, z) + L(y, b) + gamma (1/N) sum_n |z_n - sg(b_n)|^2; student: the entries ``logits`` z of the light net and
    ``booster`` b, see ``RocketNet``: (N, C) with classes y, L = cross-entropy, or (N,) with clicks y, L = binary
    cross-entropy. ``weight`` is gamma, 0.03 in the authors' commands; we do not know that of the paper's click-through
    nets. The gradient block sg keeps the hint from training the booster's own layers; shared layers get its gradient
    through the light net. ``block=False`` removes the block (the authors' switch for that is always on: it parses
    "False" as true). ``rows``: divisor of the hint, in the authors' code the nominal batch size, even for a smaller
    last batch. Their R+KD adds ``rocket_kd``, here ``2 * alpha * KL(T, reduction="elementmean")`` beside it.

    Example::

        >>> light, booster = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
        >>> Rocket(weight=0.5)((light, booster + 2), y=torch.tensor([0.5])).backward()
        >>> light.grad  # 2 * 0.5 (0 - 2), of the hint alone: the label asks for a logit of 0
        tensor([-2.])
        >>> round(float(booster.grad), 3)  # sigmoid(2) - 0.5, of the label alone
        0.381
    """

    on = ("logits", "booster")
    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        weight: float = 0.03,
        *,
        block: bool = True,
        batch_size: int | None = None,
        on: tuple[str, str] | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.weight, self.block, self.batch_size = weight, block, batch_size

    def forward(self, student: tuple[Tensor, Tensor], *, y: Tensor) -> Tensor:
        """See the class."""
        return rocket(*student, y, weight=self.weight, block=self.block, rows=self.batch_size)


def rocket_kd(student: Tensor, teacher: Tensor, temperature: float = 4.0, alpha: float = 0.9) -> Tensor:
    """Match a pre-trained teacher beside ``rocket``: (N, C), (N, C) -> scalar.

    2 alpha T^2 times the mean over all N C entries of p (log p - log q), p and q the softened probabilities of teacher
    and student: the authors' divergence also averages over classes, so it is C times smaller than ``kl``.
    """
    return 2 * alpha * kl(student, teacher, check_positive("temperature", temperature), reduction="elementmean")


def distillation(student: Tensor, teacher: Tensor, y: Tensor, temperature: float = 4.0, alpha: float = 0.9) -> Tensor:
    """``rocket_kd`` + (1 - alpha) cross-entropy, the authors' baseline: (N, C), (N, C), (N,) -> scalar."""
    return rocket_kd(student, teacher, temperature, alpha) + (1 - alpha) * cross_entropy(student, y)
