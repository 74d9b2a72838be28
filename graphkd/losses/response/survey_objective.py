"""The objective of Hu et al.'s survey (eq. 14)."""

from graphkd.core.loss import Loss, Sum
from graphkd.core.where import Where
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL


def survey_objective(
    transfer: Loss, weights: tuple[float, float, float], temperature: float = 4.0, *, labelled: Where | None = None
) -> Sum:
    """Make eq. 14: l1 CE(y, p) + l2 KL(q || p) at a temperature, without T^2 as printed, + l3 ``transfer``; sum l = 1.

    labelled: the rows whose labels are learnt, such as "train_mask", by default all that ``CE`` reads; see ``where`` of
    ``Loss``. Raises ValueError unless ``weights`` (l1, l2, l3) are at least 0 and sum to 1.

    Example::

        >>> loss = survey_objective(graphkd.losses.LogitMSE(), (0.1, 0.7, 0.2))
        >>> loss.weights
        [0.1, 0.7, 0.2]
        >>> logits = torch.zeros(1, 3)
        >>> round(float(loss(logits, logits, y=torch.tensor([0]))), 3)  # 0.1 log 3
        0.11
        >>> loss = survey_objective(graphkd.losses.LogitMSE(), (0.1, 0.7, 0.2), labelled="train_mask")
        >>> result = graphkd.distil(loss, student, teacher, data, epochs=2, progress=False)
    """
    if min(weights) < 0 or abs(sum(weights) - 1) > 1e-9:
        raise ValueError(f"'weights' must be 0 at least and sum to 1, got {weights}")
    label = CE() if labelled is None else CE(where=labelled)
    return weights[0] * label + weights[1] * KL(temperature, rescale=False) + weights[2] * transfer
