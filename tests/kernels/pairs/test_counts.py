"""Counts of draws: their sums, who is never counted, and their law against the binomial one."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd.kernels.pairs import counts
from graphkd.kernels.pairs.counts import Others, count_others, draw_others

ALONE = torch.arange(400)
UNEVEN = torch.tensor([0] * 300 + [1] * 60 + [2] * 8)
MANY = torch.cat([torch.full((size,), size) for size in range(1, 25)])  # more sizes than tables
groups_and_samples = pytest.mark.parametrize(
    ("groups", "samples"),
    [(ALONE, 4000), (ALONE, 300), (ALONE, 150), (ALONE[:5], 4000), (UNEVEN, 3000), (UNEVEN, 100), (MANY, 1000)],
    ids=["alone", "alone_less", "alone_few", "alone_of_5", "uneven", "uneven_few", "many_sizes"],
)


def found(groups, samples, seed=0):
    torch.manual_seed(seed)
    return count_others(Others.of(groups), torch.arange(groups.numel()), samples)


def p_value(statistic, freedom):
    """Of a chi-square statistic, by Wilson and Hilferty."""
    share = 2 / (9 * freedom)
    return 0.5 * math.erfc(((statistic / freedom) ** (1 / 3) - 1 + share) / math.sqrt(2 * share))


def binomial(samples, chance, most):
    k = torch.arange(most + 1, dtype=torch.float64)
    ways = math.lgamma(samples + 1) - torch.lgamma(k + 1) - torch.lgamma(samples - k + 1)
    return (ways + k * math.log(chance) + (samples - k) * math.log1p(-chance)).exp()


@groups_and_samples
def test_sums_and_own_groups(groups, samples):
    counted = found(groups, samples)
    assert counted.dtype == torch.float32
    assert torch.equal(counted, counted.round())
    assert (counted >= 0).all()
    assert (counted.sum(dim=1) == samples).all()
    assert not counted[groups[:, None] == groups].any()
    assert torch.equal(counted, found(groups, samples))  # from torch's own random state
    assert not torch.equal(counted, found(groups, samples, seed=1))


@groups_and_samples
def test_law_of_one_count(groups, samples):
    """Mean, variance, and frequencies by chi-square, for the rows of each size of group."""
    own = groups[:, None] == groups
    room = (~own).sum(dim=1)
    parts = [found(groups, samples, seed) for seed in range(1 if groups.numel() > 5 else 200)]
    for size in room.unique().tolist():
        rows = room == size
        cells = torch.cat([part[rows][~own[rows]] for part in parts]).double()
        mean, variance = samples / size, samples / size * (1 - 1 / size)
        assert abs(float(cells.mean()) - mean) < 1e-9
        assert abs(float(cells.var()) / variance - 1) < 5 * (2 / cells.numel()) ** 0.5 + 5 / cells.numel()
        most = int(mean + 12 * mean**0.5 + 24)
        want = binomial(samples, 1 / size, min(most, samples)) * cells.numel()
        seen = torch.bincount(cells.long(), minlength=want.numel())[: want.numel()]
        usual = want >= 10
        want, seen = (torch.cat([x[usual], cells.numel() - x[usual].sum()[None]]) for x in (want, seen.double()))
        statistic = float(((seen - want).square() / want.clamp_min(1)).sum())
        assert p_value(statistic, want.numel() - 1) > 1e-4


@groups_and_samples
def test_law_of_rows_and_columns(groups, samples):
    """Counts of a row are multinomial: its chi-square has that mean; columns are drawn alike."""
    own = groups[:, None] == groups
    room = (~own).sum(dim=1)
    counted = found(groups, samples).double()
    want = (~own) * (samples / room)[:, None]
    statistic = ((counted - want).square() / want.clamp_min(1e-9)).masked_fill(own, 0).sum()
    freedom = int((room - 1).sum())
    assert abs(float(statistic) - freedom) < 5 * (2 * freedom) ** 0.5
    columns = ((counted - want).sum(dim=0).square() / want.sum(dim=0)).sum()
    assert p_value(float(columns), groups.numel() - 1) > 1e-4


def test_rows_are_those_asked_for():
    """Some rows, one twice, are drawn each by itself."""
    torch.manual_seed(0)
    ids = torch.tensor([300, 2, 2, 365])
    counted = count_others(Others.of(UNEVEN), ids, 2000)
    assert (counted.sum(dim=1) == 2000).all()
    assert not counted[UNEVEN[ids][:, None] == UNEVEN].any()
    assert not torch.equal(counted[1], counted[2])
    assert count_others(Others.of(UNEVEN), ids[:0], 2000).shape == (0, 368)


@pytest.mark.parametrize("samples", [20, 2000])
def test_a_generator_says_all(samples):
    others, ids = Others.of(UNEVEN), torch.arange(UNEVEN.numel())
    state = torch.get_rng_state()
    both = [count_others(others, ids, samples, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(*both)
    assert torch.equal(torch.get_rng_state(), state)


def test_blocks_do_not_show_in_the_law(monkeypatch):
    """Nor does how often a row is drawn again."""
    monkeypatch.setattr(counts, "_CELLS", 1000)
    monkeypatch.setattr(counts, "_SLACK", 0.5)
    test_law_of_one_count(ALONE, 4000)
    test_law_of_rows_and_columns(UNEVEN, 3000)


def test_draws_are_others():
    others = Others.of(UNEVEN)
    torch.manual_seed(0)
    drawn = draw_others(others, torch.arange(UNEVEN.numel()), 50)
    assert not (UNEVEN[drawn] == UNEVEN[:, None]).any()
    alone = draw_others(Others.of(ALONE), ALONE, 50)
    assert not (alone == ALONE[:, None]).any()
    assert sorted(alone.unique().tolist()) == ALONE.tolist()


def test_more_draws_than_float32_counts(monkeypatch):
    monkeypatch.setattr(counts, "_EXACT", 3000)
    assert found(ALONE, 3000).dtype == torch.float64
    assert found(ALONE, 2999).dtype == torch.float32
