"""The relation losses on all nodes, and their plain forms as the authors write them, with matrices of all pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cases.common import Builder, Case, Ops, Provider, Size, gb, library, sides
from graphkd.core.loss import Loss
from graphkd.losses import CC, CIRKD, IRG, SP, LogEuclidean, RKDAngle, RKDDistance

Plain = Callable[[Tensor, Tensor], Tensor]


def relation(loss: Loss, plain: Plain, matrices: float, power: int = 2) -> Builder:
    """A loss on features of all nodes; the plain form holds about ``matrices`` times N^power numbers at once."""

    def build(size: Size, device: torch.device) -> Case:
        student, teacher = sides(size, device)
        reference = Provider(lambda: plain(student, teacher), gb(matrices * size.nodes**power))
        return Case([student], {"reference": reference} | library(lambda: loss(student, teacher), device))

    return build


def kept_distances(size: Size, device: torch.device) -> Case:
    """RKD's distances beside a teacher seen before; "reference_cached" keeps the teacher's N x N."""
    student, teacher = sides(size, device)
    loss, matrix, needed = RKDDistance(), _distances(teacher), gb(16 * size.nodes**2)
    known = loss.digest(teacher)
    providers = {
        "reference": Provider(lambda: F.smooth_l1_loss(_distances(student), _distances(teacher)), needed),
        "reference_cached": Provider(lambda: F.smooth_l1_loss(_distances(student), matrix), needed),
    }
    flops = 3 * size.nodes**2 * size.student  # half of the symmetric distances, and what pulls the rows
    return Case([student], providers | library(lambda: loss(student, known), device), flops=flops)


# ---------------------------------------------------------------- plain forms
def _products(x: Tensor) -> Tensor:
    return x @ x.t()


def _cosines(x: Tensor) -> Tensor:
    return _products(F.normalize(x, dim=1))


def _squared_distances(x: Tensor) -> Tensor:
    """By inner products, as RKD's and IRG's codes do."""
    products, norms = _products(x), x.square().sum(dim=1)
    squared = (norms[:, None] + norms - 2 * products).clamp_min(1e-12)
    return squared * (1 - torch.eye(x.size(0), device=x.device))


def _distances(x: Tensor) -> Tensor:
    squared = _squared_distances(x)
    distances = torch.where(squared > 0, squared, 1).sqrt() * (squared > 0)
    return distances / distances[distances > 0].mean()


def _scaled(x: Tensor) -> Tensor:
    squared = _squared_distances(x)
    return squared / squared.max().detach()


def _series(x: Tensor, gamma: float = 0.4) -> Tensor:
    products = _cosines(x)
    return torch.tensor(-2 * gamma).exp() * (1 + 2 * gamma * products + (2 * gamma * products) ** 2 / 2)


def _angles(x: Tensor) -> Tensor:
    sides = F.normalize(x[None] - x[:, None], dim=2)
    return sides @ sides.transpose(1, 2)


def _logarithm(x: Tensor, ridge: float = 1e-3) -> Tensor:
    matrix = _products(F.normalize(x.relu(), dim=1))
    values, vectors = torch.linalg.eigh(matrix + ridge * torch.eye(x.size(0), device=x.device))
    return (vectors * values.log()) @ vectors.t()


def matched(of: Callable[[Tensor], Tensor], error: Callable[..., Tensor] = F.mse_loss) -> Plain:
    """The error between one matrix of each side."""
    return lambda student, teacher: error(of(student), of(teacher))


def _row_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    q, p = (F.log_softmax(10 * x, dim=1) for x in (student, teacher))
    return F.kl_div(q, p, reduction="batchmean", log_target=True)


_WIDE = 128, 128
_ALL = [Size(4_096, 0, *_WIDE), Size(100_000, 0, *_WIDE)]  # the larger is measured in seconds: no matrix of all pairs
_STREAMED = [Size(4_096, 0, *_WIDE)], [Size(100_000, 0, *_WIDE)]

OPS: Ops = {
    "sp": (relation(SP(), matched(lambda x: F.normalize(_products(x), dim=1)), 8), _ALL, []),
    "cc_bilinear": (relation(CC("bilinear"), matched(_cosines), 6), _ALL, []),
    "cc_gaussian": (relation(CC(), matched(_series), 12), *_STREAMED),
    "irg": (relation(IRG(), matched(_scaled), 12), *_STREAMED),
    "irg_mean": (
        relation(IRG("mean"), matched(lambda x: (d := _squared_distances(x)) / d.mean().detach()), 12),
        _ALL,
        [],
    ),
    "rkd_distance": (relation(RKDDistance(), matched(_distances, F.smooth_l1_loss), 16), *_STREAMED),
    "rkd_distance_cached": (kept_distances, [Size(2_485, 0, 128, 64)], []),  # Cora
    "rkd_angle": (
        relation(RKDAngle(max_samples=None), matched(_angles, F.smooth_l1_loss), 6 + 128 * 6 / 256, power=3),
        [Size(256, 0, *_WIDE)],
        [Size(1_024, 0, *_WIDE)],
    ),
    "log_euclidean": (
        relation(LogEuclidean(), matched(_logarithm, lambda s, t: F.mse_loss(s, t, reduction="sum")), 12),
        [Size(1_024, 0, *_WIDE), Size(100_000, 0, *_WIDE)],
        [],
    ),
    "cirkd": (relation(CIRKD(), matched(_cosines, _row_divergence), 10), *_STREAMED),
}
