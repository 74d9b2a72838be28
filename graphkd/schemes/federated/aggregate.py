"""Averages of clients' weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from graphkd.schemes.federated._checks import (
    MAX_SIZE,
    MAX_VALUE,
    check_message,
    check_sizes,
    check_tensors,
    entries_of,
    named,
)

State = Mapping[str, Tensor]


def average_states(
    states: Sequence[State],
    sizes: Sequence[float] | Tensor | None = None,
    *,
    max_size: float = MAX_SIZE,
    max_value: float = MAX_VALUE,
) -> dict[str, Tensor]:
    """Average clients' weights, sum_k n_k / n w_k. McMahan et al., AISTATS 2017, arXiv:1602.05629 (FedAvg).

    ``sizes``: examples of each client, by default equal. Integers, such as counters, are the largest client's.
    Raises ValueError that names the client, counted from 0, and the entry, where names, shapes or dtypes are not those
    of most, where a value is not finite or above ``max_value`` in magnitude, and where a size is not above 0 and at
    most ``max_size``.
    """
    check_states(states, max_value=max_value)
    return mean_state(states, None if sizes is None else check_sizes(sizes, len(states), max_size))


def mean_state(states: Sequence[State], counts: Tensor | None = None) -> dict[str, Tensor]:
    """Average weights that were checked; by default all count the same."""
    counts = torch.ones(len(states)) if counts is None else counts
    shares = counts.double() / counts.double().sum()
    largest = int(shares.argmax())

    def averaged(name: str, first: Tensor) -> Tensor:
        if not first.is_floating_point():
            return states[largest][name].clone()
        stack = torch.stack([state[name] for state in states])
        return torch.tensordot(shares.to(stack), stack, dims=1)

    return {name: averaged(name, first) for name, first in states[0].items()}


def check_states(states: Sequence[State], base: State | None = None, *, max_value: float = MAX_VALUE) -> None:
    """Raise ValueError unless there are states, all of the architecture of ``base``, by default the commonest one."""
    if not states:
        raise ValueError("'states' must hold one at least, got none")
    for who, state in enumerate(states):
        check_tensors(state, named(who))
    reference = entries_of(_usual(states) if base is None else base, max_value)
    for who, state in enumerate(states):
        check_message(state, reference, named(who))


def _usual(states: Sequence[State]) -> State:
    """Return a state of the commonest names, shapes and dtypes; of equally many the first."""
    forms = [
        tuple(sorted((name, tuple(value.shape), str(value.dtype)) for name, value in state.items())) for state in states
    ]
    return states[forms.index(Counter(forms).most_common(1)[0][0])]
