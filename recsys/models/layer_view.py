"""View of a model of blocks that also has the output of each block, from one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from recsys.models.sasrec import SASRec
from recsys.models.sequence_view import SequenceView


class LayerView(SequenceView):
    """A ``SequenceView`` with ``layers``, (N, layers + 1, d): the first block's input and all blocks' outputs.

    ``user`` states are the last of these, so that losses on both need only one pass.
    """

    def __getitem__(self, name: str) -> Tensor:
        if name != "layers":
            return super().__getitem__(name)
        with torch.set_grad_enabled(self._with_grad and torch.is_grad_enabled()):
            self._both()
        return self._shown["layers"]

    def __contains__(self, name: object) -> bool:
        return name == "layers" or super().__contains__(name)

    def _both(self) -> tuple[Tensor, Tensor]:
        if self._tables is None:
            model: Any = self._model
            sequences, at = self._batch["sequences"], self._batch.get("at")
            found = model.layers_of(sequences, at)
            if at is None:
                last = torch.arange(len(sequences), device=sequences.device) * sequences.size(1)
                last = last + self._batch["lengths"].to(last.device) - 1
                found = [each.index_select(0, last) for each in found]
            self._shown["layers"] = torch.stack(found, dim=1)
            self._tables = found[-1], model.items()
        return self._tables


def show_layers(model: nn.Module, batch: Any) -> LayerView:
    """Show a model with the outputs of its blocks, as a ``call=``; TypeError for a model other than SASRec."""
    if not isinstance(model, SASRec):
        raise TypeError(f"'model' must be a SASRec, whose blocks are known, got {type(model).__name__}")
    return LayerView(model, batch)
