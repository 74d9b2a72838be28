"""Teachers of several source domains, weighted by the similarity of their domains to the target (Ruder et al.)."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from graphkd.core.ensemble import Ensemble
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.losses.response.soft_ce import SoftCE
from graphkd.schemes.teachers._combine import soft_target


def domain_similarity(sources: Tensor, target: Tensor) -> Tensor:
    """Compute weights of source domains for a target domain: distributions (K, V), (V,) -> (K,), their sum is 1.

    The weights are 1 - JSD(source || target), JSD in bits, over their sum (equal where no source overlaps the target);
    after Ruder et al., 2017, arXiv:1702.02052, who compare term distributions; here those of items or features. The map
    from divergence to similarity is our choice. The authors train on ``soft_cross_entropy`` at T = 5 with the
    ``soft_target`` of these weights, without T^2, so weight decay must be reduced accordingly. Raises ValueError for
    other shapes.
    """
    if sources.dim() != 2 or sources.shape[1:] != target.shape:
        raise ValueError(
            f"'sources' must have shape (K, V) and 'target' (V,), got {tuple(sources.shape)} and {tuple(target.shape)}"
        )
    middle = (sources + target) / 2
    one, other = (torch.xlogy(p, p) - torch.xlogy(p, middle) for p in (sources, target.expand_as(sources)))
    similarity = (1 - (one + other).sum(dim=1) / (2 * math.log(2))).clamp_min(0)
    rounding = 8 * torch.finfo(similarity.dtype).eps * similarity.numel()
    return torch.where(similarity.sum() > rounding, similarity / similarity.sum(), 1 / max(similarity.numel(), 1))


@method(
    "domain_weights",
    family="domains",
    paper="Ruder et al., 2017",
    arxiv="1702.02052",
    survey=(92,),
    needs=("teachers", "sources"),
    cannot={"sparse": "it estimates densities of the features"},
)
def domain_weights(problem: Problem, *, sources: Tensor, temperature: float = 5.0) -> nn.Module:
    """Learn from teachers of several source domains, no labels; choose it where the target domain has no labels.

    ``sources``: (N,), for each node the place in the list of teachers, from 0, of the one trained on its domain; -1 for
    target nodes. On all nodes the student learns the weighted mean of the teachers' answers, softened by
    ``temperature``. The weights are the ``domain_similarity`` of each source to the target; a domain's distribution is
    the sum of ``x`` over its nodes, normalised, with negative entries counted as 0, since ``x`` should hold counts of
    terms or items. The cross-entropy is multiplied by the temperature squared, unlike the paper's, so that weight decay
    does not outweigh it. Costs a pass over the data, and steps of plain distillation. Raises ValueError unless the
    target and every teacher have nodes.
    """
    combine = partial(soft_target, temperature=temperature)
    several = Ensemble(problem.teachers, combine, weights=_weights(problem, sources))
    return problem.train(problem.distiller(problem.student, several, temperature**2 * SoftCE(temperature)))


def _weights(problem: Problem, sources: Tensor) -> Tensor:
    """Compute the weight of each teacher, (K,)."""
    count, terms = len(problem.teachers), problem.values_of("x").clamp_min(0)
    wanted = list(range(-1, count))
    if sources.shape != (problem.nodes,) or sources.is_floating_point() or sources.unique().tolist() != wanted:
        raise ValueError(
            f"'sources' must be integers of shape ({problem.nodes},), all of {wanted} among them: -1 for the target, "
            f"else the place of a teacher; got {sources.dtype} {tuple(sources.shape)} with {sources.unique().tolist()}"
        )
    sources = sources.to(terms.device)
    counts = torch.stack([terms[sources == place].sum(dim=0) for place in (*range(count), -1)])
    shares = counts / counts.sum(dim=1, keepdim=True).clamp_min(torch.finfo(counts.dtype).tiny)
    return domain_similarity(shares[:-1], shares[-1])
