"""Metrics of predicted labels, by RecBole's names: AUC, LogLoss, MAE, RMSE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

from recsys.evaluate.clicks import auc
from recsys.models.finite import check_finite

_EPS = 1e-15  # RecBole's margin of probabilities from 0 and 1


def _log_loss(predictions: Tensor, labels: Tensor) -> float:
    kept = predictions.clamp(_EPS, 1 - _EPS)
    return float(-(labels * kept.log() + (1 - labels) * (1 - kept).log()).mean())


def _mae(predictions: Tensor, labels: Tensor) -> float:
    return float((predictions - labels).abs().mean())


def _rmse(predictions: Tensor, labels: Tensor) -> float:
    return float((predictions - labels).square().mean().sqrt())


VALUES: Mapping[str, Callable[[Tensor, Tensor], float]] = {
    "auc": lambda predictions, labels: auc(predictions, (labels == 1).to(predictions.dtype)),
    "logloss": _log_loss,
    "mae": _mae,
    "rmse": _rmse,
}


def prediction_values(
    predictions: Tensor, labels: Tensor, metrics: Iterable[str] = ("auc", "logloss")
) -> dict[str, float]:
    """Measure predictions (n,) against labels (n,) over all rows of all users, as RecBole's value metrics do.

    "auc": the chance that a row of label 1 is predicted above another row, ties counting half; "logloss": in nats, for
    predictions that are probabilities, clipped to [1e-15, 1 - 1e-15]; "mae", "rmse": mean absolute distance and root of
    the mean squared distance. Computed in float64. Raises ValueError for an unknown name, for predictions that are not
    finite, and for an AUC of rows with one label only, for which RecBole gives NaN.

    Example::

        prediction_values(torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0]), ["auc", "mae"])
    """
    names = [name.lower() for name in ([metrics] if isinstance(metrics, str) else metrics)]
    unknown = [name for name in names if name not in VALUES]
    if unknown or not names:
        raise ValueError(f"'metrics' must be some of {list(VALUES)}, got {unknown or 'none'}")
    if predictions.dim() != 1 or predictions.shape != labels.shape or not len(labels):
        shapes = tuple(predictions.shape), tuple(labels.shape)
        raise ValueError(
            f"'predictions' and 'labels' must be (n,), of at least one row, got {shapes[0]} and {shapes[1]}"
        )
    check_finite(predictions, "'predictions' must be finite")
    check_finite(labels, "'labels' must be finite")
    wide = predictions.detach().double(), labels.to(predictions.device).double()
    return {name: VALUES[name](*wide) for name in names}
