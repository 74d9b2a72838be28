"""The graph family's relation losses on all nodes, and their plain forms with matrices of all pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cases.common import Builder, Case, Ops, Provider, Size, features, gb, library, sides
from graphkd.losses import (
    bank_contrast,
    compact_bilinear,
    earth_movers_distance,
    gkd,
    inter_region_affinity,
    irg_edge_transform,
    mean_discrepancy,
)
from graphkd.losses.graphs.gkd import GeometricGraph, Mask
from graphkd.losses.graphs.representation_graph import CountSketch
from graphkd.losses.relations.inter_region_affinity import region_affinity

_CLASSES = 10
_BATCH, _NEGATIVES, _TEMPERATURE = 64, 16_384, 0.07  # the authors' anchors of a step, and negatives of each


# ---------------------------------------------------------------- GKD
def _plain_graph(x: Tensor) -> Tensor:
    unit = F.normalize(x.clamp_min(0), dim=1)
    alike = (unit @ unit.t()) * (1 - torch.eye(x.size(0), device=x.device))
    scale = alike.sum(dim=1).rsqrt()
    return scale[:, None] * alike * scale


def _plain_mask(teacher: Tensor, mask: Mask | None, neighbours: int | None, y: Tensor) -> Tensor | float:
    if mask is not None:
        return ((y[:, None] == y) == (mask == "intra")).to(teacher.dtype)
    if neighbours is None:
        return 1.0
    kept = torch.zeros_like(teacher).scatter_(1, teacher.topk(neighbours, dim=1).indices, 1)
    return torch.maximum(kept, kept.t())


def graphs(*, power: int = 1, mask: Mask | None = None, neighbours: int | None = None) -> Builder:
    """GKD; ours knows the teacher's graph, as a cached teacher's digest does."""

    def build(size: Size, device: torch.device) -> Case:
        student, teacher = sides(size, device)
        y = torch.arange(size.nodes, device=device) % _CLASSES
        known = GeometricGraph.of(teacher, y, mask, neighbours)

        def plain() -> Tensor:
            s, t = _plain_graph(student), _plain_graph(teacher)
            kept = _plain_mask(t, mask, neighbours, y)
            error = torch.linalg.matrix_power(kept * s, power) - torch.linalg.matrix_power(kept * t, power)
            return error.square().sum()

        def own() -> Tensor:
            return gkd(student, known, y, power=power, mask=mask, neighbours=neighbours)

        reference = Provider(plain, gb((10 + 2 * power) * size.nodes**2))
        return Case([student], {"reference": reference} | library(own, device))

    return build


# ---------------------------------------------------------------- IRG, banks, pooling, regions
def edge_moves(size: Size, device: torch.device) -> Case:
    """How far squared distances, over their mean, move between a layer and its double."""
    student, teacher = sides(size, device)

    def layers(x: Tensor) -> tuple[Tensor, Tensor]:
        return x, torch.cat([x, 2 * x[:, : x.size(1) // 2]], dim=1)

    def edges(x: Tensor) -> Tensor:
        norms = x.square().sum(dim=1)
        squared = norms[:, None] + norms - 2 * x @ x.t()
        return squared / squared.mean().detach()

    def plain() -> Tensor:
        pairs = layers(student), layers(teacher)
        ours, theirs = ((edges(first) - edges(second)).square().sum() for first, second in pairs)
        return (ours - theirs).square() / size.nodes**2

    def own() -> Tensor:
        pairs = layers(student), layers(teacher)
        return irg_edge_transform(*pairs, scale="mean", reduction="sum") / size.nodes**2

    return Case([student], {"reference": Provider(plain, gb(16 * size.nodes**2))} | library(own, device))


def bank(size: Size, device: torch.device) -> Case:
    """One term of HKD: 64 anchors against 16,384 of N memories each (4 N of few); the plain form gathers them all."""
    anchor = F.normalize(features(_BATCH, size.student, device), dim=1).requires_grad_()
    positive, memory = (F.normalize(features(rows, size.student, device), dim=1) for rows in (_BATCH, size.nodes))
    index = torch.randint(size.nodes, (_BATCH, min(_NEGATIVES, 4 * size.nodes)), device=device)

    def plain() -> Tensor:
        scores = (memory[index] @ anchor[:, :, None]).squeeze(2)
        every = torch.cat([(anchor * positive).sum(dim=1, keepdim=True), scores], dim=1) / _TEMPERATURE
        return F.cross_entropy(every, torch.zeros(_BATCH, dtype=torch.int64, device=device))

    reference = Provider(plain, gb(2 * index.numel() * size.student))
    own = library(lambda: bank_contrast(anchor, positive, memory, index, _TEMPERATURE), device)
    return Case([anchor], {"reference": reference} | own)


def pooling(size: Size, device: torch.device) -> Case:
    """Compact bilinear pooling into 512 numbers; the plain form has all products of two components, N x d x d."""
    student = features(size.nodes, size.student, device).requires_grad_()
    first, second = (CountSketch(size.student, 512).to(device) for _ in range(2))
    place = (first.place[:, None] + second.place).flatten() % 512
    sign = (first.sign[:, None] * second.sign).flatten()

    def plain() -> Tensor:
        products = (student[:, :, None] * student[:, None]).flatten(1) * sign
        return products.new_zeros(size.nodes, 512).index_add(1, place, products).square().mean()

    def own() -> Tensor:
        return compact_bilinear(first(student), second(student)).square().mean()

    return Case([student], {"reference": Provider(plain, gb(4 * size.nodes * size.student**2))} | library(own, device))


def discrepancy(kernel: str) -> Builder:
    """Maximum mean discrepancy of two sets of rows of the student's width."""
    of_products: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "poly": lambda x, y: (x @ y.t() + 1).square(),
        "rbf": lambda x, y: (2 * (x @ y.t()) - x.square().sum(dim=1)[:, None] - y.square().sum(dim=1)).exp(),
    }

    def build(size: Size, device: torch.device) -> Case:
        student, other = sides(size._replace(teacher=size.student), device)
        values = of_products[kernel]

        def plain() -> Tensor:
            pairs = ((student, student), (other, other), (student, other))
            alone, theirs, both = (values(x, y).mean() for x, y in pairs)
            return alone + theirs - 2 * both

        own = library(lambda: mean_discrepancy(student, other, kernel), device)  # type: ignore[arg-type]
        return Case([student], {"reference": Provider(plain, gb(9 * size.nodes**2))} | own)

    return build


