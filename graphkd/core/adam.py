"""The optimiser of runs that name none: Adam whose step is one kernel."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch

from graphkd.core.alone import precision_of

_SCALED = "16-mixed"  # then PyTorch's fused step undoes the scaling of the loss itself, and gradients cannot be clipped


def adam(fabric: Any = None, **options: Any) -> partial[torch.optim.Adam]:
    """Make Adam that reads and writes each parameter once a step: parameters -> optimiser.

    fabric: what the training runs on, by default one process. options: of ``torch.optim.Adam``, such as ``lr``.
    On a CPU a step costs a tenth of that of PyTorch's default, which makes seven passes over memory; numbers agree to
    rounding. For tables of embeddings the step is most of the training. Parameters of which one is complex are stepped
    by PyTorch's default, since its single kernel serves real numbers alone.

    Example::

        fit(distiller, data, epochs=200, optimizer=adam(lr=0.01, weight_decay=5e-4))
    """
    return partial(_adam, fused=fabric is None or precision_of(fabric) != _SCALED, **options)


def _adam(parameters: Iterable[Any], fused: bool, **options: Any) -> torch.optim.Adam:
    parameters = list(parameters)
    real = not any(isinstance(p, torch.Tensor) and p.is_complex() for p in parameters)
    return torch.optim.Adam(parameters, fused=fused and real, **options)
