"""What the providers of a case cost: seconds and peak memory, forward, backward and both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.cases.common import Case, Provider
from benchmarks.measure import peak_memory, timed

MODES = ("forward", "backward", "full")
_PATIENCE = 60.0  # seconds of repeats after which a case has no further one


class Cost(NamedTuple):
    """What a provider took in each mode (seconds, megabytes), or why it was not run."""

    seconds: dict[str, float]
    megabytes: dict[str, float]
    refusal: str = ""


def measure(
    case: Case,
    repeats: int,
    limit_gb: float,
    device: torch.device,
    typical: Callable[[Iterable[float]], float] = median,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Cost]:
    """The cost of every provider; repeats go round the providers so that noise meets all of them."""
    refusals = {name: provider.refusal(limit_gb) for name, provider in case.providers.items()}
    runnable = {name: provider for name, provider in case.providers.items() if not refusals[name]}
    megabytes = {name: _megabytes(provider, case.leaves, device) for name, provider in runnable.items()}  # warms up too
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in runnable}
    start = time.perf_counter()
    for _ in range(repeats):
        for name, provider in runnable.items():
            seconds[name].append(_seconds(provider, case.leaves, clock))
        if time.perf_counter() - start > _PATIENCE:
            break
    return {
        name: Cost({}, {}, refusal)
        if refusal
        else Cost({mode: typical(run[mode] for run in seconds[name]) for mode in MODES}, megabytes[name])
        for name, refusal in refusals.items()
    }


def _seconds(provider: Provider, leaves: list[Tensor], clock: Callable[[], float]) -> dict[str, float]:
    output: list[Tensor] = []
    with provider.within():
        (forward,) = timed(lambda: output.append(provider.forward()), clock=clock)
        weight = _weight(output[0])
        (backward,) = timed(lambda: pull(output[0], leaves, weight), clock=clock)
    return {"forward": forward, "backward": backward, "full": forward + backward}


def _megabytes(provider: Provider, leaves: list[Tensor], device: torch.device) -> dict[str, float]:
    output: list[Tensor] = []
    with provider.within():
        forward = peak_memory(lambda: output.append(provider.forward()), device)
        weight = _weight(output[0])
        backward = peak_memory(lambda: pull(output.pop(), leaves, weight), device)
        full = peak_memory(lambda: pull(provider.forward(), leaves, weight), device)
    return dict(zip(MODES, (size / 1e6 for size in (forward, backward, full)), strict=True))


def _weight(output: Tensor) -> Tensor:
    return torch.linspace(1, 2, output.numel(), dtype=output.dtype, device=output.device).view_as(output)


def pull(output: Tensor, leaves: list[Tensor], weight: Tensor) -> tuple[Tensor, ...]:
    """The gradients of the weighted sum of the output."""
    return torch.autograd.grad(output, leaves, weight)
