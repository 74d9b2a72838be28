"""Identity of tensors: the very object while it is alive and unchanged, else its content; never its address."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_SAMPLED = 64  # entries that are looked at besides the version counter, which writes through ``.data`` and numpy leave


class Mark:
    """Knows one tensor again as long as it is alive and nobody has written into it."""

    def __init__(self, tensor: Tensor) -> None:
        self._of, self._state = weakref.ref(tensor), state_of(tensor)

    def holds(self, tensor: Tensor) -> bool:
        """Whether this is the tensor that was marked, unchanged."""
        return self._of() is tensor and self._state == state_of(tensor)


def state_of(tensor: Tensor) -> Hashable:
    """What changes when a living tensor is written to: address, version counter, form and, on the CPU, a few entries.

    Costs a few microseconds and never waits for a device.
    """
    version = None if tensor.is_inference() else tensor._version
    form = (tuple(tensor.shape), tensor.dtype, tensor.layout)
    if tensor.layout != torch.strided or tensor.numel() == 0:
        return version, *form
    return version, *form, tensor.data_ptr(), tensor.stride(), _sample(tensor)


def _sample(tensor: Tensor) -> Hashable:
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        return None
    flat = tensor.detach().as_subclass(Tensor).view(-1)
    part = flat[:: max(1, flat.numel() // _SAMPLED)]
    return tuple(repr(entry) for entry in part.tolist()) if part.is_floating_point() else tuple(part.tolist())


def same_content(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors, dense or sparse, on whatever devices, have equal form and entries; NaN is like NaN."""
    if one is other:
        return True
    if one.shape != other.shape or one.dtype != other.dtype or one.layout != other.layout:
        return False
    if one.layout != torch.strided:
        a, b = (each.detach().cpu().to_sparse_coo().coalesce() for each in (one, other))
        return same_content(a.indices(), b.indices()) and same_content(a.values(), b.values())
    a, b = (each.detach().as_subclass(Tensor).cpu() for each in (one, other))
    return torch.equal(a, b) or (
        a.is_floating_point() and torch.equal(a.nan_to_num(), b.nan_to_num()) and bool((a.isnan() == b.isnan()).all())
    )


class Once:
    """Computes something of a tensor once, and anew only when the tensor is another one or was written to."""

    def __init__(self) -> None:
        self._kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def __call__(self, tensor: Tensor, key: Hashable, make: Callable[[], Any]) -> Any:
        """What ``make`` gives for the tensor; ``key`` names what that is and what else it depends on."""
        known = self._kept.get(tensor)
        now = state_of(tensor)
        if known is None or known[0] != now:
            known = now, {}
            self._kept[tensor] = known
        if key not in known[1]:
            known[1][key] = make()
        return known[1][key]
