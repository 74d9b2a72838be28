"""HetComp's lists against the rule as loops: whose consensus, of which stages, and when."""

from __future__ import annotations

import functools
import math

import pytest
import torch

from graphkd import Distiller, fit
from recsys.data.batches import RankingBatches
from recsys.losses import HetComp
from recsys.models import MF, Tables, show
from recsys.models.rankings import top_items
from recsys.sources import HetCompLists
from recsys.sources.hetcomp import consensus, known_items
from tests.recsys.laws import as_sets, toy

USERS, ITEMS, K = 30, 40, 12


@pytest.fixture(params=[False, True], ids=["all", "padded"])
def pairs(request):
    return toy(padding=request.param)


def model(seed, width=4):
    generator = torch.Generator().manual_seed(seed)
    return Tables(*(torch.randn(size, width, generator=generator) for size in (USERS, ITEMS)))


def teachers(stages=(3, 2)):
    """Models that have nothing to do with each other, each teacher a number of stages."""
    return [[model(10 * number + stage) for stage in range(count)] for number, count in enumerate(stages)]


def summed(rankings, decay):
    """Importance of every item of one user, in the order of the first ranking that lists it."""
    total = {}
    for ranking in rankings:
        for place, item in enumerate(ranking):
            total[item] = total.get(item, 0.0) + math.exp(-place / decay)
    return total


def assert_ranked(got, total):
    """Items in falling order of their totals, none better left out; float32 may swap near ties."""
    assert len(set(got)) == len(got)
    best = sorted(total.values(), reverse=True)[: len(got)]
    assert [total[item] for item in got] == pytest.approx(best, rel=1e-5)


class TestConsensus:
    @pytest.mark.parametrize("block", [7, 512])
    def test_definition(self, block, monkeypatch):
        monkeypatch.setattr("recsys.sources.hetcomp._BLOCK", block)
        generator = torch.Generator().manual_seed(0)
        orders = torch.rand(3, USERS, ITEMS, generator=generator).argsort(dim=2)[:, :, :15].int()
        got = consensus(orders, 15, ITEMS, decay=4.0)
        assert got.dtype == torch.int32
        for user in range(USERS):
            assert_ranked(got[user].tolist(), summed(orders[:, user].tolist(), 4.0))

    def test_of_equals_the_earlier_rankings_goes_first(self):
        rankings = torch.tensor([[[5, 1, 2]], [[7, 1, 3]]])
        assert consensus(rankings, 3, 8, decay=100.0).tolist() == [[1, 5, 7]]
        assert consensus(rankings.flip(0), 3, 8, decay=100.0).tolist() == [[1, 7, 5]]

    def test_one_ranking_agrees_with_itself(self):
        ranking = torch.rand(1, 4, 20).argsort(dim=2)
        assert torch.equal(consensus(ranking, 9, 20), ranking[0, :, :9].int())

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="'k' must be from 1 to 3, the length of the rankings, got 4"):
            consensus(torch.zeros(1, 2, 3), 4, 9)


def test_known_items(pairs):
    guides, tops = [model(1), model(2)], top_items(model(3), pairs, 6)
    got = known_items(guides, pairs, tops, 5, decay=3.0)
    assert got.shape == (USERS, 5)
    for user, taken in enumerate(as_sets(pairs)):
        scores = [guide.score_items(torch.tensor([user]))[0].tolist() for guide in guides]
        rankings = [sorted(taken, key=lambda item, row=row: -row[item]) for row in scores]
        own = min(len(taken), 5)
        assert_ranked(got[user, :own].tolist(), summed(rankings, 3.0))
        assert got[user, own:].tolist() == tops[user, : 5 - own].tolist()
    assert min(map(len, as_sets(pairs))) < 5 < max(map(len, as_sets(pairs)))


def discrepancy(student, teacher, length):
    gains = [(2 ** math.exp(-place / 10) - 1) / math.log2(place + 2) for place in range(length)]
    found = sum(gain for gain, item in zip(gains, student, strict=True) if item in teacher)
    return 1 - found / sum(gains)


