"""Activation records: what they hold, and inputs that are made from them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkd
from graphkd.schemes import Record, activation_loss, reconstruct
from tests.kernels.graphs import normal
from tests.methods import scene


def test_record_holds_mean_and_covariance():
    rows = normal(50, 4, dtype=torch.float64, seed=0)
    rows[:, 3] = rows[:, 0] + rows[:, 1]  # a covariance without a Cholesky factor
    record = Record.of(rows)
    torch.testing.assert_close(record.mean, rows.mean(dim=0))
    torch.testing.assert_close(record.factor @ record.factor.t(), rows.t().cov())
    with pytest.raises(ValueError, match=r"'activations' must be \(N, d\), N from 2, got \(1, 4\)"):
        Record.of(rows[:1])


def test_samples_have_the_law_of_the_record():
    record = Record.of(normal(60, 3, dtype=torch.float64, seed=1) @ normal(3, 3, dtype=torch.float64, seed=2))
    noise = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = record.sample(noise)
    assert float((drawn.mean(dim=0) - record.mean).abs().max()) < 0.02
    assert float((drawn.t().cov() - record.factor @ record.factor.t()).abs().max()) < 0.02


def test_activation_loss():
    one, two = normal(4, 3, dtype=torch.float64, seed=0), normal(4, 2, dtype=torch.float64, seed=1)
    targets = {"a": one.flip(0), "b": two.flip(1)}
    want = sum(
        sum((max(float(t), 0) - max(float(s), 0)) ** 2 for s, t in zip(x.flatten(), y.flatten(), strict=True))
        / x.numel()
        for x, y in ((one, targets["a"]), (two, targets["b"]))
    )
    assert float(activation_loss({"a": one, "b": two}, targets)) == pytest.approx(want)
    with pytest.raises(ValueError, match=r"\['b'\] are missing"):
        activation_loss({"a": one}, targets)


def test_reconstructed_rows_look_like_the_data_to_the_teacher():
    torch.manual_seed(0)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x).relu())

    model, data = Model(), normal(200, 5, dtype=torch.float32, seed=3) + 2
    with torch.no_grad():
        hidden = model.first(data)
        records = {"hidden": Record.of(hidden)}
    made = reconstruct(model, records, {"hidden": "first"}, (64, 5), steps=150)
    assert torch.equal(made, reconstruct(model, records, {"hidden": "first"}, (64, 5), steps=150))
    with torch.no_grad():
        gap = (model.first(made).relu().mean(dim=0) - hidden.relu().mean(dim=0)).abs().mean()
        noise = torch.randn(64, 5, generator=torch.Generator().manual_seed(9))
        gap_of_noise = (model.first(noise).relu().mean(dim=0) - hidden.relu().mean(dim=0)).abs().mean()
    assert float(gap) < 0.5 * float(gap_of_noise)
    assert all(p.grad is None for p in model.parameters())
    assert not model.first._forward_hooks


def test_a_column_alone_has_a_record():
    rows = normal(9, 1, dtype=torch.float64, seed=0)
    torch.testing.assert_close(Record.of(rows).factor, rows.std(dim=0)[None])


def test_a_student_without_data_follows_its_teacher():
    data = scene.graph()
    data.edge_index = data.edge_index[:, :0]
    teacher = graphkd.distil("none", scene.gcn(1, 16, 0.0), None, data, epochs=60, progress=False).model
    options = {"hidden": "convs.0", "rows": 300, "progress": False}
    result = graphkd.distil("activation_records", scene.gcn(2, 16, 0.0), teacher, data, **options)
    want = teacher(data.x, data.edge_index).argmax(dim=1)
    assert (result.model(data.x, data.edge_index).argmax(dim=1) == want).float().mean() > 0.8
    data.y = (data.y + 1) % 3  # no label is read
    again = graphkd.distil("activation_records", scene.gcn(2, 16, 0.0), teacher, data, **options).model
    assert torch.equal(again.convs[0].lin.weight, result.model.convs[0].lin.weight)
