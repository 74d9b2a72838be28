"""Peers that learn from an ensemble of themselves: ONE, FFL, PCL, OKDDip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.schemes.peers import Peers, Pupil, Taught


def gated_ensemble(logits: Tensor, scores: Tensor) -> Taught:
    """ONE's targets from the gate's scores: (M, N, C), (N, M); the ensemble learns the labels alone."""
    gates = scores.relu().softmax(dim=1)
    ensemble = torch.einsum("nm,mnc->nc", gates, logits)
    return Taught([(1.0, ensemble.detach())], beside={"ensemble": Pupil(ensemble)})


class Gate(nn.Module):
    """A gate weighs the peers row by row, z_e = sum_k g_k z_k, and z_e teaches them all: a rule, with ``hidden``.

    g = softmax(relu(BN(W h))), h the first peer's hidden features: those of the trunk where it is shared.
    """

    def __init__(self, width: int, peers: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, peers), nn.BatchNorm1d(peers))

    def forward(self, logits: Tensor, hidden: Sequence[Tensor]) -> Taught:
        """(M, N, C), M of (N, d)."""
        return gated_ensemble(logits, self.score(hidden[0]))


def one(models: Sequence[nn.Module], width: int, *, hidden: str, warm_up: int = 80, **options: Any) -> Peers:
    """ONE: branches on one trunk and a gate over them. Lan, Zhu and Gong, NeurIPS 2018, arXiv:1806.04606.

    L = sum_k CE(z_k) + CE(z_e) + w sum_k T^2 KL(p(z_e) || p(z_k)), T = 3, z_e constant in the KL, w rising over 80
    epochs as the authors' code has it (they add 1e-7 to the target: ``GuardedKL``). Choose it where one network's
    training is to be bettered at little cost: ``shared_trunk(models, path)`` first, ``hidden`` that path, ``width`` its
    width. One branch is kept, or all with their gate. options go to ``Peers``.
    """
    return Peers(models, Gate(width, len(models)), hidden=hidden, warm_up=warm_up, **options)


def mutual_fusion(logits: Tensor, fused: Tensor) -> Taught:
    """FFL's targets: (M, N, C), (N, C); the mean of the peers teaches the fused classifier, and that all peers."""
    return Taught([(1.0, fused.detach())], beside={"fused": Pupil(fused, logits.detach().mean(dim=0))})


class Fusion(nn.Module):
    """Fuse the peers' features into one classifier, and teach both ways: a rule for ``Peers``, with ``hidden``."""

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.fuse = nn.Linear(sum(widths), max(widths))
        self.classify = nn.Linear(max(widths), classes)

    def forward(self, logits: Tensor, hidden: Sequence[Tensor]) -> Taught:
        """(M, N, C), M of (N, d_k)."""
        return mutual_fusion(logits, self.classify(self.fuse(torch.cat(list(hidden), dim=1)).relu()))


def ffl(
    models: Sequence[nn.Module], widths: Sequence[int], classes: int, *, hidden: str | Sequence[str],
    warm_up: int = 80, **options: Any,
) -> Peers:  # fmt: skip
    """Feature fusion learning. Kim, Hyun, Chung and Kwak, ICPR 2020, arXiv:1904.09058.

    L = sum_k CE(z_k) + CE(z_f) + w [T^2 KL(mean_k z_k -> z_f) + sum_k T^2 KL(z_f -> z_k)], T = 3, every target
    constant, w rising as in ``one``; z_f from all peers' features, by two linear layers where the paper has a depthwise
    and a pointwise convolution. Choose it for peers of different architectures whose features complement each other;
    the fused classifier (``task.rule``) is the best and the dearest of them. options go to ``Peers``.
    """
    return Peers(models, Fusion(widths, classes), hidden=hidden, warm_up=warm_up, **options)


def collaboration(logits: Tensor, ensemble: Tensor, averaged: Tensor) -> Taught:
    """PCL's targets: (M, N, C), (N, C), (M, N, C); the ensemble, and the mean of the others' moving averages."""
    others = logits.size(0) - 1
    means = [(1 / others, averaged.detach().roll(step, dims=0)) for step in range(1, others + 1)]
    return Taught([(1.0, ensemble.detach()), *means], beside={"ensemble": Pupil(ensemble)})


