"""What the procedures of this room share: options of ``fit``."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from graphkd.core.view import Batch
from graphkd.tasks import accuracy


def complete(
    options: dict[str, Any], data: Batch, *, epochs: int, lr: float = 0.01, weight_decay: float = 5e-4
) -> dict[str, Any]:
    """Options of ``fit``, with defaults: Adam, and where ``data`` has a val_mask its accuracy and a patience of 50."""
    chosen: dict[str, Any] = {"epochs": epochs}
    chosen["optimizer"] = partial(torch.optim.Adam, lr=lr, weight_decay=weight_decay)
    if "val_mask" in data:
        chosen |= {"metric": lambda model: accuracy(model, data, "val_mask"), "patience": 50}
    return chosen | options
