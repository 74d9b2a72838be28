"""Metrics of predicted click probabilities: ranking (AUC), log loss, calibration, and the loss of held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import on_device
from graphkd.core.distiller import Distiller
from graphkd.core.view import Call, Viewer
from graphkd.tasks.metrics import area_under_curve
from recsys.data.rows import RowBatches
from recsys.losses.clicks import click_loss
from recsys.models.clicks import show
from recsys.models.finite import check_finite


def auc(scores: Tensor, y: Tensor) -> float:
    """Compute the chance that a clicked row is scored above one that is not, ties counting half: (N,), (N,) -> float.

    By mean ranks, O(N log N). Raises ValueError where all rows are clicks or none is, for scores that are not finite,
    and for clicks other than 0 and 1.
    """
    _check("scores", scores, y)
    clicks = int(y.sum())
    if clicks in (0, len(y)):
        raise ValueError(f"'y' must hold both clicks and others, got {clicks} clicks of {len(y)}")
    return area_under_curve(scores, y)


def _check(name: str, scores: Tensor, y: Tensor, *, halves: bool = False) -> None:
    """Raise ValueError unless there is one number a row, and clicks are 0 or 1, or with ``halves`` in [0, 1]."""
    if scores.dim() != 1 or scores.shape != y.shape:
        raise ValueError(f"{name!r} and 'y' must be (N,), got {tuple(scores.shape)} and {tuple(y.shape)}")
    check_finite(scores, f"{name!r} must be finite")
    if not bool((((y >= 0) & (y <= 1)) if halves else ((y == 0) | (y == 1))).all()):
        raise ValueError(f"'y' must be 0 or 1 for every row, got {sorted(set(y.tolist()))[:5]}")


def expected_calibration_error(logits: Tensor, y: Tensor, bins: int = 15) -> float:
    """Compute the mean distance of predicted and observed click rates over equal bins (Naeini et al., AAAI 2015).

    sum_b (n_b / N) |mean of sigma(logits) - mean of y in bin b|; (N,), (N,) -> float.
    """
    if bins < 1:
        raise ValueError(f"'bins' must be at least 1, got {bins}")
    _check("logits", logits, y, halves=True)
    p = logits.double().sigmoid()
    place = (p * bins).long().clamp(max=bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64, device=p.device).index_add_(0, place, p - y.double())
    return float(gaps.abs().sum() / max(len(p), 1))


def quality(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Compute ``auc``, ``log_loss`` (mean, in nats) and ``ece`` of logits (N,) of clicks (N,)."""
    _check("logits", logits, y)
    logits = logits.detach().double()
    return {
        "auc": auc(logits, y),
        "log_loss": float(click_loss(logits, y)),
        "ece": expected_calibration_error(logits, y),
    }


@torch.no_grad()
def predicted(
    model: nn.Module, batches: Iterable[Mapping[str, Any]], entry: str = "logits", *, call: Call | None = None
) -> Tensor:
    """Collect one entry of a model's view for the rows of all batches, in order; in eval mode, without gradients.

    call: ``call(model, batch)``, in place of calling the model with the whole batch.
    """
    training, viewer = model.training, Viewer(model, call=call or show)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    model.eval()
    try:
        return torch.cat([viewer(on_device(batch, device))[entry] for batch in batches])
    finally:
        model.train(training)


def held_out(task: Distiller, batches: RowBatches, term: str) -> Callable[[nn.Module], float]:
    """Make a ``metric`` of ``fit`` that needs no labels: minus one of a task's terms, the mean over held-out rows.

    For early stopping by the distillation loss (Zhu et al., CIKM 2020, arXiv:2011.04106), which leaves all labelled
    rows for training. term: the name of ``SoftClicks`` in the task.
    """

    def metric(_: nn.Module) -> float:
        device = next((p.device for p in task.parameters()), torch.device("cpu"))
        total = sum(float(task(on_device(batch, device)).terms[term]) * len(batch["n_id"]) for batch in batches)
        return -total / max(len(batches.ids), 1)

    return metric
