"""Training in one process on one device, by the part of ``lightning_fabric.Fabric``'s interface that ``fit`` calls.

Fabric itself takes two seconds to import and a fifth of a millisecond a step.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import on_device
from graphkd.core.by_name import names


class Alone:
    """Stand-in for ``Fabric`` in a run of a single process, with the methods that ``fit`` calls."""

    global_rank, world_size, is_global_zero = 0, 1, True
    precision = "32-true"

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def launch(self) -> None:
        """Make the device the current one of CUDA, on which kernels run."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Move a module to the device."""
        return module.to(self.device), optimizer

    def to_device(self, batch: Any) -> Any:
        """Move a batch to the device: a mapping, a PyG graph, tensors in lists and tuples; other values unchanged."""
        if isinstance(batch, (list, tuple)):
            parts = [self.to_device(part) for part in batch]
            return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
        if isinstance(batch, Tensor):
            return batch.to(self.device)
        if names(batch) is not None:
            return on_device(batch, self.device)
        return copy.copy(batch).to(self.device) if callable(getattr(batch, "to", None)) else batch

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss."""
        loss.backward()

    def clip_gradients(self, module: nn.Module, optimizer: torch.optim.Optimizer, *, max_norm: float) -> None:  # noqa: ARG002 - Fabric's
        """Clip the gradients of an optimiser's parameters to a norm; RuntimeError where they are not finite."""
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(trained, max_norm, error_if_nonfinite=True)


def precision_of(fabric: Any) -> str:
    """Return the name of the precision in which a Fabric, or the single process, trains."""
    return str(getattr(fabric, "precision", None) or fabric._precision.precision)
