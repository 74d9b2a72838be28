"""Peers that agree on who a node is, against memories of all nodes (MCL-OKD)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels.norms import unit_vectors
from graphkd.losses._checks import check_positive, row_ids
from graphkd.losses._negatives import Drawn, NegativeDraws, Part
from graphkd.losses._projector import Linear
from graphkd.losses.information.crd import EPS, crd, crd_log_normaliser, first_memory, remember
from graphkd.schemes.online.peers import Others, PeerTargets, Where, leader_last, peers_of, soft_of, train_peers


class PeerContrast(nn.Module):
    """Contrast every peer's rows with each other's memory of all nodes: a rule for ``Peers``, which needs ``hidden``.

    With u_k = P_k(h_k), a linear map to unit vectors, the loss is ``weight`` times the sum over ordered pairs (i, j) of
    ``crd`` with anchors of j and the memory of i; Z is recomputed for every batch. Only the last peer has a soft
    target, the mean of all logits. In training the memories' rows become M_i <- (m M_i + (1 - m) u_i) / |.|, m =
    ``momentum``. widths: of the peers' hidden layers. projection: width of u. ``n_id``, ``negatives``, ``eps``: as in
    ``CRD``. Time and memory: those of ``CRD`` for each of M (M - 1) contrasts a step. Raises ValueError for
    ``num_nodes`` below 2.
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
        self.heads = nn.ModuleList(Linear(width, projection) for width in widths)
        self.register_buffer("memories", torch.stack([first_memory(num_nodes, projection) for _ in widths]))
        self.draws = NegativeDraws(negatives, num_nodes, own_first=True)
        self.temperature, self.momentum = check_positive("temperature", temperature), momentum
        self.eps, self.weight = eps, weight

    def forward(
        self, logits: Tensor, hidden: Sequence[Tensor], *, n_id: Tensor | None = None, negatives: Tensor | None = None
    ) -> PeerTargets:
        """Make the targets: logits (M, N, C), M hidden layers (N, d_k), node ids (N,), negatives (N, K)."""
        own = logits.detach()
        targets = torch.cat([own[:-1], own.mean(dim=0, keepdim=True)])
        contrast = self.weight * self.contrast(hidden, n_id, negatives)
        return PeerTargets([(1.0, targets)], terms={"contrast": contrast})

    def contrast(self, hidden: Sequence[Tensor], n_id: Tensor | None = None, negatives: Tensor | None = None) -> Tensor:
        """Sum the contrasts over ordered pairs; scalar."""
        ids = row_ids(n_id, hidden[0].size(0), self.memories.size(1), hidden[0].device)
        drawn: Drawn = self.draws(ids, negatives)
        rows = [unit_vectors(head(h)) for head, h in zip(self.heads, hidden, strict=True)]
        pairs = list(permutations(range(len(rows)), 2))

        def normalisers(index: Part, *anchors: Tensor) -> Tensor:
            sides = ((anchors[j], self.memories[i]) for i, j in pairs)
            return torch.stack([crd_log_normaliser(*side, index, self.temperature) for side in sides])

        def contrasts(index: Part, *anchors: Tensor) -> Tensor:
            known = zip(pairs, log_z, strict=True)
            sides = ((anchors[j], self.memories[i], index, z) for (i, j), z in known)
            return torch.stack([crd(*side, self.temperature, eps=self.eps) for side in sides]).sum()

        log_z = drawn.log_mean(normalisers, *rows)
        total = drawn.mean(contrasts, *rows)
        if self.training:
            for memory, anchor in zip(self.memories, rows, strict=True):
                remember(memory, ids, anchor, self.momentum)
        return total


@method(
    "mcl_okd",
    family="online",
    paper="Yang et al., ICASSP 2022",
    arxiv="2006.04093",
    survey=(147,),
    needs=("hidden",),
    teacher=False,
    space={"momentum": (0.05, 0.99)},
)
def mcl_okd(
    problem: Problem,
    *,
    count: int = 3,
    temperature: float = 3.0,
    weight: float = 0.025,
    contrast_temperature: float = 0.1,
    projection: int = 128,
    negatives: int = 1024,
    momentum: float = 0.5,
    where: Where = "labelled",
    peers: Others = None,
) -> nn.Module:
    """Train peers that contrast each other's rows with memories of all nodes; choose it for embeddings to retrieve by.

    "Multi-view Contrastive Learning for Online Knowledge Distillation", see ``PeerContrast``. The student alone learns
    the mean of all logits. weight: of the contrast; contrast_temperature, projection, momentum: its settings.
    negatives: number drawn for each row at every step (the paper's 16,384 where there are many nodes). count, where,
    peers: as in ``dml``, 3 models at least. Costs M trainings and M memories of all nodes, (N, ``projection``).
    """
    models = leader_last(peers_of(problem, peers, count))
    widths = [problem.width_of(model) for model in models]
    options: dict[str, Any] = {"negatives": negatives, "momentum": momentum, "weight": weight}
    options["temperature"] = contrast_temperature
    rule = problem.made(lambda: PeerContrast(problem.nodes, widths, projection, **options))
    return train_peers(problem, models, rule, soft=soft_of(problem, temperature, where))
