"""Values and gradients of the losses between recommenders at rows of zeros, equal rows, half precision and no rows."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.data.interactions import Interactions
from recsys.data.lists import Lists
from recsys.losses import DE, FTD, HTD, RCEKD, ClickHint, LearnedConfidence
from recsys.losses._experts import route
from recsys.losses.bpr import bpr
from recsys.losses.bridge import bridge
from recsys.losses.cause import CausalPull
from recsys.losses.cd import cd
from recsys.losses.click_hint import click_hint
from recsys.losses.clicks import click_loss
from recsys.losses.crossdistil import crossdistil_kd, quadruplet_ranking, sampled_ranking
from recsys.losses.decay import half_squares
from recsys.losses.ftd import ftd
from recsys.losses.hetcomp import hetcomp_overall, hetcomp_rank
from recsys.losses.htd import htd
from recsys.losses.log_loss import log_loss
from recsys.losses.rating_error import rating_error
from recsys.losses.rcekd import list_cross_entropy
from recsys.losses.rd import rd, rd_weights
from recsys.losses.refine import Refine, refined_ratings
from recsys.losses.rocket import rocket
from recsys.losses.rrd import rrd
from recsys.losses.soft_clicks import soft_clicks
from recsys.losses.soft_labels import soft_label_error
from recsys.losses.unkd import unkd

TEACHER = torch.tensor([[1.0, 0.2], [0.1, 1.0], [0.5, 0.5], [-0.4, 0.3]])
GROUPS = torch.tensor([0, 0, 1, 1])


def bits(*shape):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(9)) > 0.5).float()


def observed(rows, items):
    return (torch.arange(items) == 0).expand(rows, -1)


# (two entries of one shape -> a loss), by name: of matrices (R, M)
MATRICES = {
    "bpr": bpr,
    "unkd": unkd,
    "log_loss": log_loss,
    "rrd": rrd,
    "rrd, squashed": lambda s, t: rrd(s, t, squash=True),
    "cd": cd,
    "rd": lambda s, t: rd(s, rd_weights(s, t, num_items=50).weight),
    "rd, static": lambda s, _: rd(s, rd_weights(s, weighting="static").weight),
    "list_cross_entropy": lambda s, t: list_cross_entropy(s, t).sum(),
    "bridge": bridge,
    "rating_error": lambda s, _: rating_error(s, bits(*s.shape) * 2 - 1),
    "refine": lambda s, t: Refine()(s, t, ratings=bits(*s.shape) * 2 - 1),
    "learned_confidence": lambda s, _: confident(s),
    "soft_labels": soft_label_error,
    "click_hint": click_hint,
    "clicks": lambda s, _: click_loss(s, bits(*s.shape)),
    "half_squares": lambda s, t: half_squares(s, t),
    "causal_pull": lambda s, t: CausalPull()((s, t)),
    "ftd": ftd,
    "hetcomp_overall": lambda s, _: hetcomp_overall(s, *some_lists(s), observed(*s.shape)),
    "hetcomp_rank": lambda s, _: hetcomp_rank(s, *some_lists(s), observed(*s.shape)),
    "rocket": lambda s, t: rocket(s[:, 0], t[:, 0], bits(len(s))),
    "soft_clicks": lambda s, t: soft_clicks(s[:, 0], t[:, 0]),
    "crossdistil_kd": lambda s, t: crossdistil_kd(s[:, 0], t[:, 0], bits(len(s))),
    "quadruplets": lambda s, t: quadruplet_ranking(s[:, 0], s[:, 1], t[:, 0], t[:, 1]),
}


def confident(s):
    rows, width = s.shape
    entries = torch.arange(rows)
    return LearnedConfidence(rows, width)(
        s, ratings=bits(rows, width) * 2 - 1, logged=bits(rows, width), entries=entries
    )


def some_lists(s):
    ids = torch.arange(1, s.size(1))
    return ids[:1].expand(len(s), -1), ids[1:].expand(len(s), -1)


def slope(loss, student):
    student = student.clone().requires_grad_()
    value = loss(student)
    value.backward()
    return float(value.detach()), student.grad


ANGLES = {
    "ftd": lambda s: ftd(s, TEACHER),
    "ftd, by Gram matrices": lambda s: ftd(s.repeat(20, 1), TEACHER.repeat(20, 1)),
    "ftd, without the teacher": lambda s: ftd(s, TEACHER, teacher_term=False),
    **{
        f"htd, {topology}, {positive}": (
            lambda s, topology=topology, positive=positive: htd(
                s, TEACHER, GROUPS, topology=topology, positive_only=positive
            )
        )
        for topology in ("P,P", "P,e")
        for positive in (False, True)
    },
}


class TestRowsOfZeros:
    """The row is like nothing: its gradient is 0, where that of a row of 0.001 has the size 1 / 0.001."""

    @pytest.mark.parametrize("name", ANGLES)
    def test_no_gradient_of_the_row_and_none_that_is_larger_elsewhere(self, name):
        loss = ANGLES[name]
        small = torch.tensor([[1e-3, 0.0], [1.0, 0.5], [0.3, 1.0], [-0.5, 0.2]])
        zero = small.clone()
        zero[0] = 0
        (_, bound), (value, found) = slope(loss, small), slope(loss, zero)
        assert math.isfinite(value)
        assert found.abs().max() <= bound.abs().max()
        if "htd" not in name:  # there a zero row is still part of its group's mean
            assert found[0].abs().max() == 0

    @pytest.mark.parametrize("name", ANGLES)
    def test_of_the_teacher(self, name):
        loss = ANGLES[name]
        student = torch.tensor([[0.2, 0.1], [1.0, 0.5], [0.3, 1.0], [-0.5, 0.2]])
        usual = slope(loss, student)[1].abs().max()
        teacher = TEACHER.clone()
        TEACHER[1] = 0
        try:
            assert slope(loss, student)[1].abs().max() <= 3 * usual
        finally:
            TEACHER.copy_(teacher)

    @pytest.mark.parametrize("squared", [True, False])
    def test_experts_that_reconstruct_exactly(self, squared):
        torch.manual_seed(0)
        loss = DE(2, 2, 3, squared=squared, temperature=1.0)
        for parameter in loss.parameters():
            parameter.data.zero_()
        tables = torch.zeros(4, 2, requires_grad=True), torch.zeros(5, 2, requires_grad=True)
        facts = {name: torch.arange(3) for name in ("users", "positives", "negatives")}
        loss(tables, tuple(torch.zeros_like(each) for each in tables), **facts).backward()
        assert all(parameter.grad.abs().max() <= 1 for parameter in loss.parameters() if parameter.grad is not None)

    def test_collapsed_students(self):
        for loss in (lambda s: ftd(s, TEACHER), lambda s: htd(s, TEACHER, GROUPS)):
            usual = slope(loss, torch.tensor([[0.2, 0.1], [1.0, 0.5], [0.3, 1.0], [-0.5, 0.2]]))[1].abs().max()
            assert slope(loss, torch.ones(4, 2))[1].abs().max() <= 3 * usual


class TestHalfPrecision:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("scale", [1e-2, 1.0, 60.0, 300.0])
    @pytest.mark.parametrize("name", MATRICES)
    def test_as_in_float32_but_for_the_rounding_of_the_input(self, name, scale, dtype):
        generator = torch.Generator().manual_seed(4)
        student, teacher = (scale * torch.randn(24, 6, generator=generator).to(dtype) for _ in range(2))
        loss = MATRICES[name]
        value, found = slope(lambda s: loss(s, teacher), student)
        wanted, exact = slope(lambda s: loss(s, teacher.float()), student.float())
        assert value == pytest.approx(wanted, rel=1e-3, abs=1e-5)
        assert found.isfinite().all()
        rounding, largest = torch.finfo(dtype).eps, float(exact.abs().max())
        torch.testing.assert_close(found.float(), exact, rtol=8 * rounding, atol=max(8 * rounding * largest, 6e-8))

    def test_embeddings_of_experts(self):
        torch.manual_seed(0)
        facts = {"users": torch.arange(4), "positives": torch.arange(4), "negatives": torch.arange(4, 8)}
        tables = [tuple(60 * torch.randn(n, 4) for n in (6, 9)) for _ in range(2)]
        for loss in (DE(4, 4, 3), HTD(4, 4, 3, gate_eps=1e-10), FTD()):
            torch.manual_seed(1)
            wanted = loss(*tables, **facts).detach()
            half = [tuple(table.half() for table in side) for side in tables]
            torch.manual_seed(1)
            assert float(loss.half()(*half, **facts).detach()) == pytest.approx(float(wanted), rel=0.02)
            loss.float()

    def test_routing_at_a_low_temperature(self):
        gates = (20 * torch.randn(8, 5, generator=torch.Generator().manual_seed(0))).half()
        noise = torch.zeros(8, 5)
        for eps in (0.0, 1e-10):
            share = route(gates, 1e-6, noise, eps)
            assert share.isfinite().all()
            assert torch.equal(share.argmax(dim=1), gates.argmax(dim=1))
            assert torch.equal(share.sum(dim=1), torch.ones(8).half())

    def test_under_autocast(self):
        student, teacher = (100 * torch.randn(8, 6) for _ in range(2))
        for name in ("ftd", "rating_error", "bridge", "cd", "rrd"):
            wanted = MATRICES[name](student, teacher)
            with torch.autocast("cpu", dtype=torch.float16):
                found = MATRICES[name](student.half(), teacher.half())
            torch.testing.assert_close(found.float(), wanted.float(), rtol=0.02, atol=1e-3)


class TestNoRows:
    @pytest.mark.parametrize("name", MATRICES)
    def test_zero_with_a_gradient(self, name):
        value, found = slope(lambda s: MATRICES[name](s, torch.zeros(0, 6)), torch.zeros(0, 6))
        assert value == 0
        assert found.shape == (0, 6)

    def test_of_groups_and_quadruplets(self):
        none = torch.zeros(0, 2)
        assert slope(lambda s: htd(s, none, torch.zeros(0, dtype=torch.long)), none)[0] == 0
        empty = torch.zeros(0)
        assert slope(lambda s: sampled_ranking(s, empty, empty), empty)[0] == 0

    def test_a_hint_without_rows(self):
        student = torch.zeros(0, 3, requires_grad=True)
        ClickHint(3, 5)(student, torch.zeros(0, 5)).backward()
        assert student.grad.shape == (0, 3)


class TestLogarithmsOfLargeGaps:
    @pytest.mark.parametrize("gap", [40.0, 1e3, 1e4])
    def test_a_wrong_order_costs_its_gap_and_pulls_with_one(self, gap):
        low, high = torch.tensor([[-gap / 2]]), torch.tensor([[gap / 2]])
        for loss in (bpr, unkd):
            value, found = slope(lambda s, loss=loss: loss(s, high), low)
            assert value == pytest.approx(gap, rel=1e-6)
            assert float(found) == pytest.approx(-1)
        assert slope(lambda s: log_loss(s, -high), low)[0] == pytest.approx(gap / 2, rel=1e-6)

    def test_soft_targets_are_those_of_float64(self):
        student, teacher = torch.tensor([[20.0, -20.0, 90.0]]), torch.tensor([[-20.0, 20.0, -90.0]])
        for loss in (lambda s, t: cd(s, t, temperature=1.0), lambda s, t: soft_clicks(s[0], t[0])):
            assert float(loss(student, teacher)) == pytest.approx(
                float(loss(student.double(), teacher.double())), rel=1e-6
            )

    def test_a_list_that_keeps_nothing(self):
        student, teacher = torch.randn(3, 4), torch.randn(3, 4)
        kept = torch.tensor([[True, True, False, False], [False] * 4, [True] * 4])
        value, found = slope(lambda s: list_cross_entropy(s, teacher, kept=kept).sum(), student)
        rows = list_cross_entropy(student, teacher, kept=kept)
        assert rows[1] == 0
        assert found[1].abs().max() == 0
        assert value == pytest.approx(float(rows[0] + rows[2]), rel=1e-6)
        torch.testing.assert_close(rows[2], list_cross_entropy(student, teacher)[2])
        torch.testing.assert_close(rows[0], list_cross_entropy(student[:1, :2], teacher[:1, :2])[0])

    def test_lists_of_other_shapes_are_named(self):
        with pytest.raises(ValueError, match="'kept' must have the shape"):
            list_cross_entropy(torch.zeros(3, 4), torch.zeros(3, 4), kept=torch.ones(3, 5, dtype=torch.bool))
        with pytest.raises(ValueError, match="'teacher' must"):
            list_cross_entropy(torch.zeros(3, 4), torch.zeros(3, 5))

    def test_where_both_lists_are_one(self):
        ids = torch.arange(2).expand(3, -1)
        own, mixed = Lists(torch.arange(3), ids), Lists(torch.arange(3), torch.cat([ids, ids], dim=1))
        scores = torch.randn(3, 2), torch.randn(3, 4)
        value = RCEKD()(scores, scores, own=own, mixed=mixed)
        assert value.isfinite()

    def test_ratings_of_ten_thousand(self):
        output = torch.full((4, 5), 1e4).half()
        ratings = torch.ones(4, 5)
        assert float(rating_error(output, ratings)) == pytest.approx(
            float((1 - output.double()).square().mean()), rel=1e-3
        )
        assert float(bridge(output, -output)) == pytest.approx(float(4 * output.double().square().mean()), rel=1e-3)

    def test_equal_outputs_refine_nothing(self):
        ratings = torch.tensor([[1.0, -1.0, 0.0]])
        assert torch.equal(refined_ratings(ratings, torch.zeros(1, 3)), ratings)

    def test_everything_is_listed(self):
        scores = torch.randn(2, 4)
        taken = Interactions.from_pairs(torch.tensor([0, 1]), torch.tensor([0, 0]), 2, 4)
        assert len(taken) == 2
        for loss in (hetcomp_overall, hetcomp_rank):
            value, found = slope(lambda s, loss=loss: loss(s, *some_lists(s), observed(2, 4)), scores)
            assert math.isfinite(value)
            assert found.abs().max() <= 4
