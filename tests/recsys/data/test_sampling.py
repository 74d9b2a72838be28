"""Every sampler has the law that it names: chi-square tests against the golden laws and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys import Interactions
from recsys.data import sampling
from recsys.losses.dcd import rank_discrepancy
from tests.recsys.laws import as_sets, assert_law, count_subsets, golden, inclusion, subset_law, toy

DRAWS = 40_000


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


class TestRace:
    def test_rrd_law(self):
        case = golden("sampler_rrd")
        law = subset_law(case["weights"], 3)
        assert [list(subset) for subset in law] == case["subsets"].tolist()
        np.testing.assert_allclose(list(law.values()), case["subset_prob"], rtol=1e-12)
        drawn = sampling.interesting_positions(DRAWS, 7, 3, 2.0)
        assert_law(count_subsets(drawn, law), list(law.values()))

    def test_first_draw(self):
        case = golden("sampler_rrd")
        drawn = sampling.race(case["weights"].log(), 1, rows=DRAWS)
        assert_law(torch.bincount(drawn[:, 0], minlength=7), case["first_draw_prob"])

    def test_rows_have_laws_of_their_own(self):
        case = golden("sampler_rcekd")
        weights = case["weights"]
        drawn = sampling.race(weights.log().repeat_interleave(DRAWS, dim=0), 4).view(5, DRAWS, 4)
        for row in range(5):
            law = subset_law(weights[row], 4)
            np.testing.assert_allclose(inclusion(law, 12), case["inclusion_prob"][row], rtol=1e-9)
            assert_law(count_subsets(drawn[row], law), list(law.values()))

    def test_chunks_change_nothing_but_memory(self):
        weights = torch.randn(50, 20)
        torch.manual_seed(3)
        whole = sampling.race(weights, 5)
        torch.manual_seed(3)
        assert torch.equal(sampling.race(weights, 5, chunk=60), whole)  # the generator runs through rows in order

    def test_zero_weights(self):
        weights = torch.tensor([[0.0, 1.0, 0.0, 2.0], [1.0, 1.0, 1.0, 1.0]]).log()
        assert sampling.race(weights, 2)[0].tolist() == [1, 3]
        with pytest.raises(ValueError, match="must have 3 positions of positive weight, row 0 has fewer"):
            sampling.race(weights, 3)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="'k' must be from 0 to 4, the number of positions, got 5"):
            sampling.race(torch.zeros(2, 4), 5)
        with pytest.raises(ValueError, match="'rows' must say how many rows"):
            sampling.race(torch.zeros(4), 1)
        assert sampling.race(torch.zeros(2, 4), 0).shape == (2, 0)


class TestOutside:
    def case(self):
        case = golden("sampler_uniform")
        users, items = case["train_mask"].nonzero(as_tuple=True)
        train = Interactions.from_pairs(users, items, 4, 12)
        top = case["teacher_topk_items"]
        listed = Interactions.from_pairs(torch.arange(4).repeat_interleave(top.size(1)), top.flatten(), 4, 12)
        return case, train, train.union(listed)

    def test_negatives(self):
        case, train, _ = self.case()
        drawn = sampling.Outside(train).one(torch.arange(4).repeat_interleave(DRAWS)).view(4, DRAWS)
        for user in range(4):
            assert_law(torch.bincount(drawn[user], minlength=12), case["negative_prob"][user])

    def test_uninteresting(self):
        case, _, excluded = self.case()
        drawn = sampling.Outside(excluded).several(torch.arange(4).repeat_interleave(DRAWS), 3).view(4, DRAWS, 3)
        for user in range(4):
            free = (case["uninteresting_inclusion_prob"][user] > 0).double()
            law = {subset: p for subset, p in subset_law(free, 3).items() if p > 0}
            np.testing.assert_allclose(inclusion(law, 12), case["uninteresting_inclusion_prob"][user], rtol=1e-12)
            assert_law(count_subsets(drawn[user], law), list(law.values()))

    @pytest.mark.parametrize("padding", [False, True])
    def test_nothing_excluded_is_drawn_and_all_else_is(self, padding):
        pairs = toy(padding=padding)
        outside, taken = sampling.Outside(pairs), as_sets(pairs)
        users = torch.arange(int(padding), 30)
        drawn = outside.several(users, 20)
        for user, items in zip(users.tolist(), drawn.tolist(), strict=True):
            assert len(set(items)) == 20
            assert not set(items) & taken[user]
        assert drawn.min() >= int(padding)
        many = outside.one(users[:, None].expand(-1, 2000))
        for user, items in zip(users.tolist(), many.tolist(), strict=True):
            assert set(items) == set(range(int(padding), 40)) - taken[user]

    @pytest.mark.parametrize("padding", [False, True])
    @pytest.mark.parametrize("block", [1, 2**20])
    def test_lists_of_what_is_left_give_the_items_of_a_search(self, padding, block, monkeypatch):
        monkeypatch.setattr(sampling, "_BLOCK", block)
        outside = sampling.Outside(toy(padding=padding))
        users = torch.arange(30).repeat_interleave(outside.free)
        ranks = torch.cat([torch.arange(int(free)) for free in outside.free])
        searched = outside._searched(users, ranks)
        _, listed = outside._lists()
        assert listed.dtype == torch.int32
        assert torch.equal(listed.long(), searched)
        assert outside._listed is None
        assert torch.equal(outside._items(users, ranks).long(), searched)  # as many as there are: listed from now on
        assert outside._listed is not None

    def test_what_would_take_too_much_memory_is_searched(self, monkeypatch):
        monkeypatch.setattr(sampling, "_MOST_BYTES", 100)
        outside, users = sampling.Outside(toy()), torch.arange(30)
        torch.manual_seed(3)
        searched = outside.each(users, 1000)
        assert outside._listed is None
        monkeypatch.setattr(sampling, "_MOST_BYTES", 2**28)
        torch.manual_seed(3)
        assert torch.equal(outside.each(users, 1000), searched)
        assert outside._listed is not None

    def test_several_draws_each(self):
        case, train, _ = self.case()
        drawn = sampling.Outside(train).each(torch.arange(4), DRAWS)
        for user in range(4):
            assert_law(torch.bincount(drawn[user], minlength=12), case["negative_prob"][user])

    def test_all_that_is_left(self):
        pairs = Interactions.from_pairs(torch.tensor([0, 0, 1]), torch.tensor([0, 3, 1]), 3, 4)
        outside = sampling.Outside(pairs)
        assert outside.several(torch.tensor([0]), 2).tolist() == [[1, 2]]
        assert outside.several(torch.tensor([2]), 4).tolist() == [[0, 1, 2, 3]]
        with pytest.raises(ValueError, match="3 items must be left to draw for every user, user 0 has 2"):
            outside.several(torch.tensor([2, 0]), 3)

    def test_a_user_with_everything(self):
        outside = sampling.Outside(Interactions.from_pairs(torch.zeros(3).long(), torch.arange(3), 1, 3))
        with pytest.raises(ValueError, match="user 0 has 0"):
            outside.one(torch.tensor([0]))


class TestGeometric:
    @pytest.mark.parametrize(("length", "scale"), [(1, 3.0), (6, 2.0), (8, 20.0), (5, 1000.0)])
    def test_law(self, length, scale):
        drawn = sampling.geometric_positions(torch.full((DRAWS,), length), scale)
        assert_law(torch.bincount(drawn, minlength=length), np.exp(-(np.arange(length) + 1) / scale))

    def test_every_length_has_its_own_law(self):
        lengths = torch.arange(1, 5).repeat_interleave(DRAWS)
        drawn = sampling.geometric_positions(lengths, 2.0).view(4, DRAWS)
        for length in range(1, 5):
            assert_law(torch.bincount(drawn[length - 1], minlength=length), np.exp(-(np.arange(length) + 1) / 2.0))


class TestBestOfTwo:
    scale = 6 / 0.05  # list length 6, lambda 1/20

    def test_with_repeats(self):
        case = golden("sampler_cd")
        drawn = sampling.best_of_two_positions(DRAWS, 6, 3, self.scale, distinct=False)
        assert_law(torch.bincount(drawn.flatten(), minlength=6), case["draw_prob"])
        assert (drawn.sort(dim=1).values.diff(dim=1) == 0).any()

    def test_distinct(self):
        case = golden("sampler_cd")
        law = subset_law(case["draw_prob"], 3)
        np.testing.assert_allclose(list(law.values()), case["subset_prob_distinct"], rtol=1e-9)
        drawn = sampling.best_of_two_positions(DRAWS, 6, 3, self.scale)
        assert_law(count_subsets(drawn, law), list(law.values()))

    def test_the_whole_list(self):
        assert sampling.best_of_two_positions(2, 4, 4, 3.0).tolist() == [[0, 1, 2, 3]] * 2
        with pytest.raises(ValueError, match="'k' must be at most 4, the length of the list, got 5"):
            sampling.best_of_two_positions(2, 4, 5, 3.0)


class TestPairs:
    def counts(self, **options):
        better, worse = sampling.pair_positions(torch.full((DRAWS,), 8), 3, 20.0, **options)
        return torch.bincount((better * 8 + worse).flatten(), minlength=64).view(8, 8)

    def test_intended_law(self):
        assert_law(self.counts(), golden("sampler_unkd")["pair_prob"])

    def test_the_authors_quirk(self):
        case = golden("sampler_unkd")
        counts = self.counts(swap_quirk=True)
        assert_law(counts, case["code_pair_prob"] + case["code_degenerate_prob"].diag())
        assert counts.diagonal().sum() / counts.sum() == pytest.approx(0.5, abs=0.01)

    def test_short_lists_have_no_pair(self):
        better, worse = sampling.pair_positions(torch.tensor([0, 1, 2]), 4, 20.0)
        assert better.tolist() == [[0] * 4, [0] * 4, [0] * 4]
        assert worse.tolist() == [[0] * 4, [0] * 4, [1] * 4]


class TestWeighted:
    def test_dcd_law(self):
        case = golden("sampler_dcd")
        ranks = case["student_rank_in_list"][None]
        weights = rank_discrepancy(-ranks.double(), sharpness=0.1)
        torch.testing.assert_close(weights.under[0], case["under_weights"])
        torch.testing.assert_close(weights.over[0], case["over_weights"])
        law = {subset: p for subset, p in subset_law(case["under_weights"], 2).items() if p > 0}
        np.testing.assert_allclose(inclusion(law, 8), case["under_inclusion_prob"], rtol=1e-9)
        drawn = sampling.weighted_positions(weights.under.expand(DRAWS, -1), 2, floor=1e-12)
        assert_law(count_subsets(drawn, law), list(law.values()))

    def test_too_few_positive_weights(self):
        weights = golden("sampler_dcd")["over_weights"].expand(DRAWS, -1)  # position 7 alone
        drawn = sampling.weighted_positions(weights, 2)
        assert (drawn[:, 1] == 7).all()
        assert_law(torch.bincount(drawn[:, 0], minlength=7), np.ones(7))
        with pytest.raises(ValueError, match="2 positions of positive weight"):
            sampling.weighted_positions(weights, 2, floor=0.0)


def test_seeds_repeat():
    outside = sampling.Outside(toy())
    drawn = []
    for _ in range(2):
        torch.manual_seed(1)
        drawn.append((outside.several(torch.arange(30), 4), sampling.interesting_positions(9, 20, 4, 3.0)))
    assert all(torch.equal(one, other) for one, other in zip(*drawn, strict=True))
