"""Rows of a labelled source and of targets without labels, and who tells them apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.problem import Problem
from graphkd.core.teachers import Cached, Frozen
from graphkd.core.view import names

SOURCE, TARGET = "source_mask", "target_mask"


def with_domains(problem: Problem, domains: Tensor, *, targets: int = 1) -> Any:
    """Say in the data where rows are from: masks ``SOURCE`` and ``TARGET``, and ``domain``, 1, 2 ... for targets.

    domains: of every node, (N,), 0 for the source. Labels are learnt of the source's labelled rows alone, which are
    ``SOURCE`` and have ``domain`` 0; its other rows have -1. ValueError unless there are ``targets`` at least.
    """
    if domains.dim() != 1 or domains.is_floating_point() or domains.size(0) < problem.nodes:
        raise ValueError(
            f"'domains' must hold an integer for each of {problem.nodes} nodes, 0 for the source and 1, 2 ... for "
            f"targets, got {domains.dtype} of shape {tuple(domains.shape)}"
        )
    labelled = problem.values_of(problem.labelled)
    domains = domains[: problem.nodes].to(labelled.device)
    source, found = labelled & (domains == 0), domains[domains > 0].unique()
    if not bool(source.any()) or found.numel() < targets:
        raise ValueError(
            f"'domains' must have labelled nodes of the source, 0, and {targets} target(s) at least, got "
            f"{int(source.sum())} labelled nodes of 0 and targets {found.tolist()}"
        )
    domain = torch.where((domains == 0) & ~labelled, -1, domains)
    return problem.with_values(**{SOURCE: source, TARGET: domains > 0, "domain": domain})


def discriminator(width: int, inner: int = 64) -> nn.Module:
    """Make a net that tells rows of a width apart, by one logit."""
    return nn.Sequential(nn.Linear(width, inner), nn.LeakyReLU(0.2), nn.Linear(inner, 1))


def teacher_of(problem: Problem, model: nn.Module, data: Any) -> Frozen:
    """Make a teacher of a copy of a model, which answers about ``data`` in place of the run's own."""
    twin, call = problem.twin(model), problem.call_of(model)
    return Frozen(twin, call=call) if names(data) is None else Cached(twin, data, call=call)
