"""Rankings above further candidates, a place at a time, and the gradient that is found with the value."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.kernels.rankings.relaxed import relaxed_log_likelihood, relaxed_log_likelihood_reference


def example(ranked, others, dtype=torch.float64, scale=1.0):
    torch.manual_seed(0)
    return [(scale * torch.randn(4, width)).to(dtype).requires_grad_() for width in (ranked, others)]


def test_the_formula():
    scores, others = example(3, 5)
    for row, value in enumerate(relaxed_log_likelihood(scores, others).tolist()):
        total, rest = 0.0, sum(map(math.exp, others[row].tolist()))
        for place, score in enumerate(scores[row].tolist()):
            total += score - math.log(sum(map(math.exp, scores[row, place:].tolist())) + rest)
        assert value == pytest.approx(total)


@pytest.mark.parametrize(("ranked", "others"), [(3, 5), (1, 1), (3, 0)])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_value_and_gradient_are_those_of_one_place_after_the_other(ranked, others, scale):
    sides = example(ranked, others, scale=scale)
    pulls = torch.randn(4, dtype=torch.float64)
    found = []
    for form in (relaxed_log_likelihood, relaxed_log_likelihood_reference):
        value = form(*sides)
        found.append([value, *torch.autograd.grad((value * pulls).sum(), sides)])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_nothing_ranked_is_certain():
    assert relaxed_log_likelihood(*example(0, 5)).tolist() == [0.0] * 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    sides = example(3, 5, dtype)
    value = relaxed_log_likelihood(*sides)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, relaxed_log_likelihood_reference(*(side.float() for side in sides)))
    assert [slope.dtype for slope in torch.autograd.grad(value.sum(), sides)] == [dtype, dtype]


def test_a_second_derivative_is_refused():
    scores, others = example(3, 5)
    (slope,) = torch.autograd.grad(relaxed_log_likelihood(scores, others).sum(), scores, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        slope.sum().backward()
