"""The worst change of an input within a small box, on which adversarially robust students train."""

from collections.abc import Callable

import torch
from torch import Tensor

Objective = Callable[[Tensor], Tensor]


def adversarial_change(
    objective: Objective,
    x: Tensor,
    epsilon: float,
    *,
    steps: int = 5,
    step_size: float | None = None,
    start: Tensor | None = None,
    bounds: tuple[float, float] | None = None,
) -> Tensor:
    """Find the change of features within [-epsilon, epsilon] that raises a loss, by projected gradient ascent.

    From ``start`` (by default uniform) take ``steps`` steps of ``step_size`` (by default epsilon / 4) along the sign of
    the gradient, clamped after each. bounds: the range of x + change, if features have one, as node features and
    embeddings rarely do. objective: features -> scalar; x, start: (N, F) -> (N, F). Raises ValueError where ``epsilon``
    or ``steps`` is below 0. Madry et al., ICLR 2018, arXiv:1706.06083.
    """
    if epsilon < 0 or steps < 0:
        raise ValueError(f"'epsilon' and 'steps' must be at least 0, got {epsilon} and {steps}")
    size = epsilon / 4 if step_size is None else step_size
    change = epsilon * (2 * torch.rand_like(x) - 1) if start is None else start
    for _ in range(steps):
        change = change.detach().requires_grad_()
        (slope,) = torch.autograd.grad(objective(x + change), change)
        change = (change.detach() + size * slope.sign()).clamp(-epsilon, epsilon)
        if bounds is not None:
            change = (x + change).clamp(*bounds) - x
    return change.detach()
