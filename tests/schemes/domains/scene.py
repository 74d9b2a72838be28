"""A graph of a labelled source and an unlabelled target, and a discriminator."""

from __future__ import annotations

import math

import torch
from torch import nn

from graphkd.core.batches import changed
from tests.core.models import graph


def discriminator(width=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))


def binary(logit, label):
    chance = 1 / (1 + math.exp(-logit))
    return -math.log(chance if label else 1 - chance)


def domains(data=None):
    """Training nodes are the source, test nodes the target."""
    data = graph() if data is None else data
    return changed(data, source_mask=data.train_mask, target_mask=data.test_mask)


def of_nodes(data, targets=1):
    """The domain of every node: 0 for training nodes, 1 for test nodes, and ``targets`` for those of validation."""
    domain = torch.zeros(data.num_nodes, dtype=torch.long)
    domain[data.test_mask], domain[data.val_mask] = 1, targets
    return domain
