"""SGL's training beside its loss, as in RecBole's trainer: two graphs redrawn for every epoch."""

from __future__ import annotations

from typing import Any


def renew_graphs(model: Any, epoch: int) -> None:
    """Redraw SGL's two graphs from numpy's generator, as ``train()`` does, unless they are new since the last epoch.

    RecBole calls ``train()`` before every epoch; ``fit`` only calls it after a module was in eval mode.
    """
    known = vars(model)
    last, used = known.get("drawn_for", (None, None))
    if "sub_graph1" not in known or (epoch != last and known["sub_graph1"] is used):
        model.graph_construction()
    model.drawn_for = (epoch, model.sub_graph1)
