"""Value of a loss, or of a weighted sum of losses, on given views."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.core.loss import Loss
from graphkd.core.view import Batch, View


def measured(loss: Loss, view: View, target: View, batch: Batch) -> Tensor | None:
    """Sum the weighted parts of a loss between two views; None where all rows are masked."""
    found = []
    for weight, part in loss.parts():
        digest = part.digest_view(target, batch) if part.needs_teacher else None
        value = part.measure(view, digest, batch)
        if value is not None:
            found.append(weight * value)
    return torch.stack(found).sum() if found else None
