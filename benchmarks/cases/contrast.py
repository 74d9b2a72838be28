"""Contrasts of a whole graph with drawn negatives, which all of a step share: by counts, by ids, and plain."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cases.common import Case, Ops, Provider, Size, features, gb, library
from benchmarks.cases.information import estimation
from graphkd.kernels.pairs.counts import count_others
from graphkd.losses import bank_contrast, crd, crd_log_normaliser
from graphkd.losses._negatives import NegativeDraws, Part

_NEGATIVES = {"crd": 16_384, "hkd": 1_024, "mcl_okd": 16_384}
_TEMPERATURE = {"crd": 0.07, "hkd": 0.07, "mcl_okd": 0.1}
_SEED = 0  # of the draws, so that all forms see the same


def crd_sides(size: Size, device: torch.device) -> Case:
    """Both sides of CRD, Z known."""
    anchors, memories = _rows(2, size, device), _rows(2, size, device)
    log_z, tau = torch.tensor(float(size.nodes), device=device).log(), _TEMPERATURE["crd"]

    def measure(index: Part, *rows: Tensor) -> Tensor:
        return torch.stack([crd(*side, index, log_z, tau) for side in zip(rows, memories, strict=True)]).sum()

    def plain(index: Tensor) -> Tensor:
        scores = _scores(anchors, memories, index, tau)
        return torch.stack([estimation((each - log_z).exp(), size.nodes) for each in scores]).sum()

    return _case("crd", anchors, measure, plain)


def hkd_contrasts(size: Size, device: torch.device) -> Case:
    """The four contrasts of HKD, two with each memory."""
    anchors, memories, positives = (_rows(count, size, device) for count in (4, 2, 4))
    memories, tau = memories * 2, _TEMPERATURE["hkd"]

    def measure(index: Part, *rows: Tensor) -> Tensor:
        sides = zip(rows[:4], rows[4:], memories, strict=True)
        return torch.stack([bank_contrast(*side, index, tau) for side in sides]).sum()

    def plain(index: Tensor) -> Tensor:
        first, total = torch.zeros(size.nodes, dtype=torch.int64, device=device), []
        for a, b, scores in zip(anchors, positives, _scores(anchors, memories, index, tau), strict=True):
            every = torch.cat([(a * b).sum(dim=1, keepdim=True) / tau, scores], dim=1)
            total.append(F.cross_entropy(every, first))
        return torch.stack(total).sum()

    return _case("hkd", anchors, measure, plain, positives)


def mcl_okd_pairs(size: Size, device: torch.device) -> Case:
    """Two peers of MCL-OKD, Z anew."""
    anchors, memories, tau = _rows(2, size, device), _rows(2, size, device), _TEMPERATURE["mcl_okd"]

    def measure(index: Part, *rows: Tensor) -> Tensor:
        total = []
        for side in zip(rows, memories, strict=True):
            log_z = crd_log_normaliser(*side, index, tau)
            total.append(crd(*side, index, log_z, tau))
        return torch.stack(total).sum()

    def plain(index: Tensor) -> Tensor:
        shares = (scores.exp() for scores in _scores(anchors, memories, index, tau))
        values = [estimation(share / share.detach().mean() / size.nodes, size.nodes) for share in shares]
        return torch.stack(values).sum()

    return _case("mcl_okd", anchors, measure, plain)


def _rows(count: int, size: Size, device: torch.device) -> list[Tensor]:
    return [F.normalize(features(size.nodes, size.student, device), dim=1) for _ in range(count)]


def _scores(anchors: list[Tensor], memories: list[Tensor], index: Tensor, temperature: float) -> list[Tensor]:
    """Every candidate gathered."""
    sides = zip(anchors, memories, strict=True)
    return [(memory[index] @ anchor[:, :, None]).squeeze(2) / temperature for anchor, memory in sides]


def _case(
    name: str,
    anchors: list[Tensor],
    measure: Callable[..., Tensor],
    plain: Callable[[Tensor], Tensor],
    others: list[Tensor] | None = None,
) -> Case:
    """``measure`` on draws by counts and by ids, each drawn anew, and the plain form on ids that are there."""
    nodes, samples, rows = anchors[0].size(0), _NEGATIVES[name], [*anchors, *(others or [])]
    ids = torch.arange(nodes, device=anchors[0].device)
    draws = NegativeDraws(samples, nodes, own_first=name != "hkd").to(ids.device)
    torch.manual_seed(_SEED)
    often = count_others(draws.others, ids, samples).long().flatten()
    given = ids.repeat(nodes).repeat_interleave(often).view(nodes, samples)
    for anchor in anchors:
        anchor.requires_grad_()

    def counted() -> Tensor:
        torch.manual_seed(_SEED)
        value: Tensor = draws(ids).mean(measure, *rows)
        return value

    def by_ids() -> Tensor:
        draws.index(ids)  # takes its time; the values are compared, so the ids are those of the counts
        value: Tensor = draws(ids, given).mean(measure, *rows)
        return value

    index = torch.cat([ids[:, None], given], dim=1) if draws.own_first else given
    providers = {
        "reference": Provider(lambda: plain(index), gb(3 * len(anchors) * index.numel() * anchors[0].size(1))),
        "ids": Provider(by_ids, gb(4 * index.numel())),
    }
    flops = 4 * len(anchors) * _scored(anchors)  # scores, and what pulls the anchors
    return Case(anchors, providers | library(counted, ids.device), flops=flops)


def _scored(anchors: list[Tensor]) -> int:
    """Multiplications of all scores of one side."""
    nodes, width = anchors[0].shape
    return nodes * nodes * width


_CORA = Size(2_485, 0, 128, 0)
OPS: Ops = {
    "crd_sides": (crd_sides, [_CORA], []),
    "hkd_contrasts": (hkd_contrasts, [_CORA], []),
    "mcl_okd_pairs": (mcl_okd_pairs, [_CORA], []),
}
