"""Identity of tensors: by object while it lives unchanged, else by equal content; never by address."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakTensorKeyDictionary

_SAMPLED = 64  # entries compared besides the version counter, which writes through ``.data`` and numpy do not change
_PLAIN = (Tensor, nn.Parameter)
_SETTING = (bool, int, float, str, FunctionType, BuiltinFunctionType)


class Mark:
    """Mark that recognises one tensor as long as it lives and nobody has written into it.

    A check costs a microsecond or two and never waits for a device.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._of, self._state = weakref.ref(tensor), _place(tensor)
        self._windows = [window for part in blocks(tensor) if (window := _window(part)) is not None]
        self._seen = [window.tobytes() for window in self._windows]

    def holds(self, tensor: Tensor) -> bool:
        """Tell whether this is the marked tensor, unchanged."""
        if self._of() is not tensor or self._state != _place(tensor):
            return False
        return [window.tobytes() for window in self._windows] == self._seen

    def __deepcopy__(self, memo: dict) -> Self:
        return self  # it recognises the original only


class Marks:
    """Mark that recognises named values: tensors, in any container, as ``Mark`` does, and others by equality."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._known = {name: [(leaf, _mark(leaf)) for leaf in leaves(value)] for name, value in values.items()}
        self._plain = {name: values[name] for name, known in self._known.items() if not any(mark for _, mark in known)}
        for name, known in self._known.items():
            self._known[name] = [(None if mark else leaf, mark) for leaf, mark in known]  # keeps no tensor alive

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Tell whether these are the marked values, unchanged."""
        return values.keys() == self._known.keys() and all(self._is(name, value) for name, value in values.items())

    def _is(self, name: str, value: Any) -> bool:
        if name in self._plain and self._plain[name] is value:  # a long list is read once
            return True
        known, now = self._known[name], list(leaves(value))
        return len(known) == len(now) and all(
            mark.holds(leaf) if mark else same_content(kept, leaf)
            for (kept, mark), leaf in zip(known, now, strict=True)
        )

    def __deepcopy__(self, memo: dict) -> Self:
        return self


class ModelMark:
    """Mark that recognises a model while its parameters, buffers and modules' plain public attributes are unchanged.

    A check costs about two microseconds per tensor and one per module.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model, self._parts = model, [_Part(module) for module in model.modules()]

    def holds(self, model: nn.Module) -> bool:
        """Tell whether the model is unchanged since it was marked."""
        return model is self._model and all(part.is_as_it_was() for part in self._parts)

    def __deepcopy__(self, memo: dict) -> Self:
        return self


class _Part:
    """Mark of a single module, without its sub-modules."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self._inner, self._size = module, tuple(module._modules.values()), len(vars(module))
        self._marks = [Mark(tensor) for tensor in self._tensors()]
        self._names = [name for name, value in vars(module).items() if _is_setting(name, value)]
        self._known = self._values()

    def is_as_it_was(self) -> bool:
        module = self._module
        if tuple(module._modules.values()) != self._inner or len(vars(module)) != self._size:
            return False
        now = self._tensors() if module._parameters or module._buffers else []
        if len(now) != len(self._marks) or self._values() != self._known:
            return False
        return all(mark.holds(tensor) for mark, tensor in zip(self._marks, now, strict=True))

    def _tensors(self) -> list[Tensor]:
        held = (*self._module._parameters.values(), *self._module._buffers.values())
        return [tensor for tensor in held if tensor is not None and not is_lazy(tensor)]

    def _values(self) -> list[Any]:
        held = vars(self._module)
        return [held.get(name) for name in self._names]


def _is_setting(name: str, value: Any) -> bool:
    """Tell whether an attribute of a module is public and plain."""
    if name[0] == "_" or name == "training":
        return False
    return type(value) in _SETTING or (type(value) is tuple and all(type(each) in _SETTING for each in value))


