"""Features that are mostly zeros: the first layer of any model multiplies their non-zero entries only.

With bags of words, one-hot codes and similar features, 90 to 99 % of a first layer's products are with zeros. A model
that is called by name gets such features as ``SparseFeatures``, which are an ordinary tensor to all operations but
dropout and products with a weight: these use the non-zero entries only, O(d times their number) instead of O(N F d).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only

from graphkd.core.csr import csr
from graphkd.core.identity import Once

Features = Literal["auto", "dense", "sparse"]
_log = logging.getLogger(__name__)
_once = Once()
_mode: ContextVar[Features] = ContextVar("features", default="auto")
_SHARE = 0.1  # share of non-zero entries from which dense products are as fast
_LEAST = 1 << 16  # fewest entries of a matrix that is checked
_PROBED = 64  # rows that are checked first


def features_mode() -> Features:
    """Return the mode of the current context, see ``sparse_features``."""
    return _mode.get()


@contextmanager
def features_as(mode: Features) -> Iterator[None]:
    """Set how first layers multiply within the block, see ``sparse_features``; ValueError for another mode."""
    if mode not in get_args(Features):
        raise ValueError(f"'features' must be one of {get_args(Features)}, got {mode!r}")
    token = _mode.set(mode)
    try:
        yield
    finally:
        _mode.reset(token)


def sparse_features(x: Any) -> Any:
    """Return features (N, F) as ``SparseFeatures`` where that helps, else unchanged.

    "auto": features in a sparse layout of torch's, and on a CPU those of 65,536 entries or more of which fewer than a
    tenth are not 0; the choice is logged. "sparse": all, on any device. "dense": none. In any mode features are
    unchanged that require gradients or are neither float32 nor float64, under autocast, and when traced or compiled.
    """
    mode = _mode.get()
    if type(x) is not Tensor or x.dim() != 2 or not _may(x, mode):
        return x
    always = mode == "sparse" or x.layout != torch.strided
    entries = _once(x, ("entries", mode), lambda: _entries(x, always=always))
    return x if entries is None else SparseFeatures(entries, entries.values, x)


def _may(x: Tensor, mode: Features) -> bool:
    """Tell whether features may be treated as sparse."""
    if mode == "dense" or x.requires_grad or torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    if x.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled(x.device.type):
        return False
    return mode == "sparse" or x.layout != torch.strided or (x.device.type == "cpu" and x.numel() >= _LEAST)


@dataclass(frozen=True)
class Entries:
    """Non-zero entries of a matrix (N, F), by rows and by columns."""

    values: Tensor  # by rows
    ptr: Tensor  # where a row begins
    column: Tensor
    out_ptr: Tensor  # where a column begins
    row: Tensor  # by columns
    order: Tensor  # by columns: which entry of those by rows
    shape: tuple[int, int]

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Collect the entries of a matrix of any layout."""
        stored = x.to_sparse_coo().coalesce()
        row, column = stored.indices().int()
        order = column.argsort(stable=True)
        ptr, out_ptr = (_pointers(ids, size) for ids, size in zip((row, column), x.shape, strict=True))
        return cls(stored.values(), ptr, column, out_ptr, row[order], order, (x.size(0), x.size(1)))

    def times(self, values: Tensor, dense: Tensor) -> Tensor:
        """Compute X W with other values in place of the non-zero ones: (F, d) -> (N, d)."""
        return csr(self.ptr, self.column, values, self.shape) @ dense

    def transposed_times(self, values: Tensor, dense: Tensor) -> Tensor:
        """Compute X' G: (N, d) -> (F, d)."""
        return csr(self.out_ptr, self.row, values[self.order], self.shape[::-1]) @ dense

    def matrix(self, values: Tensor) -> Tensor:
        """Return the whole matrix, (N, F)."""
        return csr(self.ptr, self.column, values, self.shape).to_dense()


