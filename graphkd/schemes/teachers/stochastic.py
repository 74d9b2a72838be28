"""Several teachers out of one: the sub-networks that dropout, skipped blocks or dropped edges leave of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from graphkd.core.ensemble import Ensemble
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call, fill, required
from graphkd.schemes.augment import Change
from graphkd.schemes.weights import soft_target


def _drawn(model: nn.Module, batch: Batch, *, change: Change | None, call: Call | None) -> Any:
    """What a model says with its chance on; its normalisations stay as in eval mode."""
    seen = batch if change is None else change(batch)
    for module in model.modules():
        module.training = not isinstance(module, _NormBase)
    try:
        if call is not None:
            return call(model, seen)
        return model(**fill(required(model.forward), seen, f"{type(model).__name__}.forward"))
    finally:
        model.eval()


class Stochastic(Frozen):
    """A teacher that is another sub-network of one model at every call: dropout is on, and ``change`` drawn anew.

    Nguyen, Lee and Shim, "Stochasticity and Skip Connection Improve Knowledge Transfer", EUSIPCO 2020, draw teachers by
    stochastic blocks and skipped connections. Their details are not known to us: here it is whatever the model does by
    chance in train mode, and ``change`` of the batch (``drop_edges``). Batch norm keeps its statistics, and updates
    none. Draws come from torch's generator, which ``fit`` seeds and a resumed run restores.
    """

    def __init__(self, model: nn.Module, *, change: Change | None = None, call: Call | None = None) -> None:
        super().__init__(model, call=partial(_drawn, change=change, call=call))


def stochastic_ensemble(
    model: nn.Module, members: int = 5, temperature: float = 4.0, *, change: Change | None = None
) -> Ensemble:
    """The mean softened answer of ``members`` sub-networks of one teacher, drawn anew at every step.

    Choose it where one teacher with dropout is at hand and you would like the softer, steadier targets of an ensemble
    without training one. temperature: that of the loss, ``KL(temperature)``. A step costs ``members`` forward passes of
    the teacher. ValueError for fewer than one.
    """
    if members < 1:
        raise ValueError(f"'members' must be at least 1, got {members}")
    return Ensemble(
        [Stochastic(model, change=change) for _ in range(members)], partial(soft_target, temperature=temperature)
    )
