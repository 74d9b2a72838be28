"""The default optimiser: the numbers of PyTorch's Adam, in one kernel."""

from types import SimpleNamespace

import torch
from torch import nn

from graphkd.core.adam import adam


def trained(make, steps: int = 30) -> list[torch.Tensor]:
    """A small network's weights after steps of an optimiser on one batch, in float64."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 13), nn.ReLU(), nn.Linear(13, 3)).double()
    x, y = torch.randn(20, 7, dtype=torch.float64), torch.randint(3, (20,))
    optimizer = make(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return list(model.parameters())


def test_steps_are_those_of_pytorchs_adam():
    options = {"lr": 0.02, "weight_decay": 1e-2}
    ours, theirs = trained(adam(**options)), trained(lambda p: torch.optim.Adam(p, fused=False, **options))
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-13)


def test_the_step_is_fused_unless_the_loss_is_scaled():
    weights = [nn.Parameter(torch.ones(3))]
    assert adam()(weights).defaults["fused"]
    assert adam(SimpleNamespace(precision="32-true"))(weights).defaults["fused"]
    assert not adam(SimpleNamespace(precision="16-mixed"))(weights).defaults["fused"]  # clipping would be refused


def test_complex_weights_are_stepped_too():
    weights = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, dtype=torch.complex64))]
    optimizer = adam(lr=0.1)(weights)
    sum((w.abs() ** 2).sum() for w in weights).backward()
    optimizer.step()
    for w in weights:
        torch.testing.assert_close(w.detach(), torch.full_like(w, 0.9))
