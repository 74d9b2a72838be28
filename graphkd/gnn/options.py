"""What the procedures of this room share: options of ``fit``, and how they take a teacher."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from graphkd.core.teachers import Cached, Frozen
from graphkd.core.view import Batch
from graphkd.gnn.metrics import accuracy


def complete(
    options: dict[str, Any], data: Batch, *, epochs: int, lr: float = 0.01, weight_decay: float = 5e-4
) -> dict[str, Any]:
    """Options of ``fit``, with defaults: Adam, and where ``data`` has a val_mask its accuracy and a patience of 50."""
    chosen: dict[str, Any] = {"epochs": epochs}
    chosen["optimizer"] = partial(torch.optim.Adam, lr=lr, weight_decay=weight_decay)
    if "val_mask" in data:
        chosen |= {"metric": lambda model: accuracy(model, data, "val_mask"), "patience": 50}
    return chosen | options


def cached(teacher: nn.Module | Frozen, data: Batch) -> Frozen:
    """A teacher as it is, a model as one that is asked about the whole graph once."""
    return teacher if isinstance(teacher, Frozen) else Cached(teacher, data)
