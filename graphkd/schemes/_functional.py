"""Models called with other parameters than their own, to differentiate through pilots and learnt inputs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.func import functional_call

from graphkd.core.view import Batch, Call, View, Viewer


class _Shown(nn.Module):
    """Module that computes a model's view of a batch, for ``functional_call``, whatever way the model is called."""

    def __init__(self, model: nn.Module, call: Call | None) -> None:
        super().__init__()
        self.model = model
        self.viewer = Viewer(model, call=call)

    def forward(self, batch: Batch) -> View:
        """Compute the view."""
        return self.viewer(batch)


def logits_with(
    model: nn.Module, batch: Batch, parameters: Mapping[str, Tensor] | None = None, *, call: Call | None = None
) -> Tensor:
    """Compute a model's logits with given parameters in place of its own, differentiable in them: (N, C).

    parameters: name -> tensor; the model's own where a name is missing. call: replaces the by-name call.
    """
    others = {f"model.{name}": value for name, value in (parameters or {}).items()}
    view: View = functional_call(_Shown(model, call), others, (batch,))
    return view["logits"]


def constant_logits(model: nn.Module, batch: Batch, *, call: Call | None = None) -> Tensor:
    """Compute logits whose gradient goes to the batch alone, not to the model: (N, C)."""
    fixed = {name: value.detach() for name, value in model.named_parameters()}
    return logits_with(model, batch, fixed, call=call)
