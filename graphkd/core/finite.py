"""Check that all weights and buffers are finite, once an epoch, before a state is saved, chosen or served."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_SHOWN = 5  # names in an error


class Finite:
    """Check that what a run changes stays finite: parameters and buffers of modules, of losses and averages too.

    Buffers, and parameters that are not trained, are exempt if they are not finite at the start, such as attention
    masks. Raises ValueError for a trained parameter that is not finite at the start.
    """

    def __init__(self, *modules: nn.Module) -> None:
        parts = [named for module in modules for named in module.named_modules()]  # collected once, not every epoch
        self._held = [
            (f"{path}." if path else "", tensors)
            for path, part in parts
            for tensors in (part._parameters, part._buffers)
        ]
        self._given: frozenset[str] = frozenset()
        given = self.wrong()
        learnt = {name for name, tensor in self._named() if isinstance(tensor, nn.Parameter) and tensor.requires_grad}
        wrong = [name for name in given if name in learnt]
        if wrong:
            raise ValueError(
                f"the weights must be finite when training begins, got NaN or infinity in {shown(wrong)}: load others"
            )
        self._given = frozenset(given)

    @torch.no_grad()
    def wrong(self) -> list[str]:
        """Name the tensors that are no longer finite; costs a pass over the numbers, and waits for the device once."""
        held = (tensor for _, tensors in self._held for tensor in tensors.values() if tensor is not None)
        if all_finite(held if not self._given else (tensor for _, tensor in self._named())):
            return []
        return [name for name, tensor in self._named() if not all_finite([tensor])]

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for path, tensors in self._held:
            for name, tensor in tensors.items():
                if tensor is not None and path + name not in self._given:
                    yield path + name, tensor


@torch.no_grad()
def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Tell whether all entries of all floating-point tensors are finite."""
    floats = [_dense(tensor) for tensor in tensors if tensor.dtype.is_floating_point or tensor.dtype.is_complex]
    alike: dict[Any, list[Tensor]] = {}
    for tensor in floats:
        alike.setdefault((tensor.device, tensor.dtype), []).append(tensor)
    # A norm is finite only if all entries are; that of large entries may overflow, so they are checked one by one.
    norms = (torch.stack(torch._foreach_norm(own)).sum() for own in alike.values())
    return all(math.isfinite(total.item()) for total in norms) or all(bool(each.isfinite().all()) for each in floats)


def _dense(tensor: Tensor) -> Tensor:
    """Return the entries of a tensor in a form that has a norm; 0 for a lazy one without a shape yet."""
    if nn.parameter.is_lazy(tensor):
        return torch.zeros(1)
    if tensor.layout != torch.strided:
        return tensor.to_sparse_coo().coalesce().values()
    return tensor.float() if tensor.itemsize == 1 else tensor


def shown(names: list[str]) -> str:
    """Write the first few of some names, and the number of the others."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{names[:_SHOWN]}{more}"