def blocks(tensor: Tensor) -> tuple[Tensor, ...]:
    """List the dense tensors that hold a tensor's entries: itself, an ``EdgeIndex``'s, or the parts of a sparse one."""
    if tensor.layout == torch.strided:
        held = getattr(tensor, "_data", None)
        return (held if isinstance(held, Tensor) else tensor,)
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return tensor.crow_indices(), tensor.col_indices(), tensor.values()


def _place(tensor: Tensor) -> Hashable:
    """Return the address, form and version of a tensor's entries; the version counts writes by torch's operations."""
    if type(tensor) in _PLAIN and tensor.layout == torch.strided:
        return _place_of(tensor)
    version = None if tensor.is_inference() else tensor._version
    return version, tensor.layout, tensor.shape, *(_place_of(part) for part in blocks(tensor))


def _place_of(block: Tensor) -> Hashable:
    version = None if block.is_inference() else block._version
    return version, block.data_ptr(), block.shape, block.stride(), block.dtype


def _window(block: Tensor) -> np.ndarray | None:
    """View the bytes of a few entries, spread evenly; None where the CPU cannot see them.

    The view does not keep the tensor alive: use it only while the tensor lives at the same address.
    """
    if block.device.type != "cpu" or not block.numel() or not block.data_ptr():
        return None
    shape, strides = ((block.numel(),), (1,)) if block.is_contiguous() else (block.shape, block.stride())
    steps = [-(-size // (_SAMPLED if len(shape) == 1 else 8)) for size in shape]
    width, span = block.element_size(), 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    memory: Any = (ctypes.c_char * (span * width)).from_address(block.data_ptr())
    taken = [-(-size // step) for size, step in zip(shape, steps, strict=True)]
    return np.ndarray(
        taken, np.dtype((np.void, width)), memory, 0, [s * k * width for s, k in zip(strides, steps, strict=True)]
    )


def leaves(value: Any) -> Iterator[Any]:
    """Yield the tensors and other values inside a value; a ``SparseTensor`` of torch_sparse by its parts."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield str(name)
            yield from leaves(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from leaves(entry)
    elif hasattr(value, "sparse_sizes") and hasattr(value, "coo") and not isinstance(value, Tensor):
        yield tuple(value.sparse_sizes())
        yield from value.coo()
    else:
        yield value


def _mark(leaf: Any) -> Mark | None:
    return Mark(leaf) if isinstance(leaf, Tensor) else None


def same_content(one: Any, other: Any) -> bool:
    """Tell whether two values have equal form and entries, on whatever devices; NaN equals NaN.

    Sparse tensors of different layouts are equal where their entries are.
    """
    if one is other:
        return True
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return _same_tensors(one, other)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and bool(np.array_equal(one, other))
    parts = list(leaves(one)), list(leaves(other))
    if len(parts[0]) == 1 and parts[0][0] is one:
        return type(one) is type(other) and bool(one == other)
    return len(parts[0]) == len(parts[1]) and all(map(same_content, *parts))


def _same_tensors(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if (one.layout == torch.strided) != (other.layout == torch.strided):
        return False
    if one.layout != torch.strided:
        a, b = (each.detach().cpu().to_sparse_coo().coalesce() for each in (one, other))
        return _same_tensors(a.indices(), b.indices()) and _same_tensors(a.values(), b.values())
    a, b = (blocks(each)[0].detach().cpu() for each in (one, other))
    return torch.equal(a, b) or (
        a.is_floating_point() and torch.equal(a.nan_to_num(), b.nan_to_num()) and bool((a.isnan() == b.isnan()).all())
    )


class Once:
    """Cache values derived from a tensor; recompute them only when it is another tensor or was written to."""

    def __init__(self) -> None:
        self._kept: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def __call__(self, tensor: Tensor, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return ``make()``, cached for the tensor; ``key`` names the value and what else it depends on."""
        known = self._kept.get(tensor)
        if known is None or not known[0].holds(tensor):
            known = Mark(tensor), {}
            self._kept[tensor] = known
        if key not in known[1]:
            known[1][key] = make()
        return known[1][key]

    def __deepcopy__(self, memo: dict) -> Once:
        return Once()

    def __reduce__(self) -> tuple:
        return Once, ()
