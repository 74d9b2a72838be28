"""The average of clients' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def average_states(states: Sequence[State], sizes: Sequence[float] | Tensor | None = None) -> dict[str, Tensor]:
    """Average clients' weights, sum_k n_k / n w_k. McMahan et al., AISTATS 2017, arXiv:1602.05629 (FedAvg).

    ``sizes``: examples of each client, by default equal. Integers, such as counters, are the largest client's.
    """
    check_states(states)
    counts = torch.ones(len(states)) if sizes is None else torch.as_tensor(sizes)
    if counts.shape != (len(states),) or bool((counts < 0).any()) or not bool(counts.sum() > 0):
        raise ValueError(f"'sizes' must be {len(states)} counts, one of them above 0, got {counts.tolist()}")
    shares = counts.double() / counts.sum().double()
    largest = int(shares.argmax())

    def averaged(name: str, first: Tensor) -> Tensor:
        if not first.is_floating_point():
            return states[largest][name].clone()
        stack = torch.stack([state[name] for state in states])
        return torch.tensordot(shares.to(stack), stack, dims=1)

    return {name: averaged(name, first) for name, first in states[0].items()}


def check_states(states: Sequence[State]) -> None:
    """Raise ValueError unless there are weights, and all are of one architecture."""
    if not states:
        raise ValueError("'states' must hold one at least, got none")
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes):
        raise ValueError("'states' must be of one architecture to be averaged, got entries of other names or shapes")
