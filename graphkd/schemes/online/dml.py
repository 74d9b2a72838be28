"""Peers that learn from each other's answers, and those that play for or against a critic: DML, AFIKD, AFD, MCL-OKD."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, row_ids
from graphkd.losses.information.crd import EPS, crd, crd_log_normaliser, first_memory, remember
from graphkd.losses.response.kd import KL
from graphkd.schemes.peers import Peers, Taught


def each_other(logits: Tensor, *, weight: float | None = None) -> Taught:
    """Every peer is taught by each other peer: (M, N, C); ``weight`` of each, 1 / (M - 1) by default."""
    others = logits.size(0) - 1
    fixed = logits.detach()
    share = 1 / max(others, 1) if weight is None else weight
    return Taught([(share, fixed.roll(step, dims=0)) for step in range(1, others + 1)])


def dml(models: Sequence[nn.Module], *, weight: float | None = None, temperature: float = 1.0, **options: Any) -> Peers:
    """Deep mutual learning. Zhang, Xiang, Hospedales and Lu, CVPR 2018, arXiv:1706.00384.

    L_k = CE_k + (1 / (M - 1)) sum_{l != k} KL(p_l || p_k) at T = 1. Choose it as the plainest of the online schemes:
    peers of any architectures, nothing added to them. Its gradient is that of the KL to the others' mean probabilities
    (DML_e). The authors' code sums over peers (``weight=1``) and takes steps in turn, with answers anew; here at once.
    options go to ``Peers``.
    """
    options.setdefault("soft", KL(temperature))
    return Peers(models, partial(each_other, weight=weight), **options)


class AttendedFeatures(nn.Module):
    """Peers learn each other's hidden features, weighted by attention: a rule for ``Peers``, which needs ``hidden``.

    Su et al., "Attention-based Feature Interaction for Efficient Online Knowledge Distillation", ICDM 2021 (AFIKD).
    a_ij = softmax over j != i of (W_q h_i) . (W_k h_j) / sqrt(inner); mean_i |h_i - sum_j a_ij h_j|^2 / d, the others'
    features constant, plus the targets of ``each_other``. Choose it for peers of one width whose hidden layers will be
    used, for retrieval say. We know no formula or code of the paper: this is what the survey says of it.
    """

    def __init__(self, width: int, inner: int | None = None, *, weight: float = 1.0) -> None:
        super().__init__()
        self.inner, self.weight = max(width // 8, 1) if inner is None else inner, weight
        self.query, self.key = (nn.Linear(width, self.inner, bias=False) for _ in range(2))

    def forward(self, logits: Tensor, hidden: Sequence[Tensor]) -> Taught:
        """(M, N, C), M of (N, d)."""
        own = torch.stack(list(hidden))
        fixed = own.detach()
        scores = torch.einsum("ind,jnd->nij", self.query(fixed), self.key(fixed)) / self.inner**0.5
        itself = torch.eye(own.size(0), dtype=torch.bool, device=own.device)
        attention = scores.masked_fill(itself, -torch.inf).softmax(dim=-1)
        attended = torch.einsum("nij,jnd->ind", attention, fixed)
        return Taught(each_other(logits).targets, terms={"features": self.weight * F.mse_loss(own, attended)})


def fooling_squares(own: Tensor) -> Tensor:
    """A network's loss on its discriminator's scores of its own features, mean (1 - d)^2: (N,) -> scalar."""
    return (1 - own).square().sum() / max(own.numel(), 1)


def discrimination_squares(own: Tensor, others: Tensor) -> Tensor:
    """The discriminator's loss on scores of its network's and another's features: (N,), (N,) -> scalar.

    mean (1 - d(other))^2 + mean d(own)^2, the least-squares form of Mao et al., ICCV 2017, arXiv:1611.04076.
    """
    return fooling_squares(others) + own.square().sum() / max(own.numel(), 1)


class Adversaries(nn.Module):
    """Peers learn each other's distribution of features through discriminators: a rule for ``Peers``, with ``hidden``.

    Chung, Park, Kim and Kwak, "Feature-map-level Online Adversarial Knowledge Distillation", ICML 2020,
    arXiv:2002.01775 (AFD). D_k tells the features of peer k + 1 (cyclic: 1) from those of peer k (0), peer k fools it;
    answers are taught by each other peer, T = 3 in the paper. Choose it where hidden features are to be alike as a
    distribution and rows should keep theirs. Widths must agree. Where the paper takes steps in turn with optimisers of
    their own, both parts are here one loss: peers see the discriminators constant, discriminators the features.
    """

    def __init__(self, peers: int, width: int, *, weight: float = 1.0) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(nn.Linear(width, 1) for _ in range(peers))
        self.weight = weight

    def forward(self, logits: Tensor, hidden: Sequence[Tensor]) -> Taught:
        """(M, N, C), M of (N, d)."""
        fooling: Any = 0.0
        discrimination: Any = 0.0
        for k, discriminator in enumerate(self.discriminators):
            constant = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
            fooling = fooling + fooling_squares(functional_call(discriminator, constant, (hidden[k],)))
            own, other = (discriminator(hidden[peer % len(hidden)].detach()) for peer in (k, k + 1))
            discrimination = discrimination + discrimination_squares(own, other)
        terms = {"fooling": self.weight * fooling, "discrimination": discrimination}
        return Taught(each_other(logits).targets, terms=terms)


class PeerContrast(nn.Module):
    """Peers agree on who a node is, against memories of all nodes: a rule for ``Peers``, with ``hidden``.

    Yang, An and Xu, "Multi-view Contrastive Learning for Online Knowledge Distillation", ICASSP 2022, arXiv:2006.04093
    (MCL-OKD). u_k = P_k(h_k), a linear map to unit vectors; the sum over ordered pairs (i, j) of ``crd`` with anchors
    of j and the memory of i, Z anew for every batch, times ``weight`` (0.025). Only the last peer is taught answers:
    the mean of all logits, T = 3. While training, the memories' rows become M_i <- (m M_i + (1 - m) u_i) / |.|. Choose
    it for embeddings to be searched in. ``n_id``, ``negatives``, ``eps``: as in ``CRD``. O(M (M - 1) N K p) a step.
    """

    memories: Tensor

    def __init__(
        self,
        num_nodes: int,
        widths: Sequence[int],
        projection: int = 128,
        *,
        negatives: int = 16384,
        temperature: float = 0.1,
        momentum: float = 0.5,
        eps: float = EPS,
        weight: float = 0.025,
    ) -> None:
        super().__init__()
        if num_nodes < 2:
            raise ValueError(f"'num_nodes' must be 2 at least, for negatives, got {num_nodes}")
        self.heads = nn.ModuleList(nn.Linear(width, projection) for width in widths)
        self.register_buffer("memories", torch.stack([first_memory(num_nodes, projection) for _ in widths]))
        self.samples = int(check_positive("negatives", negatives))
        self.temperature, self.momentum = check_positive("temperature", temperature), momentum
        self.eps, self.weight = eps, weight

    def forward(
        self, logits: Tensor, hidden: Sequence[Tensor], *, n_id: Tensor | None = None, negatives: Tensor | None = None
    ) -> Taught:
        """(M, N, C), M of (N, d_k), (N,), (N, K)."""
        own = logits.detach()
        targets = torch.cat([own[:-1], own.mean(dim=0, keepdim=True)])
        return Taught([(1.0, targets)], terms={"contrast": self.weight * self.contrast(hidden, n_id, negatives)})

    def contrast(self, hidden: Sequence[Tensor], n_id: Tensor | None = None, negatives: Tensor | None = None) -> Tensor:
        """The sum over ordered pairs; scalar."""
        held, device = self.memories.size(1), hidden[0].device
        ids = row_ids(n_id, hidden[0].size(0), held, device)
        if negatives is None:
            drawn = torch.randint(held - 1, (ids.size(0), self.samples), device=device)
            negatives = drawn + (drawn >= ids[:, None])
        index = torch.cat([ids[:, None], negatives], dim=1)
        rows = [
            F.normalize(head(h).to(accumulation_dtype(h)), dim=1) for head, h in zip(self.heads, hidden, strict=True)
        ]
        total: Any = 0.0
        for i, memory in enumerate(self.memories):
            for j, anchor in enumerate(rows):
                if i != j:
                    log_z = crd_log_normaliser(anchor, memory, index, self.temperature)
                    total = total + crd(anchor, memory, index, log_z, self.temperature, eps=self.eps)
        if self.training:
            for memory, anchor in zip(self.memories, rows, strict=True):
                remember(memory, ids, anchor, self.momentum)
        return total
