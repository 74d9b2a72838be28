"""What the tests of CRD and CRCD share: NCE one candidate at a time, memories and batches."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from graphkd.losses import CRCD, CRD, crcd, crcd_log_normaliser, crd, crd_log_normaliser
from tests.losses.example import dot, unit

HELD, TAU = 8, 0.3

INDEX = torch.tensor([[2, 6, 3, 6], [7, 2, 1, 4], [1, 0, 4, 5], [4, 7, 6, 3], [0, 1, 2, 3]])


def memory(seed, width=3):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(HELD, width, generator=generator, dtype=torch.float64), dim=1)


def estimation(scores, z, negatives=3, held=HELD, eps=1e-7):
    """-log h(positive) - sum log of the noise's share, for rows of scores whose first is the positive's."""
    c, total = negatives / held, 0.0
    for row in scores:
        a = [math.exp(score) / z for score in row]
        total -= math.log(a[0] / (a[0] + c + eps)) + sum(math.log(c / (value + c + eps)) for value in a[1:])
    return total / len(scores)


def mean_exp(scores):
    values = [math.exp(score) for row in scores for score in row]
    return sum(values) / len(values)


def products(rows, held, index=INDEX):
    return [[dot(row, held[k]) / TAU for k in index[i]] for i, row in enumerate(rows)]


def relation(one, other, eps):
    return unit([float(a) - float(b) + eps for a, b in zip(one, other, strict=True)])


def relations(rows, held, index=INDEX, eps=1e-6):
    """Every row against every anchor."""
    anchors = [held[k] for k in index[:, 0]]
    return [
        [dot(relation(row, anchor, eps), relation(held[k], anchor, eps)) / TAU for k in index[i]]
        for i, row in enumerate(rows)
        for anchor in anchors
    ]


KINDS = {CRD: (crd, crd_log_normaliser, products), CRCD: (crcd, crcd_log_normaliser, relations)}

each_kind = pytest.mark.parametrize("kind", KINDS)


def remembering(kind, **options):
    """With memories that stay as they are, so that a loss is one function."""
    loss = kind(6, 3, 5, 4, negatives=3, temperature=0.5, **options).eval()
    loss.log_normaliser.fill_(2.0)
    return loss


def batches(count=3):
    torch.manual_seed(1)
    for _ in range(count):
        ids = torch.randperm(6)[:4]
        yield torch.randn(4, 3), torch.randn(4, 5), ids


def facts(graph, width):
    """Ids and negatives of every node."""
    ids = torch.arange(graph.num_nodes)
    return {"n_id": ids, "negatives": (ids[:, None] + torch.tensor([1, 2, 4])) % 6}