class Collaboration(nn.Module):
    """A classifier on all peers' features, and their moving averages, teach: a rule for ``Peers``, with ``hidden``."""

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(sum(widths), classes)

    def forward(self, logits: Tensor, hidden: Sequence[Tensor], averaged: Tensor) -> Taught:
        """(M, N, C), M of (N, d_k), (M, N, C)."""
        return collaboration(logits, self.classify(torch.cat(list(hidden), dim=1).relu()), averaged)


def pcl(
    models: Sequence[nn.Module], widths: Sequence[int], classes: int, *, hidden: str | Sequence[str],
    warm_up: int = 80, **options: Any,
) -> Peers:  # fmt: skip
    """Peer collaborative learning. Wu and Gong, AAAI 2021, arXiv:2006.04147.

    L = sum_k CE(z_k) + CE(z_e) + w T^2 [sum_k KL(z_e -> z_k) + sum_k mean_{j != k} KL(z~_j -> z_k)], T = 3; z_e a
    classifier on all peers' features, z~_j the moving average of peer j (``decay`` 0.999), w rising as in ``one``.
    Choose it where few rows have labels: averages are steadier teachers than peers of the moment. It costs twice the
    forward passes of the others. options go to ``Peers``.
    """
    return Peers(models, Collaboration(widths, classes), hidden=hidden, warm_up=warm_up, **options)


class PeerAttention(nn.Module):
    """Each peer weighs all by attention, and a leader learns from their mean: a rule for ``Peers``, with ``hidden``.

    a_ij = softmax_j((W_q h_i) . (W_k h_j)) row by row, over all peers, itself included, unscaled; the target of peer i
    is sum_j a_ij z_j. The leader, the last model, is taught (1 / M) sum_j z_j. As in the authors' code targets are not
    constant: attention and peers learn from the KL through them, and the peers through the leader's too.
    """

    def __init__(self, width: int, inner: int | None = None) -> None:
        super().__init__()
        inner = max(width // 8, 1) if inner is None else inner
        self.query, self.key = (nn.Linear(width, inner, bias=False) for _ in range(2))

    def forward(self, logits: Tensor, hidden: Sequence[Tensor]) -> Taught:
        """(M + 1, N, C), M + 1 of (N, d), the leader last."""
        targets = self.attend(logits[:-1], torch.stack(list(hidden[:-1])))
        return Taught([(1.0, torch.cat([targets, logits[:-1].mean(dim=0, keepdim=True)]))])

    def attend(self, logits: Tensor, hidden: Tensor) -> Tensor:
        """The peers' targets: (M, N, C), (M, N, d) -> (M, N, C)."""
        scores = torch.einsum("ind,jnd->nij", self.query(hidden), self.key(hidden))
        return torch.einsum("nij,jnc->inc", scores.softmax(dim=-1), logits)


def okddip(models: Sequence[nn.Module], width: int, *, hidden: str, warm_up: int = 80, **options: Any) -> Peers:
    """OKDDip: diverse peers by attention, then a leader. Chen, Mei, Wang, Feng and Chen, AAAI 2020, arXiv:1912.00350.

    L = sum_k CE_k + w T^2 [sum_{k < leader} KL(t_k -> z_k) + KL(mean z -> z_leader)], T = 3, see ``PeerAttention``; w
    rises as in ``one``. Choose it where peers grow too alike under ``dml``. Three models at least, hidden layers of
    one ``width``; keep the last, the leader. Whether the paper weighs logits or probabilities we do not know; the code
    weighs logits, and adds 1e-7 to the target (``GuardedKL``). options go to ``Peers``.
    """
    if len(models) < 3:
        raise ValueError(f"'models' must hold two peers and their leader at least, got {len(models)}")
    return Peers(models, PeerAttention(width), hidden=hidden, warm_up=warm_up, **options)
