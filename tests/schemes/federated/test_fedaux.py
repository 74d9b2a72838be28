"""FedAUX: the certainty is the optimum of the objective as written, what noise does, and who counts where."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.losses.information.info_nce import info_nce
from graphkd.schemes.federated import Received, certainty, gaussian_noise_std, private_certainty
from graphkd.schemes.federated._pretraining import Contrast
from graphkd.schemes.federated.fedaux import rule
from tests.core.models import gcn
from tests.kernels.graphs import normal
from tests.schemes.federated.scene import apart, public, run

LOCAL = normal(6, 3, dtype=torch.float64, seed=1) + 0.5
PUBLIC = normal(8, 3, dtype=torch.float64, seed=2)


def objective(weight, bias, regularisation):
    rows = [*LOCAL.tolist(), *PUBLIC.tolist()]
    longest = max(sum(x * x for x in row) ** 0.5 for row in rows)
    total = sum(w * w for w in weight) / 2
    for i, row in enumerate(rows):
        margin = sum(w * x / longest for w, x in zip(weight, row, strict=True)) + bias
        total += math.log1p(math.exp(margin if i < 6 else -margin)) / regularisation
    return total


@pytest.mark.parametrize("regularisation", [0.01, 1.0])
def test_the_optimum(regularisation):
    """No step in any direction from it goes down; the objective is convex."""
    model = certainty(LOCAL, PUBLIC, regularisation)
    weight, bias = model.weight.tolist(), float(model.bias)
    least = objective(weight, bias, regularisation)
    for d in range(4):
        for step in (1e-4, -1e-4):
            moved = [w + step * (d == k) for k, w in enumerate(weight)]
            assert objective(moved, bias + step * (d == 3), regularisation) > least


def test_scores():
    model = certainty(LOCAL, PUBLIC, 0.01)
    longest = max(float(row.norm()) for row in [*LOCAL, *PUBLIC])
    for row, score in zip(PUBLIC, model.scores(PUBLIC), strict=True):
        margin = sum(float(w * x) / longest for w, x in zip(model.weight, row, strict=True)) + float(model.bias)
        assert float(score) == pytest.approx(1 / (1 + math.exp(margin)) + 1e-8, rel=1e-12)
    assert model.scores(LOCAL).mean() > model.scores(PUBLIC).mean()


def test_separable_rows_have_an_optimum_too():
    model = certainty(LOCAL + 20, PUBLIC - 20, 1e-4)
    assert model.weight.isfinite().all()
    assert (model.scores(LOCAL + 20) > 0.99).all()
    assert (model.scores(PUBLIC - 20) < 0.01).all()


def test_noise():
    model = certainty(LOCAL, PUBLIC)
    std = gaussian_noise_std(14, 0.01, 0.1, 1e-5)
    assert std == pytest.approx(math.sqrt(2 * math.log(1.25e5)) * 2 / 0.14 / 0.1)
    noise, one = torch.tensor([1.0, -2.0, 0.5]).double(), torch.ones(1).double()
    noised = model.noised(noise, one, 0.1)
    torch.testing.assert_close(noised.weight, model.weight + 0.1 * noise)
    torch.testing.assert_close(noised.bias, model.bias + 0.1 * one)


@pytest.mark.parametrize(
    ("local", "public", "message"),
    [
        (LOCAL, PUBLIC[:, :2], r"'public' must be as wide as 'local', got \(6, 3\) and \(8, 2\)"),
        (LOCAL[:0], PUBLIC, "'local' and 'public' must have a row each, got 0 and 8"),
    ],
)
def test_refusals(local, public, message):
    with pytest.raises(ValueError, match=message):
        certainty(local, public)


def test_a_client_counts_where_it_is_certain():
    answers = torch.stack([torch.zeros(2, 3), torch.ones(2, 3).cumsum(dim=1)])
    messages = [{"certainty": torch.tensor([1.0, 0.0])}, {"certainty": torch.tensor([0.0, 1.0])}]
    target = rule().fuse(Received(answers, messages, None))
    torch.testing.assert_close(target, torch.stack([answers[0, 0], answers[1, 1]]))


def test_it_is_feddf_with_other_weights():
    one, other = run("fedaux", rounds=1).model, run("feddf", rounds=1).model
    assert 1e-5 < apart(one, other) < 1


def test_pretraining_is_a_stage_before_the_rounds():
    found = run("fedaux", mixed=True, pretrain_epochs=3)
    stages = list(dict.fromkeys(report["stage"] for report in found.history))
    assert stages[:4] == ["pretraining-0", "pretraining-1", "pretraining-2", "round-1-client-1"]
    assert apart(found.model, run("fedaux", mixed=True).model) > 1e-5


def test_features_of_the_hidden_layer_are_told_apart():
    given = {"rounds": 1, "local_epochs": 3}
    rows, hidden = (run("fedaux", **given, **path).model for path in ({}, {"hidden": "convs.0"}))
    assert apart(rows, hidden) > 1e-6


@pytest.mark.parametrize("path", [None, "convs.0"])
def test_contrast_tells_rows_apart(path):
    data, task = public(), Contrast(gcn(1), None, path, rate=0.0)
    torch.manual_seed(0)
    found = task(data).loss
    with torch.no_grad():
        model = gcn(1)
        views = model(data.x, data.edge_index) if path is None else model.convs[0](data.x, data.edge_index)
        rows = torch.arange(10)
    torch.testing.assert_close(found, info_nce(views[rows], views[rows]))
    found.backward()
    assert float(task.student.convs[0].lin.weight.grad.abs().sum()) > 0


class TestPrivate:
    """The optimum that noise is added to, and how far a row moves it."""

    def without_noise(self, local, regularisation=0.1):
        noise = torch.randn(4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        given = {"epsilon": 1.0, "generator": torch.Generator().manual_seed(0)}
        found = private_certainty(local, PUBLIC, regularisation, **given)
        std = math.sqrt(2) * gaussian_noise_std(len(local) + len(PUBLIC), regularisation, 1.0, 1e-5)
        return torch.cat([found.weight, found.bias]) - std * noise, float(found.scale)

    def test_it_is_the_optimum_of_a_mean_loss(self):
        w, scale = self.without_noise(LOCAL / 10)
        rows = torch.cat([torch.cat([LOCAL / 10, PUBLIC]) / scale, torch.ones(14, 1)], dim=1).double()
        sign = torch.where(torch.arange(14) < 6, 1.0, -1.0).double()
        gradient = (torch.sigmoid(sign * (rows @ w)) * sign) @ rows / 14 + 0.1 * w
        torch.testing.assert_close(gradient, torch.zeros(4).double(), atol=1e-8, rtol=0)

    def test_a_row_moves_it_no_further_than_the_noise_allows_for(self):
        bound = 2 * math.sqrt(2) / (14 * 0.1)
        for seed in range(5):
            other = torch.cat([100 * normal(1, 3, dtype=torch.float64, seed=seed), LOCAL[1:]])
            moved = self.without_noise(other)[0] - self.without_noise(LOCAL)[0]
            assert 0 < float(moved.norm()) < bound

    def test_its_noise_is_as_wide_as_the_paper_s_over_rows_and_their_constant(self):
        given = {"epsilon": 0.5, "delta": 1e-3, "generator": torch.Generator().manual_seed(1)}
        far = torch.cat([private_certainty(LOCAL, PUBLIC, 10.0, **given).weight for _ in range(400)])
        assert float(far.std()) == pytest.approx(math.sqrt(2) * gaussian_noise_std(14, 10.0, 0.5, 1e-3), rel=0.1)

    @pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 1e-5), (2.0, 1e-5), (0.1, 0.0), (0.1, 1.0)])
    def test_refusals(self, epsilon, delta):
        with pytest.raises(ValueError, match=r"'epsilon' must be in \(0, 1\] and 'delta' in \(0, 1\), got"):
            private_certainty(LOCAL, PUBLIC, epsilon=epsilon, delta=delta)


def test_noise_reaches_the_server():
    exact, noisy = run("fedaux", rounds=1).model, run("fedaux", rounds=1, epsilon=0.1).model
    assert apart(exact, noisy) > 1e-6
