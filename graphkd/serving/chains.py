"""Modules that are chains of linear layers, batch norms and ReLUs, read into numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

Array = np.ndarray[Any, np.dtype[Any]]
LINEAR, SCALE, RELU = "linear", "scale", "relu"
_NAMES: Mapping[str, tuple[str, ...]] = {LINEAR: ("weight", "bias"), SCALE: ("scale", "shift"), RELU: ()}
_ABLE = "Linear, BatchNorm1d with running statistics, ReLU, Dropout and Identity"


@dataclass(frozen=True)
class Step:
    """One step of a chain: x W + b (W (in, out)), x scale + shift, or max(x, 0)."""

    kind: str
    one: Array | None = None
    other: Array | None = None

    @classmethod
    def of(cls, kind: str, named: Mapping[str, Array], prefix: str) -> Self:
        """Build a step from named arrays; KeyError for a missing one, ValueError for shapes that do not fit."""
        step = cls(kind, *(np.ascontiguousarray(named[prefix + name]) for name in _NAMES[kind]))
        if step.one is not None and step.other is not None:
            dims = 2 if kind == LINEAR else 1
            if step.one.ndim != dims or step.other.shape != step.one.shape[-1:]:
                raise ValueError(f"{prefix}* have shapes {step.one.shape} and {step.other.shape}")
            if step.one.dtype not in (np.float32, np.float64):
                raise ValueError(f"{prefix}* must be float32 or float64, got {step.one.dtype}")
        return step

    @property
    def width(self) -> tuple[int, int] | None:
        """Return the widths of input and output rows; None if any width fits."""
        return None if self.one is None else (self.one.shape[0], self.one.shape[-1])

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by name."""
        named = zip(_NAMES[self.kind], (self.one, self.other), strict=False)
        return {name: array for name, array in named if array is not None}

    def __call__(self, x: Array) -> Array:
        """Apply the step; ReLU writes into ``x``."""
        if self.one is None:
            return np.maximum(x, 0, out=x)
        result: Array = x @ self.one if self.kind == LINEAR else x * self.one
        result += self.other
        return result


def chain_of(model: nn.Module) -> list[Step]:
    """Read a module, in eval mode on the CPU, into steps; a TypeError names an operation that is no such step."""
    if any(is_lazy(each) for each in (*model.parameters(), *model.buffers())):
        raise TypeError(f"{type(model).__name__} has layers without widths yet: call it once")
    try:
        graph = fx.Tracer().trace(model)
    except Exception as error:  # a forward may raise anything while it is traced
        raise TypeError(
            f"the forward of {type(model).__name__} must be a chain of {_ABLE}, it cannot be read: {error}; "
            "graphkd.serving.export takes any module"
        ) from error
    steps: list[Step] = []
    at: fx.Node | None = None
    for node in graph.nodes:
        if node.op == "placeholder":
            at = node if at is None else at
        elif node.op == "output":
            if node.args[0] is not at:
                raise TypeError(f"{type(model).__name__} must give the end of its chain alone, it gives {node.args[0]}")
        elif node.op != "get_attr":
            steps += _read(model, node, at)
            at = node
    return _folded(steps)


def _read(model: nn.Module, node: fx.Node, at: fx.Node | None) -> list[Step]:
    """Read the steps of a node, whose only computed input must be the output of the previous node."""
    given = [each for each in node.all_input_nodes if each.op != "get_attr"]
    if given != [at] or not node.args or node.args[0] is not at:
        raise TypeError(_not_a_step(model, node, "which does not take what the step before it gave alone"))
    if node.op == "call_module":
        return _of_module(model, node, model.get_submodule(str(node.target)))
    if node.target in (F.linear, torch._C._nn.linear):
        weight, bias = (_tensor(model, each) for each in (_argument(node, 1, "weight"), _argument(node, 2, "bias")))
        return [_linear(weight, bias)]
    if node.target in (F.relu, torch.relu, torch.relu_, "relu", "relu_"):
        return [Step(RELU)]
    if node.target is F.dropout and (_argument(node, 2, "training") is False or _argument(node, 1, "p") == 0.0):
        return []
    raise TypeError(_not_a_step(model, node, "which is none of them"))


def _of_module(model: nn.Module, node: fx.Node, part: nn.Module) -> list[Step]:
    if isinstance(part, (nn.Dropout, nn.Identity)):
        return []
    if type(part) is nn.ReLU:
        return [Step(RELU)]
    if type(part) is nn.Linear:
        return [_linear(part.weight, part.bias)]
    if type(part) is nn.BatchNorm1d and part.running_mean is not None and part.running_var is not None:
        scale = (part.running_var.double() + part.eps).rsqrt()
        scale = scale if part.weight is None else scale * part.weight.double()
        shift = -part.running_mean.double() * scale
        shift = shift if part.bias is None else shift + part.bias.double()
        kind = part.running_mean.dtype
        return [Step(SCALE, _array(scale.to(kind)), _array(shift.to(kind)))]
    raise TypeError(_not_a_step(model, node, f"{type(part).__name__}, which is none of them"))


def _linear(weight: Tensor, bias: Tensor | None) -> Step:
    return Step(LINEAR, _array(weight.T), _array(weight.new_zeros(weight.size(0)) if bias is None else bias))


def _array(tensor: Tensor) -> Array:
    if tensor.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"weights must be float32 or float64, got {tensor.dtype}: give model.float()")
    return np.array(tensor.detach().numpy(), order="C")  # its own memory


def _argument(node: fx.Node, place: int, name: str) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name)


def _tensor(model: nn.Module, node: Any) -> Any:
    """Return the model's tensor that a node reads."""
    if not isinstance(node, fx.Node):
        return node
    found: Any = model
    for part in str(node.target).split("."):
        found = getattr(found, part)
    return found


def _folded(steps: list[Step]) -> list[Step]:
    """Fold batch norms into the linear layer before them: (x W + b) s + t = x (W s) + (b s + t)."""
    found: list[Step] = []
    for step in steps:
        before = found[-1] if found else None
        if step.kind == SCALE and before is not None and before.kind == LINEAR:
            weight, bias, scale, shift = (
                np.asarray(each, np.float64) for each in (before.one, before.other, step.one, step.other)
            )
            kind = before.arrays()["weight"].dtype
            found[-1] = Step(LINEAR, (weight * scale).astype(kind), (bias * scale + shift).astype(kind))
        elif not (step.kind == RELU and before is not None and before.kind == RELU):
            found.append(step)
    return found


def _not_a_step(model: nn.Module, node: fx.Node, why: str) -> str:
    what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", repr(node.target))
    return (
        f"the forward of {type(model).__name__} must be a chain of {_ABLE}; it has {what!r}, {why}: "
        "graphkd.serving.export takes any module"
    )