def reference(pairs, stages, students, every, alpha):
    """The authors' schedule as loops: stages reached before every epoch, and whether the phase is the last."""
    counts = [len(each) for each in stages]
    reached, before, history = [[0] * USERS for _ in stages], None, []
    for epoch in range(len(students)):
        done = epoch - 1  # the epoch after which the authors look, with the student that it left
        final = all(round(sum(row) / USERS, 2) == count - 1 for row, count in zip(reached, counts, strict=True))
        if done >= every and done % every == 0 and not final:
            ranked = top_items(students[epoch], pairs, K).tolist()

            def gap(teacher, user, stage, ranked=ranked):
                wanted = stages[teacher][min(stage, counts[teacher] - 1)][user].tolist()
                return discrepancy(ranked[user], wanted, K)

            grid = [(teacher, user) for teacher in range(len(stages)) for user in range(USERS)]
            if before is None:
                before = {(t, u): gap(t, u, 1) for t, u in grid}
            else:
                for t, u in grid:
                    now = gap(t, u, reached[t][u] + 1)
                    if reached[t][u] == counts[t] - 1:
                        continue
                    if before[t, u] / now > alpha * 0.995 ** (done // every) or before[t, u] / now < 1:
                        reached[t][u] += 1
                        before[t, u] = gap(t, u, reached[t][u] + 1)
        final = all(round(sum(row) / USERS, 2) == count - 1 for row, count in zip(reached, counts, strict=True))
        history.append(([list(row) for row in reached], "rank" if final else "overall"))
    return history


class TestSchedule:
    def students(self, epochs):
        """A student that turns slowly."""
        start, end = model(90), model(11)
        return [
            Tables(*(a + epoch / epochs * (b - a) for a, b in zip(start.tables(), end.tables(), strict=True)))
            for epoch in range(epochs)
        ]

    @pytest.mark.parametrize(("every", "alpha", "told"), [(2, 1.05, True), (3, 1.05, True), (2, 1.1, False)])
    def test_stages_follow_the_rule(self, pairs, every, alpha, told):
        student, students = model(90), self.students(60)
        stages = [[top_items(each, pairs, K) for each in row] for row in teachers()]
        source = HetCompLists.of_teachers(student, teachers(), pairs, k=K, every=every, alpha=alpha)
        wanted = reference(pairs, stages, students, every, alpha)
        for epoch, (reached, phase) in enumerate(wanted):
            student.load_state_dict(students[epoch].state_dict())
            if told:
                source.set_epoch(epoch, len(wanted))
            source.resample()
            assert source.reached.tolist() == reached
            batch = source.lists({"unique_users": torch.arange(USERS)})
            assert batch["phase"] == phase
            if epoch % 7 == 0:
                for user, items in enumerate(batch["tops"].items.tolist()):
                    rankings = [row[reached[t][user]][user].tolist() for t, row in enumerate(stages)]
                    assert_ranked(items, summed(rankings, 10.0))
        assert len({str(reached) for reached, _ in wanted}) > 4  # users went up at different times
        assert {phase for _, phase in wanted} == {"overall", "rank"}

    def test_the_last_phase_begins_when_all_but_a_few_are_there(self, pairs):
        source = HetCompLists.of_teachers(model(0), teachers(), pairs, k=K)
        source.reached = source.last.expand(2, USERS).clone()
        assert source.phase == "rank"
        source.reached[0, 0] -= 1
        assert source.phase == "overall"
        many = source.last.expand(2, 1000).clone()
        many[0, :4] -= 1  # 1.996 is 2.00, as in the authors' code
        source.reached = many
        assert source.phase == "rank"

    def test_agreement_from_the_beginning_does_not_hold_a_user(self, pairs):
        fixed = model(1)
        source = HetCompLists.of_teachers(fixed, [[fixed, fixed, fixed]], pairs, k=K, every=1)
        for _ in range(5):
            source.resample()
        assert source.phase == "rank"

    def test_lists(self, pairs):
        source = HetCompLists.of_teachers(model(0), teachers(), pairs, k=K)
        torch.manual_seed(0)
        batch = next(iter(RankingBatches(pairs, batch_size=20, sources={"hetcomp": source})))
        users, taken = batch["unique_users"], as_sets(pairs)
        assert torch.equal(batch["tops"].users, users)
        assert torch.equal(batch["known"].users, users)
        assert batch["known"].items.shape == (len(users), 1)  # a tenth of 12
        rows = (users, batch["tops"].items, batch["known"].items)
        for user, tops, known in zip(*(each.tolist() for each in rows), strict=True):
            assert len(set(tops)) == K
            assert not set(tops) & taken[user]
            assert set(known) <= taken[user]
            assert not pairs.padding or 0 not in tops

    def test_bad_arguments(self, pairs):
        known, ranking = torch.zeros(USERS, 1), top_items(model(0), pairs, K)
        for stages, counts in (([], r"\[\]"), ([[ranking], []], r"\[1, 0\]")):
            with pytest.raises(ValueError, match=f"at least one teacher and a stage of each, got stages {counts}"):
                HetCompLists(model(0), stages, known, pairs)
        with pytest.raises(ValueError, match="rankings of one shape, for 30 users"):
            HetCompLists(model(0), [[ranking], [ranking[:, :5]]], known, pairs)
        with pytest.raises(RuntimeError, match="the lists were not drawn yet"):
            HetCompLists(model(0), [[ranking]], known, pairs).lists({"unique_users": torch.tensor([1])})


class TestTraining:
    def run(self, pairs, epochs, folder, resume=False, every=2):
        torch.manual_seed(0)
        student = MF(USERS, ITEMS, 3)
        source = HetCompLists.of_teachers(student, teachers(), pairs, k=K, every=every)
        batches = RankingBatches(pairs, batch_size=50, sources={"hetcomp": source})
        task = Distiller(student, None, 0.01 * HetComp(pairs), call=show)
        adam = functools.partial(torch.optim.Adam, lr=0.05)
        fit(task, batches, epochs=epochs, optimizer=adam, checkpoint=folder, resume=resume, progress=False)
        return student, source

    @pytest.mark.parametrize("stop", [4, 5])
    def test_a_resumed_run_ends_with_the_same_bits(self, pairs, tmp_path, stop):
        whole, source = self.run(pairs, 8, tmp_path / "whole")
        self.run(pairs, stop, tmp_path / "parts")
        resumed, again = self.run(pairs, 8, tmp_path / "parts", resume=True)
        assert source.reached.any()
        assert torch.equal(source.reached, again.reached)
        for one, other in zip(whole.tables(), resumed.tables(), strict=True):
            assert torch.equal(one, other)

    def test_the_student_comes_to_rank_as_the_teachers(self, pairs, tmp_path):
        def distance(student):
            final = consensus(torch.stack([top_items(row[-1], pairs, K) for row in teachers()]), K, ITEMS)
            ranked = top_items(student, pairs, K).tolist()
            return sum(discrepancy(*row, K) for row in zip(ranked, final.tolist(), strict=True))

        torch.manual_seed(0)
        before = distance(MF(USERS, ITEMS, 3))
        student, source = self.run(pairs, 30, tmp_path, every=1)
        assert source.phase == "rank"
        assert distance(student) < 0.6 * before
