"""Cross distillation: the formula, its limits, and the exact minimiser under a mask."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd.schemes import cross_distillation, fit_masked, proximal_mask, soft_cross_distillation
from tests.kernels.graphs import normal
from tests.methods import scene

H_S, H_T = (normal(12, 5, dtype=torch.float64, seed=seed) for seed in (0, 1))
W_S, W_T = (normal(3, 5, dtype=torch.float64, seed=seed) for seed in (2, 3))


def squared(rows, weight, other_rows, other_weight):
    total = 0.0
    for i in range(12):
        for o in range(3):
            one = sum(float(weight[o, c] * rows[i, c]) for c in range(5))
            other = sum(float(other_weight[o, c] * other_rows[i, c]) for c in range(5))
            total += (one - other) ** 2
    return total / 36


def test_terms():
    found = cross_distillation(H_S, H_T, W_S, W_T, 0.7)
    correction, imitation = squared(H_T, W_S, H_T, W_T), squared(H_S, W_S, H_S, W_T)
    assert [float(term) for term in found] == pytest.approx([0.7 * correction + 0.3 * imitation, correction, imitation])


def test_soft():
    mixed, wanted = 0.8 * H_S + 0.2 * H_T, 0.6 * H_T + 0.4 * H_S
    found = soft_cross_distillation(H_S, H_T, W_S, W_T, alpha=0.8, beta=0.6)
    assert float(found) == pytest.approx(squared(mixed, W_S, wanted, W_T))


def test_free_minimiser_is_the_teacher():
    torch.testing.assert_close(fit_masked(H_S, H_T, W_T, torch.ones(5, dtype=torch.bool)), W_T)


@pytest.mark.parametrize("by_channel", [True, False])
def test_masked_minimiser(by_channel):
    mask = torch.tensor([True, False, True, True, False]) if by_channel else W_T.abs() > 0.3
    found = fit_masked(H_S, H_T, W_T, mask).requires_grad_()
    assert bool((found[~mask.expand(3, 5)] == 0).all())
    (slope,) = torch.autograd.grad(cross_distillation(H_S, H_T, found, W_T).loss, found)
    assert float(slope[mask.expand(3, 5)].abs().max()) < 1e-12
    pruned = cross_distillation(H_S, H_T, W_T * mask, W_T).loss
    assert cross_distillation(H_S, H_T, found.detach(), W_T).loss < 0.9 * pruned


def test_no_step_leaves_the_largest():
    size = W_T.abs().flatten()
    mask = proximal_mask(H_S, H_T, W_T, 0.4, steps=0)
    assert torch.equal(mask.flatten(), size >= size.sort(descending=True).values[5])
    columns = proximal_mask(H_S, H_T, W_T, 0.4, steps=0, columns=True)
    assert torch.equal(columns[0], W_T.norm(dim=0) >= W_T.norm(dim=0).sort(descending=True).values[1])
    assert torch.equal(columns, columns[:1].expand(3, 5))


@pytest.mark.parametrize("kept", [0.2, 0.5])
def test_the_search_finds_a_mask_of_less_loss_than_the_largest(kept):
    """On columns that go together, which can make up for one another; over five layers."""
    total = {0: 0.0, 300: 0.0}
    for seed in range(5):
        mix, rows, errors, weight = (
            normal(*size, dtype=torch.float64, seed=10 * seed + place)
            for place, size in enumerate([(20, 20), (40, 20), (40, 20), (6, 20)])
        )
        theirs = rows @ (torch.eye(20) + 0.3 * mix)
        ours = theirs + 0.1 * errors
        for steps in total:
            mask = proximal_mask(ours, theirs, weight, kept, steps=steps)
            assert mask.sum() == round(120 * kept)
            total[steps] += float(cross_distillation(ours, theirs, fit_masked(ours, theirs, weight, mask), weight).loss)
    assert total[300] < 0.8 * total[0]


def test_masked_minimiser_of_float32_rows_is_that_of_float64():
    """Of nearly equal columns, whose moments float32 cannot tell from singular ones."""
    torch.manual_seed(3)
    x = torch.randn(20, 1) + 1e-3 * torch.randn(20, 4)
    teacher, mask = torch.randn(2, 4), torch.tensor([True, True, True, False])
    found = fit_masked(x, x, teacher, mask)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, fit_masked(x.double(), x.double(), teacher.double(), mask).float())


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="'teacher' must have the rows of 'student'"):
        cross_distillation(H_S, H_T[:3], W_S, W_T)


# ------------------------------------------------------------- the method
@pytest.mark.parametrize("loader", [False, True])
def test_half_of_every_layer_s_weights_stay(loader):
    data, teacher = scene.graph(), scene.trained(1)
    given = scene.parts(data) if loader else data
    result = graphkd.distil("cross_distillation", None, teacher, given, kept=0.5)
    for path in ("convs.0.lin", "convs.1.lin"):
        weight, before = (model.get_submodule(path).weight for model in (result.model, teacher))
        assert weight.shape == before.shape
        assert 0.5 <= float((weight == 0).float().mean()) < 0.6  # those on columns that no labelled row has are 0 too
    plain = graphkd.distil("none", teacher, None, given, epochs=0).scores["test"]["accuracy"]
    assert result.scores["test"]["accuracy"] >= plain - 0.2
    assert result.history == []


def test_the_first_layer_is_the_minimiser_on_labelled_rows():
    data, teacher = scene.graph(), scene.trained(1)
    weight, seen = teacher.convs[0].lin.weight, data.x[data.train_mask]
    for columns in (False, True):
        mask = proximal_mask(seen, seen, weight, 0.5, 0.3, columns=columns)
        options = {"kept": 0.5, "mu": 0.3, "columns": columns}
        pruned = graphkd.distil("cross_distillation", None, teacher, data, **options).model
        torch.testing.assert_close(pruned.convs[0].lin.weight, fit_masked(seen, seen, weight, mask, 0.3))


def test_all_weights_kept_are_the_teacher_s():
    data, teacher = scene.graph(), scene.trained(1)
    model = graphkd.distil("cross_distillation", None, teacher, data, kept=1.0).model
    torch.testing.assert_close(model(data.x, data.edge_index), teacher(data.x, data.edge_index), rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="'kept' must be above 0 and 1 at most, got 0"):
        graphkd.distil("cross_distillation", None, teacher, data, kept=0)
