"""CrossDistil: two click tasks on the same rows teach each other by rankings that use both labels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.losses._checks import check_positive, choose
from recsys.losses._scores import Reduction, log_sigmoid, reduce, wide
from recsys.losses.clicks import click_loss

Convention = Literal["logit", "platt"]


def quadruplet_ranking(
    both: Tensor,
    own: Tensor,
    other: Tensor,
    neither: Tensor,
    *,
    beta1: float = 1.0,
    beta2: float = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Compute one task's augmented ranking loss: scores of quadruplets, (n,) each -> scalar, (n,) for "none".

    -beta1 log sigma(r_++ - r_+-) - log sigma(r_+- - r_-+) - beta2 log sigma(r_-+ - r_--). ``both``: scores of rows that
    have both labels; ``own``: only the task's own label; ``other``: only the other task's; ``neither``: no label.
    """
    both, own, other, neither = wide(both, own, other, neither)
    upper, middle, lower = (log_sigmoid(gap) for gap in (both - own, own - other, other - neither))
    return reduce(-(beta1 * upper + middle + beta2 * lower), reduction)


def sampled_ranking(scores: Tensor, own: Tensor, other: Tensor, *, beta1: float = 1.0, beta2: float = 1.0) -> Tensor:
    """``quadruplet_ranking`` of N random quadruplets of a batch: (N,), labels (N,) and (N,) -> scalar, the mean.

    From each of the four classes, N rows are drawn with replacement by torch's global generator. A relation to a class
    without rows is omitted.
    """
    (scores,), own, other = wide(scores), own.bool(), other.bool()
    classes = [mask.nonzero().squeeze(1) for mask in (own & other, own & ~other, ~own & other, ~own & ~other)]
    drawn = [
        scores[rows[torch.randint(max(len(rows), 1), scores.shape, device=scores.device)]] if len(rows) else None
        for rows in classes
    ]
    total = scores.sum() * 0
    for weight, above, below in zip((beta1, 1.0, beta2), drawn[:-1], drawn[1:], strict=True):
        if above is not None and below is not None:
            total = total - weight * log_sigmoid(above - below).sum() / scores.numel()
    return total


def calibrate(logits: Tensor, scale: Tensor, shift: Tensor, convention: Convention = "logit") -> Tensor:
    """Platt scaling: logits P r + Q; under Platt's own ``convention``, 1 / (1 + exp(P r + Q)), they are -(P r + Q)."""
    choose("convention", convention, ("logit", "platt"))
    scaled = scale * logits + shift
    return -scaled if convention == "platt" else scaled


def calibration_loss(logits: Tensor, y: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Binary cross-entropy of ``calibrate``d logits; only scale and shift get a gradient: (N,), (N,), (), () -> ()."""
    return click_loss(calibrate(logits.detach(), scale, shift), y)


def corrected(logits: Tensor, y: Tensor, margin: float = 1.0) -> Tensor:
    """Correct a teacher's errors: its logits become at least ``margin`` where y is 1, at most -``margin`` elsewhere."""
    if margin < 0:
        raise ValueError(f"'margin' must be at least 0, got {margin}")
    return torch.where(y.bool(), logits.clamp_min(margin), logits.clamp_max(-margin))


def corrected_clicks(teacher: Tensor, y: Tensor, *, margin: float = 1.0, temperature: float = 1.0) -> Tensor:
    """Soft clicks of corrected logits, constant: sigma(``corrected`` / T); (N,), (N,) -> (N,)."""
    return torch.sigmoid(corrected(teacher.detach(), y, margin) / check_positive("temperature", temperature))


def crossdistil_kd(
    student: Tensor, teacher: Tensor, y: Tensor, *, alpha: float = 0.5, margin: float = 1.0, temperature: float = 1.0
) -> Tensor:
    """(1 - alpha) bce(y, s) + alpha bce(``corrected_clicks``, s / T): (N,), calibrated (N,), (N,) -> scalar."""
    student, teacher = wide(student, teacher)
    soft = corrected_clicks(teacher, y, margin=margin, temperature=temperature)
    return (1 - alpha) * click_loss(student, y) + alpha * click_loss(student / temperature, soft)


class CrossDistil(Loss):
    """Distil between two click tasks on the same rows. Yang et al., AAAI 2022, arXiv:2202.09852.

    Two tasks; student: ``logits`` (N, 2) and ``ranking`` (N, 2), the scores of teacher heads with their own parameters,
    see ``MultiTaskNet``; y: (N, 2) clicks. The loss is the sum of three means for each task: the augmented ranking
    (``sampled_ranking``: order ++ > +- > -+ > --), which trains the teacher head and the shared layers; the calibration
    r~ = P r + Q by bce(y, r~), which trains only P and Q; and ``crossdistil_kd`` on the corrected r~, a constant, which
    trains the student head and the shared layers. Every step uses all three at once. As far as we know, the authors
    update them one after the other: the same gradients, up to two part-steps later. ``ranking_weight``: of the
    augmented ranking, which otherwise outweighs the labels in the shared layers. ``start_epoch``: before it alpha is 0,
    so that heads and calibration settle first. We do not know how the authors draw quadruplets, warm up, and set beta1,
    beta2, alpha, margin and temperature; their losses may sum where ours average.

    Example::

        >>> logits, ranking = torch.zeros(4, 2), torch.zeros(4, 2)
        >>> y = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        >>> loss = CrossDistil(alpha=0.5)((logits, ranking), y=y)
        >>> round(loss.exp().item(), 1)  # 2^10: of each task three relations, a calibration and a distillation
        1024.0
    """

    on = ("logits", "ranking")
    rows: ClassVar[tuple[str, ...]] = ("y",)

    def __init__(
        self,
        *,
        alpha: float = 0.5,
        margin: float = 1.0,
        temperature: float = 1.0,
        beta1: float = 1.0,
        beta2: float = 1.0,
        ranking_weight: float = 1.0,
        start_epoch: int = 0,
        on: tuple[str, str] | None = None,
        where: str | None = None,
    ) -> None:
        super().__init__(on=on, where=where)
        self.alpha, self.ranking_weight = alpha, ranking_weight
        self.start_epoch, self.epoch = start_epoch, 0
        self.betas: dict[str, float] = {"beta1": beta1, "beta2": beta2}
        self.options: dict[str, Any] = {"margin": margin, "temperature": check_positive("temperature", temperature)}
        self.scale, self.shift = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(2))

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - the base gives both
        """Distil only from ``start_epoch`` on."""
        self.epoch = epoch

    def forward(self, student: tuple[Tensor, Tensor], *, y: Tensor) -> Tensor:
        """See the class."""
        logits, ranking = student
        if not logits.shape == ranking.shape == y.shape or logits.dim() != 2 or logits.size(1) != 2:
            shapes = [tuple(each.shape) for each in (logits, ranking, y)]
            raise ValueError(f"'logits', 'ranking' and 'y' must have shape (N, 2), got {shapes}")
        alpha = self.alpha if self.epoch >= self.start_epoch else 0.0
        total = calibration_loss(ranking, y, self.scale, self.shift) * 2  # a mean over both tasks
        calibrated = calibrate(ranking.detach(), self.scale.detach(), self.shift.detach())
        for own, other in ((0, 1), (1, 0)):
            order = sampled_ranking(ranking[:, own], y[:, own], y[:, other], **self.betas)
            total = total + self.ranking_weight * order
            total = total + crossdistil_kd(logits[:, own], calibrated[:, own], y[:, own], alpha=alpha, **self.options)
        return total
