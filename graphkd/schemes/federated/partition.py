"""Partitions of rows among clients by label, so that each client sees other labels than the next."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.losses._checks import check_positive, class_ids


def _shuffled(y: Tensor, label: int, generator: torch.Generator) -> Tensor:
    """Shuffle the rows of a class."""
    rows = (y == label).nonzero()[:, 0].cpu()
    return rows[torch.randperm(rows.numel(), generator=generator)]


def _sorted(parts: list[list[Tensor]], y: Tensor) -> list[Tensor]:
    return [torch.cat(part).sort().values.to(y.device) for part in parts]


def dirichlet_parts(y: Tensor, clients: int, alpha: float = 0.1, *, seed: int = 0) -> list[Tensor]:
    """Deal the rows of every class out by shares from Dirichlet(alpha): (N,) -> ``clients`` sorted row ids, disjoint.

    The usual label skew (Hsu et al., 2019, arXiv:1909.06335, by class as in FedDF's and FedBE's codes): at alpha = 0.1
    a client has most of its rows in few classes, at 100 all clients are alike. A client may end with no row at all.
    """
    y = class_ids(y, y.size(0))
    check_positive("clients", clients)
    check_positive("alpha", alpha)
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in range(clients)]
    for label in y.unique().tolist():
        rows = _shuffled(y, label, generator)
        gammas = torch._standard_gamma(torch.full((clients,), float(alpha), dtype=torch.float64), generator=generator)
        ends = ((gammas / gammas.sum()).cumsum(0) * rows.numel()).round().long()[:-1]
        for part, dealt in zip(parts, rows.tensor_split(ends.tolist()), strict=True):
            part.append(dealt)
    return _sorted(parts, y)


def class_parts(y: Tensor, clients: int, classes: int = 2, *, seed: int = 0) -> list[Tensor]:
    """Deal out the rows so that every client has ``classes`` classes: (N,) -> ``clients`` sorted row ids, disjoint.

    The pathological skew of McMahan et al., 2017, arXiv:1602.05629: client k has places k c, ..., k c + c - 1, c =
    ``classes``, of the shuffled list of classes, which repeats; clients with the same class share its rows evenly.
    Where ``clients`` times ``classes`` is below the number of classes, rows of the remaining classes are in no part.
    Raises ValueError unless ``classes`` is from 1 to the number of classes.
    """
    y = class_ids(y, y.size(0))
    check_positive("clients", clients)
    labels = y.unique()
    if not 1 <= classes <= labels.numel():
        raise ValueError(f"'classes' must be from 1 to {labels.numel()}, got {classes}")
    generator = torch.Generator().manual_seed(seed)
    labels = labels[torch.randperm(labels.numel(), generator=generator).to(y.device)]
    held = [[int(labels[(k * classes + i) % labels.numel()]) for i in range(classes)] for k in range(clients)]
    parts: list[list[Tensor]] = [[] for _ in range(clients)]
    for label in labels.tolist():
        owners, rows = [k for k in range(clients) if label in held[k]], _shuffled(y, label, generator)
        if owners:
            for k, dealt in zip(owners, rows.tensor_split(len(owners)), strict=True):
                parts[k].append(dealt)
    return _sorted(parts, y)
