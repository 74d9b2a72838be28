"""SGL's training beside its loss, as in RecBole's trainer: two graphs drawn anew for every epoch."""

from __future__ import annotations

from typing import Any


def renew_graphs(model: Any, epoch: int) -> None:
    """Draw SGL's two graphs unless they were drawn since the last epoch, as ``train()`` does, from numpy's generator.

    RecBole calls ``train()`` before every epoch; ``fit`` only where something was put into eval mode.
    """
    known = vars(model)
    last, used = known.get("drawn_for", (None, None))
    if "sub_graph1" not in known or (epoch != last and known["sub_graph1"] is used):
        model.graph_construction()
    model.drawn_for = (epoch, model.sub_graph1)
