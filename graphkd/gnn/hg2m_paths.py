"""Precomputations of HG2M: reliable nodes, pairs of nodes by meta-paths, and the pairs that join one class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from graphkd.kernels.norms import unit_vectors

ROWS = 4096  # of a product of incidences at a time: with hubs it is dense
PAIRS = 1 << 18  # whose features are gathered at a time
LEAST_SCORE = 0.01


class Pairs(NamedTuple):
    """Pairs of nodes u < v, (2, P), and how many meta-paths join each, (P,)."""

    ends: Tensor
    shared: Tensor


class Taught(NamedTuple):
    """Edges from a reliable node to the node that learns from it, (2, E), and their scores in (0, 1], (E,)."""

    edge_index: Tensor
    score: Tensor


def reliable_nodes(probabilities: Tensor, labels: Tensor, labelled: Tensor, others: Tensor, share: float) -> Tensor:
    """Select nodes whose soft labels are trusted: (N, C), (N,), ids of labelled and of other nodes -> ids.

    These are the labelled nodes that the teacher classifies correctly, and those of the n others whose entropy is among
    the int(share n) lowest and whose largest probability is among the int(share n) highest, ties included. A
    probability of exactly 0 adds 0 to an entropy; the authors' code gets NaN and drops the node.
    """
    right = labelled[probabilities[labelled].argmax(dim=1) == labels[labelled]]
    count = int(share * len(others))
    if not count:
        return right
    p = probabilities[others]
    entropy, confidence = -torch.special.xlogy(p, p).sum(dim=1), p.amax(dim=1)
    low, high = entropy.topk(count, largest=False).values[-1], confidence.topk(count).values[-1]
    return torch.cat([right, others[(entropy <= low) & (confidence >= high)]])


def meta_path_pairs(incidence: Tensor, nodes: int, reliable: Tensor, least: int = 1) -> Pairs:
    """Find pairs u < v that share ``least`` groups or more, one of them reliable: (2, M) of (node, group) -> pairs.

    nodes: N. The product of the incidence matrix and its transpose is computed in blocks of rows, never as a whole.
    """
    rows, columns = incidence.cpu().numpy()
    groups = int(columns.max()) + 1 if len(columns) else 0
    member = scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(nodes, groups))
    trusted = np.zeros(nodes, dtype=bool)
    trusted[reliable.cpu().numpy()] = True
    found, back = [], member.T.tocsr()
    for first in range(0, nodes, ROWS):
        block = (member[first : first + ROWS] @ back).tocoo()
        u, v = block.row.astype(np.int64) + first, block.col.astype(np.int64)
        kept = (u < v) & (block.data >= least) & (trusted[u] | trusted[v])
        found.append(np.stack([u[kept], v[kept], block.data[kept].astype(np.int64)]))
    ends = torch.from_numpy(np.concatenate(found, axis=1)).to(incidence.device)
    return Pairs(ends[:2], ends[2])


def pair_features(pairs: Pairs, x: Tensor, probabilities: Tensor) -> Tensor:
    """Compute (cosine of features, shared groups, inner product of soft labels) of each pair: -> (P, 3)."""
    unit = unit_vectors(x)
    parts = []
    for u, v in zip(*(end.split(PAIRS) for end in pairs.ends), strict=True):
        parts.append(torch.stack([(unit[u] * unit[v]).sum(1), (probabilities[u] * probabilities[v]).sum(1)]))
    alike = torch.cat(parts, dim=1) if parts else x.new_zeros(2, 0)
    return torch.stack([alike[0], pairs.shared.to(alike), alike[1]], dim=1)


def fit_logistic(x: Tensor, y: Tensor, *, c: float = 1.0, steps: int = 100) -> Tensor:
    """Fit 1/2 |w|^2 + C sum log(1 + exp(-y (w x + b))), y of 0 and 1, by Newton's method: (P, d), (P,) -> (d + 1,).

    The intercept comes last and is not penalised: scikit-learn's defaults.
    """
    design = torch.cat([x.double(), torch.ones_like(x[:, :1]).double()], dim=1)
    penalty = torch.ones(design.size(1), dtype=torch.float64, device=x.device)
    penalty[-1] = 0
    weight = torch.zeros_like(penalty)

    def loss(w: Tensor) -> Tensor:
        scores = design @ w
        return 0.5 * (penalty * w.square()).sum() + c * (torch.nn.functional.softplus(scores) - y * scores).sum()

    for _ in range(steps):
        chance = (design @ weight).sigmoid()
        slope = penalty * weight + c * design.t() @ (chance - y)
        curve = torch.diag(penalty) + c * design.t() @ (design * (chance * (1 - chance))[:, None])
        step = torch.linalg.lstsq(curve + 1e-10 * torch.eye(len(weight)).to(curve), slope).solution
        while loss(weight - step) > loss(weight) and float(step.abs().max()) > 1e-12:
            step = step / 2
        weight = weight - step
        if float(step.abs().max()) < 1e-10:
            break
    return weight


def reliable_edges(pairs: Pairs, features: Tensor, labels: Tensor, labelled: Tensor, reliable: Tensor) -> Taught:
    """Choose the pairs that join one class, and direct them from their reliable ends.

    Pairs with two labelled ends are chosen if the labels are equal, with score 1. On these pairs a logistic regression
    of ``pair_features`` is fitted; other pairs are chosen if its probability of equal labels is above 1/2, which is
    their score. Scores are then scaled to [0, 1], unless all are equal, and edges of scores up to 0.01 are dropped.
    Without labelled pairs of both kinds nothing can be fitted, and only labelled pairs are chosen.
    """
    known = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    known[labelled] = True
    (u, v), same = pairs.ends, labels[pairs.ends[0]] == labels[pairs.ends[1]]
    train = known[u] & known[v]
    true = (train & same).nonzero()[:, 0]
    chosen, score = [true], [torch.ones(len(true), dtype=torch.float64, device=labels.device)]
    if bool((same[train] != same[train][:1]).any()):
        weight = fit_logistic(features[train], same[train].double())
        rest = (~train).nonzero()[:, 0]
        chance = (features[rest].double() @ weight[:-1] + weight[-1]).sigmoid()
        chosen, score = [true, rest[chance > 0.5]], [*score, chance[chance > 0.5]]
    ends, scores = pairs.ends[:, torch.cat(chosen)], torch.cat(score)
    trusted = torch.zeros_like(known)
    trusted[reliable] = True
    both, scores = torch.cat([ends, ends.flip(0)], dim=1), scores.repeat(2)
    directed = trusted[both[0]]
    return _scaled(both[:, directed], scores[directed])


def _scaled(edge_index: Tensor, score: Tensor) -> Taught:
    if not score.numel() or score.min() == score.max():
        return Taught(edge_index, score)
    score = (score - score.min()) / (score.max() - score.min())
    kept = score > LEAST_SCORE
    return Taught(edge_index[:, kept], score[kept])
