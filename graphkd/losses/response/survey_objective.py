"""The objective of Hu et al.'s survey (eq. 14)."""

from graphkd.core.loss import Loss, Sum
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL


def survey_objective(transfer: Loss, weights: tuple[float, float, float], temperature: float = 4.0) -> Sum:
    """Eq. 14: l1 CE(y, p) + l2 KL(q || p) at the temperature, without T^2 as printed, + l3 ``transfer``; sum l = 1."""
    if min(weights) < 0 or abs(sum(weights) - 1) > 1e-9:
        raise ValueError(f"'weights' must be 0 at least and sum to 1, got {weights}")
    return weights[0] * CE() + weights[1] * KL(temperature, rescale=False) + weights[2] * transfer
