"""What a server makes of what clients send: averages of weights, samples around them, short codes of soft labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def average_states(states: Sequence[State], sizes: Sequence[float] | Tensor | None = None) -> dict[str, Tensor]:
    """sum_k n_k / n w_k over clients' weights. McMahan et al., AISTATS 2017, arXiv:1602.05629 (FedAvg).

    Choose it where all clients train one architecture and their labels are alike: it costs the server nothing.
    ``sizes``: examples of each client, by default equal. Integers, such as counters, are the largest client's.
    """
    shares = _shares(states, sizes)
    largest = int(shares.argmax())

    def averaged(name: str, first: Tensor) -> Tensor:
        if not first.is_floating_point():
            return states[largest][name].clone()
        stack = torch.stack([state[name] for state in states])
        return torch.tensordot(shares.to(stack), stack, dims=1)

    return {name: averaged(name, first) for name, first in states[0].items()}


def _shares(states: Sequence[State], sizes: Sequence[float] | Tensor | None) -> Tensor:
    if not states:
        raise ValueError("'states' must hold one at least, got none")
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes):
        raise ValueError("'states' must be of one architecture to be averaged, got entries of other names or shapes")
    counts = torch.ones(len(states)) if sizes is None else torch.as_tensor(sizes)
    if counts.shape != (len(states),) or bool((counts < 0).any()) or not bool(counts.sum() > 0):
        raise ValueError(f"'sizes' must be {len(states)} counts, one of them above 0, got {counts.tolist()}")
    return counts.double() / counts.sum().double()


def sample_state(
    base: State,
    states: Sequence[State],
    noise: State,
    *,
    variance_scale: float = 0.1,
    step: float = 1.0,
    least_variance: float = 1e-5,
) -> dict[str, Tensor]:
    """A global model drawn around what clients sent. Chen and Chao, ICLR 2021, arXiv:2009.01974 (FedBE).

    With u_k = (w_k - base) / |w_k - base| of every parameter tensor, m and v the mean and the variance of the u_k:
    base + step mean_k |w_k - base| (m + variance_scale sqrt(max(v, least_variance)) noise), the authors' code; the
    paper has a plain diagonal Gaussian of the w_k. ``noise``: standard normal, of the shapes of ``base``. A tensor that
    no client changed stays; integers are the base's.
    """

    def drawn(name: str, first: Tensor) -> Tensor:
        if not first.is_floating_point():
            return first.clone()
        updates = torch.stack([state[name] - first for state in states])
        norms = torch.linalg.vector_norm(updates.flatten(1), dim=1)
        rows = (-1, *[1] * first.dim())
        directions = updates / norms.clamp_min(torch.finfo(norms.dtype).tiny).reshape(rows)
        mean = directions.mean(dim=0)
        variance = (directions.square().mean(dim=0) - mean.square()).clamp_min(least_variance)
        return first + step * norms.mean() * (mean + variance_scale * variance.sqrt() * noise[name])

    _shares(states, None)
    return {name: drawn(name, first) for name, first in base.items()}


def quantise(probabilities: Tensor, bits: int = 1) -> Tensor:
    """Probabilities in few bits: (N, C) -> (N, C). Sattler et al., TNSE 2021, arXiv:2012.00632 (CFD).

    The point nearest in L1 whose entries are multiples of 1 / (2^bits - 1) and sum to 1: every entry rounded down, the
    units that are left to the largest remainders, of equal ones to the first class. One bit is the one-hot argmax.
    O(N C log C).
    """
    if not 1 <= bits <= 16:
        raise ValueError(f"'bits' must be from 1 to 16, got {bits}")
    levels = 2**bits - 1
    scaled = probabilities * levels
    units = scaled.floor()
    left = (levels - units.sum(dim=-1, keepdim=True)).round()
    order = (scaled - units).argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        -1, order, torch.arange(order.size(-1), device=order.device).expand_as(order)
    )
    return (units + (rank < left)) / levels
