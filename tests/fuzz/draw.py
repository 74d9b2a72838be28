"""What an example draws: sizes, a dtype, a scale, rows with flaws, labels and graphs; every draw by its own name."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

Choice = TypeVar("Choice")
Kind = Literal["given", "ordinary", "unit", "largest", "smallest", "mixed", "crossed", "lone"]
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SCALES = (1e-5, 1e-3, 1.0, 1.0, 1.0, 10.0, 60.0, 1e3, 1e5)
WRONG = ("teacher_rows", "teacher_width", "one_dimensional", "labels")  # shapes that do not fit
_HALF_LIMIT, _LAYER_LIMIT = 3e4, 100.0  # of float16 rows; of those that layers of the loss see
_SAME = 1e-5  # what is below this share of a row counts as rounding


def _seed(*names: object) -> int:
    return zlib.crc32("/".join(map(str, names)).encode())


@dataclass
class Draw:
    """The inputs of one example. ``kind``: "given" with their flaws, the others are ordinary rows of some scale.

    ``wide``: the same numbers in float64. ``leaves``: what has a gradient, filled as tensors are drawn.
    """

    key: str
    kind: Kind = "given"
    wide: bool = False
    layers: bool = False  # the subject has parameters
    fixed: dict[str, int] = field(default_factory=dict)  # sizes that the subject asks for
    shake: int = 0  # the how-manieth time rows are moved by the rounding of the dtype
    mix: int = 0  # the how-manieth mixture of scales
    drawn: list[str] = field(default_factory=list)  # names of rows, in their order
    leaves: dict[str, Tensor] = field(default_factory=dict)
    extent: list[Tensor] = field(default_factory=list)  # of given rows, in float64
    reach: tuple[float, float] = (1.0, 1.0)  # the smallest and the largest thing in the given example

    def __post_init__(self) -> None:
        chance = random.Random(self.key)
        self.narrow = chance.choice(DTYPES)
        self.scale = chance.choice(SCALES)
        self.wrong = chance.choice(WRONG) if chance.random() < 1 / 16 else None
        self.twins = chance.random() < 1 / 16  # teacher and student are the same rows
        self.flaws = chance.choice((0, 1, 1, 1, 2))
        rows = chance.choice((0, 1, 2, 3, 5, 5, 7, 7))
        wide = chance.random() < 1 / 8
        width = chance.choice((1, 2, 3, 3, 5))
        self.sizes = {
            "rows": rows,
            "width": width,
            "teacher_width": width + 2 * wide,
            "classes": chance.choice((1, 2, 3, 3, 5)),
        } | self.fixed

    @property
    def dtype(self) -> torch.dtype:
        """What tensors have."""
        return torch.float64 if self.wide else self.narrow

    def again(self, **changes: Any) -> Draw:
        """The same example in float64, or on ordinary rows."""
        return replace(self, wide=True, leaves={}, extent=[], drawn=[], **changes)

    # ------------------------------------------------------------ by name
    def choose(self, name: str, choices: Sequence[Choice]) -> Choice:
        """One of several, the same whenever it is asked for by this name."""
        return choices[_seed(self.key, name) % len(choices)]

    def generator(self, name: str) -> torch.Generator:
        """Random numbers of this name."""
        return torch.Generator().manual_seed(_seed(self.key, name))

    def integers(self, name: str, shape: tuple[int, ...], end: int) -> Tensor:
        """Uniform in range(end)."""
        return torch.randint(max(end, 1), shape, generator=self.generator(name))

    # ------------------------------------------------------------ floating point
    def rows(self, name: str, *shape: int, differentiable: bool = True) -> Tensor:
        """Rows (..., width) with the flaws of the example, or ordinary ones in their place."""
        if self.kind != "given":
            x = self._ordinary(name, shape)
            return self.leaf(name, x) if differentiable else x
        generator = self.generator("student" if self.twins and name == "teacher" else name)
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        x = self.rounded(self._limited(self._flawed(x, generator) * self.scale))
        self.extent.append(x.detach().double())
        if self.shake:
            noise = torch.randn(shape, generator=self.generator(f"{name}:shake{self.shake}"), dtype=torch.float64)
            x = x * (1 + 4 * torch.finfo(self.narrow).eps * noise)
        return self.leaf(name, x) if differentiable else x

    def positive(self, name: str, *shape: int, zeros: bool = False, differentiable: bool = True) -> Tensor:
        """Numbers above 0, or 0 now and then."""
        x = torch.rand(shape, generator=self.generator(name), dtype=torch.float64) + 0.5
        if zeros and self.choose(name, (False, False, True)):
            x = x * (self.integers(f"{name}:zeros", shape, 2) > 0)
        x = self.rounded(x)
        return self.leaf(name, x) if differentiable else x

    def rounded(self, x: Tensor) -> Tensor:
        """The numbers of the dtype."""
        return x.to(self.narrow).to(self.dtype)

    def leaf(self, name: str, x: Tensor) -> Tensor:
        """Ask for the gradient."""
        self.leaves[name] = x.requires_grad_()
        return x

    def _ordinary(self, name: str, shape: tuple[int, ...]) -> Tensor:
        generator = self.generator(f"{name}:{self.kind}{self.mix}")
        x = torch.randn(shape, generator=generator, dtype=torch.float64)
        small, large = self.reach
        scales = {"ordinary": self.scale, "unit": 1.0, "smallest": small, "largest": large}
        if self.kind in scales:
            return x * scales[self.kind]
        if self.kind != "mixed":  # one tensor is large beside others of one over that, or the other way round
            self.drawn += [name] * (name not in self.drawn)
            one = (self.drawn.index(name) == self.mix) == (self.kind == "crossed")
            return x * (large if one else 1 / large)
        one = 1 if self.mix % 2 else shape[0] if shape else 1  # a scale for the tensor, or for every row
        place = torch.randint(len(scales) + 1, (one,), generator=generator)
        chosen = torch.tensor([*scales.values(), 1 / large], dtype=torch.float64)[place]
        return x * chosen.view(-1, *[1] * (x.dim() - 1))

    def _limited(self, x: Tensor) -> Tensor:
        if self.narrow != torch.float16:
            return x
        limit = _LAYER_LIMIT if self.layers else _HALF_LIMIT
        return x.clamp(-limit, limit)

    def _flawed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        for _ in range(self.flaws if x.numel() and x.dim() > 1 else 0):
            flaw = int(torch.randint(len(FLAWS), (), generator=generator))
            place = int(torch.randint(x.size(0), (), generator=generator))
            x = FLAWS[flaw](x, place)
        return x

    # ------------------------------------------------------------ labels and graphs
    def labels(self, rows: int, classes: int) -> Tensor:
        """A class of every row: any, the same one, or all in turn."""
        kind = self.choose("labels", ("any", "any", "one", "turn"))
        if self.wrong == "labels":
            rows += 1
        if kind == "any":
            return self.integers("labels:any", (rows,), classes)
        return torch.arange(rows) % max(classes, 1) if kind == "turn" else torch.zeros(rows, dtype=torch.long)

    def edge_index(self, nodes: int) -> Tensor:
        """Edges: none, self-loops alone, one many times, into one node, or any."""
        kind = self.choose("graph", ("none", "loops", "repeated", "star", "any", "any"))
        if nodes == 0 or kind == "none":
            return torch.zeros(2, 0, dtype=torch.long)
        if kind == "loops":
            return torch.arange(nodes).expand(2, -1).contiguous()
        if kind == "repeated":
            return torch.tensor([[0], [nodes - 1]]).repeat(1, 3)
        edges = self.integers("graph:any", (2, 2 * nodes), nodes)
        if kind == "star":
            edges[1] = 0
        return edges


def _changed(x: Tensor, place: int, value: Any) -> Tensor:
    x = x.clone()
    x[place] = value
    return x


def _one_hot(x: Tensor, place: int) -> Tensor:
    found = torch.zeros_like(x)
    found[..., place % x.size(-1)] = 1
    return found


FLAWS: tuple[Callable[[Tensor, int], Tensor], ...] = (
    lambda x, place: _changed(x, place, 0),
    lambda x, place: _changed(x, place, 0),
    lambda x, place: torch.zeros_like(x),
    lambda x, place: _changed(x, place, x[0]),  # equal rows
    lambda x, place: x[place].expand_as(x),  # all of them
    lambda x, place: _changed(x, place, -x[0]),
    lambda x, place: _changed(x, place, 1.001 * x[0]),
    lambda x, place: _changed(x, place, 1e3 * x[place]),
    lambda x, place: _changed(x, place, 1e-4 * x[place]),
    lambda x, place: _changed(x, place, x[place].mean()),  # a constant row
    lambda x, place: torch.ones_like(x),
    lambda x, place: _changed(x.T, place % x.size(-1), 0).T if x.dim() == 2 else x,
    _one_hot,
)


def reach(extent: list[Tensor]) -> tuple[float, float]:
    """The smallest row, difference of rows, or spread of a row or column, that is not 0, and the largest row."""
    found = [1.0]
    large = 0.0
    for x in extent:
        if x.dim() != 2 or not x.numel():
            found += x[x != 0].abs().flatten().tolist()
            large = max(large, float(x.abs().max())) if x.numel() else large
            continue
        size = x.norm(dim=1)
        large = max(large, float(size.max()))
        found += size[size > 0].tolist()
        for parts, whole in (
            ((x[:, None] - x).norm(dim=2), torch.maximum(size[:, None], size)),
            ((x - x.mean(dim=1, keepdim=True)).norm(dim=1), size),
            ((x - x.mean(dim=0)).norm(dim=0), x.norm(dim=0)),
        ):
            found += parts[parts > _SAME * whole].tolist()
    return min(found), max(large, 1e-30)
