"""Data-free distillation from activation records: inputs that a teacher takes for its training data.

Lopes, Fenu and Starner, "Data-Free Knowledge Distillation for Deep Neural Networks", 2017, arXiv:1710.07535.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphkd.core.view import Viewer


@dataclass(frozen=True)
class Record:
    """Mean (d,) and a factor L (d, d) of the covariance L L^T of a layer's activations on the training data.

    Keep it beside a teacher whose data you must not keep. It is no guarantee of privacy: statistics leak too.
    """

    mean: Tensor
    factor: Tensor

    @classmethod
    def of(cls, activations: Tensor) -> Record:
        """What is recorded of activations (N, d); the factor is the covariance's symmetric root, of any rank."""
        if activations.dim() != 2 or activations.size(0) < 2:
            raise ValueError(f"'activations' must be (N, d), N from 2, got {tuple(activations.shape)}")
        values, vectors = torch.linalg.eigh(activations.t().cov())
        return cls(activations.mean(dim=0), vectors * values.clamp_min(0).sqrt() @ vectors.t())

    def sample(self, noise: Tensor) -> Tensor:
        """Activations mean + L n to aim at, for standard normal noise (N, d); the authors' code has L L^T for L."""
        return self.mean + noise @ self.factor.t()


def activation_loss(activations: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
    """Sum over layers of mean (relu(target) - relu(activation))^2, over all entries of a layer: (N, d) each."""
    missing = sorted(set(targets) - set(activations))
    if missing:
        raise ValueError(f"'activations' must have the layers {sorted(targets)}, {missing} are missing")
    errors = [(target.relu() - activations[name].relu()).square().mean() for name, target in targets.items()]
    return torch.stack(errors).sum()


def reconstruct(
    teacher: nn.Module,
    records: Mapping[str, Record],
    taps: Mapping[str, str],
    shape: tuple[int, ...],
    *,
    steps: int = 200,
    lr: float = 0.05,
    seed: int = 0,
    edge_index: Tensor | None = None,
) -> Tensor:
    """Inputs ``x`` of a shape whose recorded layers look as the training data's did, by Adam from Gaussian noise.

    Choose it to distil a teacher whose data is gone, and whose owner kept records: give ``{"x": x}`` and ``KL(T)`` to
    ``fit``. taps: name of a record -> path of the layer in the teacher; without "logits" among the records no tap is
    needed for it. edge_index: of the graph on the rows, by default none, for a teacher whose ``forward`` asks for it.
    The teacher is left as it was, in eval mode.
    """
    generator = torch.Generator().manual_seed(seed)
    like = next(iter(records.values())).mean
    x, *noise = (
        torch.randn(*size, generator=generator, dtype=like.dtype).to(like.device)
        for size in (shape, *((shape[0], record.mean.numel()) for record in records.values()))
    )
    targets = {name: record.sample(part) for (name, record), part in zip(records.items(), noise, strict=True)}
    viewer = Viewer(teacher.eval(), taps=taps)
    edges = torch.empty(2, 0, dtype=torch.long, device=x.device) if edge_index is None else edge_index
    x.requires_grad_()
    optimizer = torch.optim.Adam([x], lr=lr)
    try:
        for _ in range(steps):
            loss = activation_loss(viewer({"x": x, "edge_index": edges}), targets)
            (x.grad,) = torch.autograd.grad(loss, [x])
            optimizer.step()
    finally:
        viewer.close()
    return x.detach()
