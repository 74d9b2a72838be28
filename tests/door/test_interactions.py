"""Ids of any container of integers are taken as they are, or refused by name; lists fit what a data set has."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

import recsys
from recsys import Interactions, Split
from recsys.data.batches import RankingBatches
from recsys.data.sampling import Outside
from recsys.evaluate import draw_candidates
from recsys.models import MF, LightGCN, Tables
from recsys.models.rankings import top_items, top_users
from recsys.sources import CDLists, DCDLists, HetCompLists, IRRRDLists, RCEKDLists, RDLists, RRDLists, UnKDLists

pandas = pytest.importorskip("pandas")
T = torch.tensor
BIG = 2**31


class TestContainers:
    @pytest.mark.parametrize(
        "make",
        [
            list,
            tuple,
            np.array,
            lambda ids: np.array(ids, dtype=np.int16),
            lambda ids: np.array(ids, dtype=np.uint64),
            lambda ids: np.array(ids, dtype=">i4"),
            lambda ids: np.array([ids, ids]).T[:, 0],
            lambda ids: T(ids, dtype=torch.uint32),
            lambda ids: T(ids, dtype=torch.uint64),
            lambda ids: T(ids, dtype=torch.int16),
            lambda ids: pandas.Series(ids, index=[7, 3, 5]),
            lambda ids: pandas.Series(ids, dtype="Int64"),
            lambda ids: pandas.Series(ids, dtype=object),
            lambda ids: pandas.DataFrame({"a": ids})["a"],
            lambda ids: [np.int32(each) for each in ids],
        ],
    )
    def test_integers_of_any_container_are_taken(self, make):
        pairs = Interactions.from_pairs(make([2, 0, 1]), make([0, 1, 2]), np.int64(3), 3)
        assert [each.tolist() for each in pairs.pairs()] == [[0, 1, 2], [1, 2, 0]]

    def test_no_pairs(self):
        assert len(Interactions.from_pairs([], [], 2, 2)) == 0
        assert len(Interactions.from_pairs(np.zeros(0), [], 2, 2)) == 0

    def test_what_is_read_is_a_copy(self):
        ids = np.array([0, 1])
        pairs = Interactions.from_pairs(ids, ids, 2, 2)
        ids[:] = 0
        assert pairs.pairs()[1].tolist() == [0, 1]

    @pytest.mark.parametrize(
        ("ids", "got"),
        [
            (["a", "b"], "str"),
            (np.array(["a", "b"]), "str"),
            (np.array([b"a", b"b"]), "bytes"),
            (pandas.Series(["a", "b"]), "str"),
            (pandas.Categorical(["a", "b"]), "str"),
            (pandas.Series([1, "b"], dtype=object), "str"),
            (pandas.Series([1, None]), "float64"),
            ([0.0, 1.0], "float64"),
            (T([0.0, 1.0]), "torch.float32"),
            ([True, False], "bool"),
            (T([True, False]), "torch.bool"),
            ([[0], [1, 2]], "list"),
            ({0, 1}, "set"),
            (iter([0, 1]), "list_iterator"),
            (pandas.to_datetime(["2024-01-01", "2024-01-02"]), "datetime64"),
        ],
    )
    @pytest.mark.parametrize("side", ["users", "items"])
    def test_other_things_are_refused_by_name(self, ids, got, side):
        given = {"users": [0, 1], "items": [0, 1], side: ids}
        with pytest.raises(TypeError, match=f"'{side}' must hold integer ids, got {got}.*"):
            Interactions.from_pairs(given["users"], given["items"], 3, 3)

    def test_the_way_out_is_told(self):
        with pytest.raises(TypeError, match=r"number them from 0 on first, for example by pandas.factorize"):
            Interactions.from_pairs(["a"], ["b"], 1, 1)
        codes, _ = pandas.factorize(np.array(["x", "y", "x"], dtype=object))
        assert len(Interactions.from_pairs(codes, codes, 2, 2)) == 2

    @pytest.mark.cuda
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
    def test_items_follow_the_users_device(self):
        users = T([0, 1], device="cuda")
        pairs = Interactions.from_pairs(users, [1, 0], 2, 2)
        assert pairs.items.device == users.device
        assert len(pairs.union(Interactions.from_pairs([0], [0], 2, 2))) == 3


class TestRanges:
    @pytest.mark.parametrize("item", [BIG - 1, BIG + 5, 2**40 + 5, 2**62])
    def test_more_items_than_int32_numbers_are_refused(self, item):
        with pytest.raises(ValueError, match=f"'num_items' must be from 0 to {BIG - 1}, .*number them from 0 on first"):
            Interactions.from_pairs(T([0]), T([item]), 2, item + 1)

    def test_more_users_too(self):
        with pytest.raises(ValueError, match=f"'num_users' must be from 0 to {BIG - 1}, since ids are kept as int32"):
            Interactions.from_pairs(T([2**35]), T([0]), 2**36, 2)

    def test_the_largest_numbers_do_not_overflow(self):
        size = BIG - 1
        pairs = Interactions.from_pairs(T([3, 4]), T([size - 1, 0]), 5, size)
        assert pairs.keys.tolist() == [3 * size + size - 1, 4 * size]
        assert pairs.pairs()[1].tolist() == [size - 1, 0]
        assert pairs.contains(T([3, 4, 3, 4]), T([size - 1, 0, 0, size - 1])).tolist() == [True, True, False, False]
        assert pairs.union(pairs).pairs()[1].tolist() == [size - 1, 0]

    @pytest.mark.parametrize(
        ("ids", "got"),
        [
            ([0, BIG + 5], f"got {BIG + 5} at position 1"),
            ([-1, 0], "got -1 at position 0"),
            ([0, 7], "got 7 at position 1"),
        ],
    )
    def test_ids_out_of_range_are_named(self, ids, got):
        with pytest.raises(
            ValueError, match=f"'items' must hold ids from 0 to 6, {got}; 1 ids are out of range: number"
        ):
            Interactions.from_pairs([0, 1], ids, 2, 7)

    @pytest.mark.parametrize("ids", [[2**63, 0], [2**70, 0], np.array([2**64 - 1, 0], dtype=np.uint64)])
    def test_ids_beyond_int64_do_not_wrap(self, ids):
        with pytest.raises(
            ValueError, match=rf"'items' must hold ids of at most {BIG - 1}, got one of 2\*\*63 or more"
        ):
            Interactions.from_pairs([0, 1], ids, 2, 7)

    @pytest.mark.parametrize("size", [2.0, True, "3", None])
    def test_numbers_of_users_are_integers(self, size):
        with pytest.raises(TypeError, match="'num_users' must be an integer, got"):
            Interactions.from_pairs([0], [0], size, 3)

    def test_ids_that_nobody_has_are_in_no_pair(self):
        pairs = Interactions.from_pairs([0, 1], [1, 0], 2, 2)
        assert pairs.contains(T([0, 1, 0, -1, 2]), T([2, -1, 3, 3, 0])).tolist() == [False] * 5

    def test_counts_and_transpose_agree(self):
        pairs = Interactions.from_pairs(np.array([0, 0, 1], dtype=np.uint16), [4, 2, 4], 2, 5)
        assert pairs.counts().tolist() == pairs.transpose().degrees().tolist() == [0, 0, 1, 0, 2]

    def test_a_graph_of_more_pairs_than_int32_numbers_is_refused(self):
        count = 2**30
        many = Interactions(T([0, count]), torch.zeros(1, dtype=torch.int32).expand(count), 1, 2)
        with pytest.raises(ValueError, match=rf"LightGCN takes at most {count - 1} training pairs, got {count}"):
            LightGCN(many, 2)


class TestRepeats:
    def test_a_pair_is_trained_as_often_as_it_was_taken(self):
        pairs = Interactions.from_pairs([0, 0, 1, 0, 2], [1, 1, 2, 1, 0], 3, 4)
        assert (len(pairs), pairs.repeats.tolist()) == (3, [3, 1, 1])
        for batches in (RankingBatches(pairs, batch_size=2), RankingBatches(pairs.to("cpu"), batch_size=2)):
            found = [batch for _ in range(3) for batch in batches]
            assert len(found) == 3 * len(batches) == 9
            rows = torch.stack([torch.cat([batch[name] for batch in found]) for name in ("users", "positives")])
            assert sorted(rows.T.tolist()) == sorted(3 * [[0, 1], [0, 1], [0, 1], [1, 2], [2, 0]])

    def test_repeats_are_kept(self):
        pairs = Interactions.from_pairs([0, 0, 1], [1, 1, 2], 2, 3)
        assert pairs.transpose().transpose().repeats.tolist() == pairs.repeats.tolist() == [2, 1]
        assert pairs.union(pairs).repeats.tolist() == [4, 2]
        assert pairs.counts().tolist() == [0, 1, 1]  # of users
        assert Interactions.from_pairs([0, 1], [1, 2], 2, 3).repeats is None

    def test_a_run_sees_them(self):
        def trained(users, items):
            none = Interactions.from_pairs([], [], 4, 6)
            split = Split(Interactions.from_pairs(users, items, 4, 6), none, none)
            torch.manual_seed(0)
            result = recsys.distil("none", MF(4, 6, 2), None, split, epochs=2, progress=False)
            return result.history[-1]["loss"] / 1.0

        once, often = trained([0, 1, 2, 3], [0, 1, 2, 3]), trained([0, 1, 2, 3] * 3, [0, 1, 2, 3] * 3)
        assert often == pytest.approx(3 * once, rel=0.01)  # BPR is a sum over the events of a batch


class TestEverythingTaken:
    def test_the_user_is_named_before_training(self):
        pairs = Interactions.from_pairs([0, 0, 0, 1, 2, 2, 2], [0, 1, 2, 1, 0, 1, 2], 4, 3)
        message = "1 items must be left to draw for every user, user 0 has 0; 2 users have too few: leave them out"
        with pytest.raises(ValueError, match=message):
            RankingBatches(pairs)
        with pytest.raises(ValueError, match="user 2 has 0; 1 user has too few"):
            Outside(pairs).one(T([1, 2, 2]))
        with pytest.raises(ValueError, match="3 items must be left to draw for every user, user 0 has 0; 3 users have"):
            Outside(pairs).several(torch.arange(4), 3)

    def test_candidates(self, caplog):
        pairs = Interactions.from_pairs([0] * 9 + [1], [*range(9), 3], 2, 22)
        with caplog.at_level(logging.WARNING):
            found = draw_candidates(pairs)
        assert found.shape == (2, 21)
        assert sorted(found[0, :13].tolist()) == list(range(9, 22))
        assert found[0, 13:].tolist() == [-1] * 8
        assert sorted(found[1].tolist()) == [item for item in range(22) if item != 3]
        assert "'count' is 21 here, what the user with fewest pairs has left, not 499" in caplog.text
        assert "1 users have fewer than 21 candidates here, the least 13" in caplog.text
        with pytest.raises(
            ValueError, match="499 items must be left to draw for every user, user 0 has 13; 2 users have"
        ):
            draw_candidates(pairs, 499)


class TestSmallCatalogue:
    @pytest.fixture
    def seen(self):
        return Interactions.from_pairs(torch.arange(8), torch.arange(8), 8, 22)

    @pytest.fixture
    def teacher(self):
        generator = torch.Generator().manual_seed(0)
        return Tables(*(torch.randn(size, 4, generator=generator) for size in (8, 22)))

    def batch(self):
        users, items = torch.arange(8), torch.arange(8)
        return {"users": users, "unique_users": users, "positives": items}

    @pytest.mark.parametrize(
        ("make", "shapes", "said"),
        [
            (lambda t, s: RRDLists(top_items(t, s, 21), s), {"interesting": 11, "uninteresting": 10}, "'l' is 10 here"),
            (lambda t, s: RRDLists(top_items(t, s, 6), s), {"interesting": 6, "uninteresting": 15}, "'k' is 6 here"),
            (lambda t, s: CDLists(t, s), {"drawn": 21}, "'k' is 21 here, what the user with most training items has"),
            (lambda t, s: RDLists(top_items(t, s, 8), s), {"top": 7, "sampled": 100}, "'k' is 7 here, one less than"),
            (
                lambda t, s: DCDLists(t, top_items(t, s, 21)),
                {"underestimated": 21, "overestimated": 21},
                "'k' is 21 here, the length of 'top', not 40",
            ),
            (lambda t, s: RCEKDLists(t, top_items(t, s, 21), s), {"own": 21, "mixed": 42}, "'l' is 21 here"),
            (lambda t, s: HetCompLists.of_teachers(t, [[t]], s), {"tops": 21, "known": 2}, "'k' is 21 here"),
            (lambda t, s: UnKDLists.of_teacher(t, s), {"better": 32, "worse": 32}, ""),
            (
                lambda t, s: IRRRDLists(RRDLists(top_items(t, s, 21), s), users_of(t, s)),
                {"interesting": 11},
                "'l' is 3",
            ),
        ],
    )
    def test_usual_lengths_shrink_and_say_so(self, seen, teacher, caplog, make, shapes, said):
        with caplog.at_level(logging.WARNING):
            source = make(teacher, seen)
        source.resample()
        lists = source.lists(self.batch())
        assert {name: lists[name].items.size(1) for name in shapes} == shapes
        assert said in caplog.text

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda t, s: RRDLists(top_items(t, s, 21), s, k=40),
                "'k' must be from 1 to 11, the length of 'top', got 40",
            ),
            (lambda t, s: RRDLists(top_items(t, s, 10), s, l=40), "'l' must be from 1 to 11, .* 21 items .*got 40"),
            (lambda t, s: CDLists(t, s, k=50), "'k' must be from 1 to 21, what the user with most .*got 50"),
            (lambda t, s: RDLists(top_items(t, s, 8), s, k=10), "'top' must list at least k \\+ 1 = 11 items, got 8"),
            (
                lambda t, s: DCDLists(t, top_items(t, s, 21), k=40),
                "'k' must be from 1 to 21, the length of 'top', got 40",
            ),
            (lambda t, s: RCEKDLists(t, top_items(t, s, 21), s, l=50), "'l' must be from 1 to 21, .*got 50"),
            (lambda t, s: HetCompLists.of_teachers(t, [[t]], s, k=100), "'k' must be from 1 to 21, .*got 100"),
            (lambda t, s: top_users(t, s, 21), "'k' must be from 1 to 8, got 21"),
            (lambda t, s: top_items(t, s, 22), "'k' must be at most what is not excluded, got 22"),
        ],
    )
    def test_lengths_that_were_asked_for_are_refused(self, seen, teacher, make, message):
        with pytest.raises(ValueError, match=message):
            make(teacher, seen)

    @pytest.mark.parametrize(
        "name",
        ["rrd", "irrrd", "rd", "cd", "dcd", "rcekd", "hetcomp", "unkd", "de", "htd", "ftd", "pckd", "freqd", "graphd"],
    )
    def test_every_method_runs_also_with_a_heavy_user(self, name, teacher):
        users, items = [0] * 19 + [1, 2, 3, 4, 5, 6, 7], [*range(19), 1, 2, 3, 4, 5, 6, 7]
        train, held = Interactions.from_pairs(users, items, 8, 22), Interactions.from_pairs([0, 1], [20, 3], 8, 22)
        result = recsys.distil(name, MF(8, 22, 2), teacher, Split(train, held, held), epochs=1, progress=False)
        assert 0 <= result.scores["test"]["ndcg@10"] <= 1


def users_of(teacher, seen):
    """RRD's lists of users for items, as IR-RRD takes them."""
    return RRDLists(top_users(teacher, seen, 6), seen.transpose())
