"""Rows of two classes, told apart by a strong feature that is easily changed and by many weak ones; an attack."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn
from torch_geometric.data import Data

from graphkd.core.batches import changed
from graphkd.losses import CE
from graphkd.schemes import attacked
from tests.schemes.regimes.scene import accuracy

ROWS, WEAK, EPSILON = 300, 30, 0.5


def rows(seed: int) -> Data:
    """A third of the rows labelled, the others to test; the strong feature is wrong in a tenth, no weak one is."""
    generator = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, generator=generator)
    y = torch.arange(ROWS) % 2
    sign = (2.0 * y - 1)[:, None]
    wrong = torch.rand(ROWS, 1, generator=generator) < 0.1
    weak = 0.3 * sign + 0.3 * draw(ROWS, WEAK)
    x = torch.cat([torch.where(wrong, -sign, sign), weak], dim=1)
    train = torch.arange(ROWS) < ROWS // 3
    return Data(x=x, y=y, train_mask=train, test_mask=~train)


def withstands(model: nn.Module, data: Data, seed: int, steps: int = 10) -> float:
    """Accuracy on test rows that are changed within ``EPSILON`` against the model, its weights known, in %.

    One step is the fast gradient sign, from the rows as they are.
    """
    start = torch.zeros_like(data.x) if steps == 1 else None
    options = {"steps": steps, "start": start, "step_size": EPSILON if steps == 1 else EPSILON / 4}
    torch.manual_seed(seed)
    return accuracy(model, changed(data, x=attacked(model.eval(), data, CE(where="all"), EPSILON, **options)))