def regions(size: Size, device: torch.device) -> Case:
    """Affinities of ten regions; the plain form has a masked copy of all features for each, N x R x d."""
    student, teacher = sides(size, device)
    y = torch.arange(size.nodes, device=device) % _CLASSES
    member = F.one_hot(y, _CLASSES).to(student.dtype)[:, :, None]
    counts = member.sum(dim=0)

    def moments(x: Tensor) -> Tensor:
        mean = (member * x[:, None]).sum(dim=0) / counts
        apart = (x[:, None] - mean) * member
        second = apart.square().sum(dim=0) / counts
        return torch.stack([mean, second, (apart / second.clamp_min(1e-6)).pow(3).sum(dim=0) / counts])

    def plain() -> Tensor:
        return (region_affinity(moments(student)) - region_affinity(moments(teacher))).square().mean()

    own = library(lambda: inter_region_affinity(student, teacher, y), device)
    reference = Provider(plain, gb(8 * size.nodes * _CLASSES * max(size.student, size.teacher)))
    return Case([student], {"reference": reference} | own)


def moving(size: Size, device: torch.device) -> Case:
    """Earth mover's distances between 0/1 apart classes: half the absolute differences, or a linear program a row."""
    student = features(size.nodes, size.student, device).requires_grad_()
    other = features(size.nodes, size.student, device).softmax(dim=1)
    cost = 1 - torch.eye(size.student, dtype=torch.float64, device=device)
    ways = {
        "reference": Provider(lambda: earth_movers_distance(student.softmax(dim=1), other, cost).mean()),
        **library(lambda: earth_movers_distance(student.softmax(dim=1), other).mean(), device),
    }
    return Case([student], ways)


_WIDE = 128, 128
_ALL = [Size(4_096, 0, *_WIDE), Size(100_000, 0, *_WIDE)]  # the larger is measured in seconds: no matrix of all pairs

OPS: Ops = {
    "gkd": (graphs(), _ALL, []),
    "gkd_intra": (graphs(mask="intra"), _ALL, []),
    "gkd_inter": (graphs(mask="inter"), _ALL, []),
    "gkd_squared": (graphs(power=2), _ALL, []),
    "gkd_neighbours": (graphs(neighbours=8), _ALL[:1], _ALL[1:]),
    "gkd_neighbours_squared": (graphs(power=2, neighbours=8), _ALL[:1], _ALL[1:]),
    "irg_edge_change": (edge_moves, _ALL, []),
    "hkd_bank": (bank, [Size(10_000, 0, 128, 0), Size(1_000_000, 0, 128, 0)], []),
    "compact_bilinear": (pooling, [Size(4_096, 0, 128, 0), Size(100_000, 0, 128, 0)], []),
    "mmd_poly": (discrepancy("poly"), [Size(4_096, 0, 128, 0), Size(100_000, 0, 128, 0)], []),
    "mmd_rbf": (discrepancy("rbf"), [Size(4_096, 0, 128, 0)], [Size(100_000, 0, 128, 0)]),
    "inter_region_affinity": (regions, _ALL, []),
    "earth_movers_distance": (moving, [Size(256, 0, 7, 0)], [Size(4_096, 0, 7, 0)]),
}
