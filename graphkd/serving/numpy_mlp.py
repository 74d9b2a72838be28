"""Run a small MLP by numpy alone: the fastest form of a student for one query at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors import numpy as arrays
from torch import nn

from graphkd.core.distilled import Distilled
from graphkd.core.files import replacing
from graphkd.core.wrappers import unwrapped
from graphkd.serving.chains import RELU, Array, Step, chain_of

_METADATA = "__metadata__"
_ROWS = 64  # random rows on which a runner is checked


class NumpyMLP:
    """Run a chain of linear layers, batch norms and ReLUs by numpy: a call costs its products and little else.

    torch spends some 10 microseconds an operator on dispatch, which is most of a small MLP's time for one row. Batch
    norms are folded into the linear layer before them, dropouts are left out. A call does not change its input and may
    run in several threads. Products use numpy's BLAS; set its threads by ``OMP_NUM_THREADS`` or its other settings.

    Create it by ``NumpyMLP.of``, or read it by ``NumpyMLP.load``. width, classes: of input and output rows.

    Example::

        >>> from torch_geometric.nn import MLP
        >>> mlp = MLP([8, 16, 3]).eval()
        >>> runner = NumpyMLP.of(mlp)
        >>> np.allclose(runner(data.x[:5].numpy()), mlp(data.x[:5]).detach().numpy(), atol=1e-5)
        True
        >>> runner.width, runner.classes
        (8, 3)
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        self.width, self.classes = _ends(self.steps)
        self.dtype = self._arrays()[0].dtype
        self._own_input = self.steps[0].kind == RELU  # ReLU would overwrite it

    @classmethod
    def of(cls, model: nn.Module | Distilled) -> Self:
        """Read a module in eval mode whose ``forward`` is a chain of layers.

        The chain may have ``Linear``, ``BatchNorm1d`` with running statistics, ``ReLU``, ``Dropout`` and ``Identity``,
        of torch or PyG, as modules or functions: ``Sequential``, ``torch_geometric.nn.MLP``, or a module of your own.
        ``torch.fx`` reads ``forward``, and the runner is compared with the module on random rows to 1e-5.

        Raises TypeError naming any other operation (``graphkd.serving.export`` takes all), RuntimeError if the answers
        differ, e.g. because a hook changes the module's.
        """
        model = model.model if isinstance(model, Distilled) else model
        if not isinstance(model, nn.Module):
            raise TypeError(f"'model' must be a torch module, or what distil gave, got {type(model).__name__}")
        plain = deepcopy(unwrapped(model)).cpu().eval()
        runner = cls(chain_of(plain))
        runner._compare(plain)
        return runner

    def __repr__(self) -> str:
        return f"NumpyMLP({self.width} -> {self.classes}: {' '.join(step.kind for step in self.steps)})"

    @property
    def nbytes(self) -> int:
        """Count the bytes of the weights."""
        return sum(array.nbytes for array in self._arrays())

    def __call__(self, x: Array) -> Array:
        """(B, F) -> (B, C), or (F,) -> (C,), in the weights' dtype; ValueError for another shape."""
        if not isinstance(x, np.ndarray) or x.ndim not in (1, 2) or x.shape[-1] != self.width:
            got = x.shape if isinstance(x, np.ndarray) else type(x).__name__
            raise ValueError(f"'x' must be a numpy array (B, {self.width}) or ({self.width},), got {got}")
        hidden = x.astype(self.dtype, copy=self._own_input)
        for step in self.steps:
            hidden = step(hidden)
        return hidden

    def save(self, path: str | Path) -> None:
        """Write the weights (safetensors), with the chain and a checksum in the file's metadata, atomically."""
        path, named = Path(path), self._named()
        told = {"graphkd.NumpyMLP": json.dumps([step.kind for step in self.steps]), "sha256": _checksum(named)}
        path.parent.mkdir(parents=True, exist_ok=True)
        content = arrays.save(named, metadata=told)
        with replacing(path) as file:
            file.write(content)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that ``save`` wrote, without running code from it; ValueError for any other or damaged file."""
        content = Path(path).read_bytes()
        try:
            named, told = arrays.load(content), _metadata(content)
            kinds = json.loads(told["graphkd.NumpyMLP"])
            steps = [Step.of(kind, named, f"{place}.") for place, kind in enumerate(kinds)]
            whole = sum(len(step.arrays()) for step in steps) == len(named) and _checksum(named) == told["sha256"]
            if whole:
                return cls(steps)
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{str(path)!r} must be what NumpyMLP.save wrote, and is not: {error}") from error
        raise ValueError(f"{str(path)!r} is damaged, not what NumpyMLP.save wrote: take another copy, or save it again")

    def _named(self) -> dict[str, Array]:
        return {
            f"{place}.{name}": array for place, step in enumerate(self.steps) for name, array in step.arrays().items()
        }

    def _arrays(self) -> list[Array]:
        return list(self._named().values())

    @torch.no_grad()
    def _compare(self, model: nn.Module) -> None:
        random = np.random.default_rng(0)
        x = random.standard_normal((_ROWS, self.width)).astype(self.dtype)
        wanted = model(torch.from_numpy(x.copy())).numpy()  # a ReLU may write into its input
        difference = float(np.abs(self(x) - wanted).max()) if wanted.size else 0.0
        if not difference <= 1e-5 * max(1.0, float(np.abs(wanted).max()) if wanted.size else 0.0):
            raise RuntimeError(
                f"{type(model).__name__} must answer as the chain of its layers does, its answers differ by "
                f"{difference:.3g}: remove hooks that change them, or its weights are not finite"
            )


def _ends(steps: Sequence[Step]) -> tuple[int, int]:
    """Return the widths of input and output; ValueError if the widths of consecutive layers do not fit."""
    width = given = None
    for place, step in enumerate(steps):
        if step.width is None:
            continue
        if width is not None and step.width[0] != width:
            raise ValueError(f"step {place} must take rows of {width}, which come, it takes {step.width[0]}")
        given = step.width[0] if given is None else given
        width = step.width[1]
    if given is None or width is None:
        raise ValueError("a chain must have at least one linear layer or batch norm")
    if len({array.dtype for step in steps for array in step.arrays().values()}) != 1:
        raise ValueError("all weights of a chain must have one dtype")
    return given, width


def _checksum(named: dict[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(f"{name} {named[name].dtype} {named[name].shape}".encode())
        digest.update(np.ascontiguousarray(named[name]).tobytes())
    return digest.hexdigest()


def _metadata(content: bytes) -> dict[str, Any]:
    """Read the metadata of a safetensors file whose header ``arrays.load`` has checked."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]).get(_METADATA, {})
