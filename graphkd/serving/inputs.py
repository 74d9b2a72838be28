"""Inputs of an exported model: their names, which sizes are free, and random inputs for checks."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphkd.core.ids import check_range

EDGES = "edge_index"
_PAIRS = {EDGES: "edges", "edge_label_index": "pairs"}  # inputs (2, E) of ids, and the name of the size E
_LEAST = 2  # rows of traced inputs: tracing would take one row, or one edge, for a fixed size


@dataclass(frozen=True)
class Inputs:
    """Inputs of a model by name, in the order of its parameters, with at least two rows, and two edges.

    example: tensors on the CPU. free: for each input, dimension -> name of its size, if this may change between calls.
    """

    example: Mapping[str, Tensor]
    free: Mapping[str, Mapping[int, str]]

    @classmethod
    def of(cls, model: nn.Module, example: Any) -> Self:
        """Read an example: a tensor, several, or some by name. The first tensor's rows count as the rows.

        Raises ValueError for an example without rows.
        """
        named = _named(model, example)
        first = next(iter(named.values()))
        if first.dim() < 1 or not len(first):
            raise ValueError(f"'example' must have at least one row, got {tuple(first.shape)}")
        rows, edges = len(first), named[EDGES].size(1) if EDGES in named else None
        free = {name: _free(name, tensor, rows, edges) for name, tensor in named.items()}
        for name in _PAIRS.keys() & named.keys():
            check_range(named[name], rows, name, "rows of the first input")
        return cls({name: _enough(tensor, free[name]) for name, tensor in named.items()}, free)

    def drawn(self, rows: int, seed: int) -> dict[str, Tensor]:
        """Draw random inputs: normal floats, integers and bools picked from the example, edges among the rows."""
        random = torch.Generator().manual_seed(seed)
        sizes = {"rows": rows, "edges": 3 * rows, "pairs": 2 * rows}
        found = {}
        for name, tensor in self.example.items():
            shape = [sizes[self.free[name][d]] if d in self.free[name] else n for d, n in enumerate(tensor.shape)]
            if name in _PAIRS:
                found[name] = torch.randint(rows, shape, generator=random).to(tensor.dtype)
            elif tensor.is_floating_point():
                positive = 0 in self.free[name] and self.free[name][0] == "edges" and bool((tensor >= 0).all())
                numbers = torch.randn(shape, generator=random, dtype=torch.float64).to(tensor.dtype)
                found[name] = numbers.abs() if positive else numbers  # edge weights: a model may take roots
            else:
                picked = torch.randint(len(tensor), (shape[0],), generator=random) if shape else None
                found[name] = tensor if picked is None or 0 not in self.free[name] else tensor[picked]
        return found


def copied(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy inputs, since a model may write into them."""
    return {name: tensor.clone() for name, tensor in given.items()}


def _named(model: nn.Module, example: Any) -> dict[str, Tensor]:
    """Map the example's tensors to the names of parameters, in their order."""
    signature = inspect.signature(model.forward)
    given = (example,) if isinstance(example, Tensor) else example
    if not isinstance(given, (tuple, list, Mapping)) or not given:
        raise TypeError(
            "'example' must be what the model is called with: a tensor, a tuple of tensors, or a mapping by name, got "
            f"{type(example).__name__}"
        )
    try:
        bound = signature.bind(**given) if isinstance(given, Mapping) else signature.bind(*given)
    except TypeError as error:
        raise TypeError(f"'example' must be what {type(model).__name__} is called with: {error}") from error
    for name, value in bound.arguments.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            got = value.layout if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"'example' must hold dense tensors, got {got} for {name!r}")
    return {name: value.detach().cpu() for name, value in bound.arguments.items()}


def _free(name: str, tensor: Tensor, rows: int, edges: int | None) -> dict[int, str]:
    if name in _PAIRS:
        if tensor.dim() != 2 or tensor.size(0) != 2 or tensor.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"{name!r} must be ids (2, E), got {tensor.dtype} {tuple(tensor.shape)}")
        return {1: _PAIRS[name]}
    if tensor.dim() and tensor.size(0) == edges and name.startswith("edge_"):
        return {0: "edges"}
    return {0: "rows"} if tensor.dim() and tensor.size(0) == rows else {}


def _enough(tensor: Tensor, free: Mapping[int, str]) -> Tensor:
    """Repeat a tensor along a free dimension of one entry, or fill up missing edges."""
    for dim in free:
        if tensor.size(dim) == 0:
            tensor = tensor.new_zeros([_LEAST if d == dim else n for d, n in enumerate(tensor.shape)])
        elif tensor.size(dim) < _LEAST:
            tensor = torch.cat([tensor] * _LEAST, dim)
    return tensor