def _entries(x: Tensor, *, always: bool) -> Entries | None:
    if not always:
        probe = x[:: max(x.size(0) // _PROBED, 1)]
        if _share(probe) >= _SHARE or _share(x) >= _SHARE:
            return None
    found = Entries.of(x)
    _log.info(
        "%.1f %% of %d x %d features are not 0, and first layers multiply these alone; features='dense' of distil, or "
        "call=lambda model, batch: ..., leaves them as they are",
        100 * found.values.numel() / max(x.numel(), 1),
        *x.shape,
    )
    return found


def _share(x: Tensor) -> float:
    return int(torch.count_nonzero(x)) / max(x.numel(), 1)


def _pointers(ids: Tensor, size: int) -> Tensor:
    return F.pad(torch.bincount(ids, minlength=size).cumsum(0), (1, 0)).int()


class _Product(torch.autograd.Function):
    """Product X W or X' W, linear in W, differentiable to any order."""

    @staticmethod
    def forward(dense: Tensor, entries: Entries, values: Tensor, transposed: bool) -> Tensor:
        return (entries.transposed_times if transposed else entries.times)(values, dense.contiguous())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        _, ctx.entries, ctx.values, ctx.transposed = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        found = _Product.apply(grad, ctx.entries, ctx.values, not ctx.transposed)  # type: ignore[no-untyped-call]
        return found, None, None, None


class SparseFeatures(Tensor):
    """Matrix (N, F) that knows its non-zero entries; to all operations but a few it is an ordinary matrix."""

    entries: Entries
    stored: Tensor  # what is not 0, in the order of the entries
    plain: Tensor | None  # the matrix; None until it is needed
    forms: ClassVar[Mapping[Any, Callable[..., Tensor | None]]]

    def __new__(cls, entries: Entries, values: Tensor, plain: Tensor | None) -> Self:
        """Make features of a matrix's entries, with the given values in their places."""
        about = values if plain is None else plain
        made: Any = Tensor._make_wrapper_subclass(cls, entries.shape, dtype=about.dtype, device=about.device)
        made.entries, made.stored, made.plain = entries, values, plain
        return made

    def whole(self) -> Tensor:
        """Return the matrix."""
        if self.plain is None:
            self.plain = self.entries.matrix(self.stored)
        return self.plain

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            if func in _ABOUT:
                return func(*args, **kwargs)
            form = cls.forms.get(func)
            found = form(*args, **kwargs) if form is not None and isinstance(args[0], cls) else None
            if found is not None:
                return found
            args, kwargs = tree_map_only(cls, cls.whole, (args, kwargs))
            return func(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        args, kwargs = tree_map_only(cls, cls.whole, (args, kwargs or {}))
        return func(*args, **kwargs)


def whole(value: Any) -> Any:
    """Return the matrix of ``SparseFeatures``, and any other value unchanged."""
    return value.whole() if isinstance(value, SparseFeatures) else value


# Properties of a tensor that need no values.
_ABOUT = {
    Tensor.size,
    Tensor.dim,
    Tensor.numel,
    Tensor.is_floating_point,
    Tensor.__len__,
    *(getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "requires_grad")),
}


def _product(x: SparseFeatures, weight: Tensor) -> Tensor | None:
    """Compute X W; None where the weight is no plain matrix that fits, or the features require gradients."""
    fits = type(weight) in (Tensor, torch.nn.Parameter) and weight.dim() == 2 and weight.dtype == x.dtype
    if not fits or weight.layout != torch.strided or torch._C._functorch.is_functorch_wrapped_tensor(weight):
        return None
    if weight.size(0) != x.entries.shape[1] or (x.plain is not None and x.plain.requires_grad):
        return None
    return _Product.apply(weight, x.entries, x.stored, False)  # type: ignore[no-untyped-call]


def _linear(x: SparseFeatures, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    product = _product(x, weight.t()) if isinstance(weight, Tensor) and weight.dim() == 2 else None
    return product if product is None or bias is None else product + bias


def _dropout(x: SparseFeatures, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor | None:
    """Apply dropout to the non-zero entries alone: the same distribution, but not from the same random numbers."""
    if inplace:
        return None
    return SparseFeatures(x.entries, F.dropout(x.stored, p), None) if training and p else x


SparseFeatures.forms = {
    F.linear: _linear,
    F.dropout: _dropout,
    **dict.fromkeys((torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__), _product),
    torch.sparse.mm: _product,
}
