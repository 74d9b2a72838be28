"""RCE-KD's lists, and the law by which they are drawn."""

from __future__ import annotations

import pytest
import torch

from graphkd import Frozen
from recsys import Interactions
from recsys.data.batches import RankingBatches
from recsys.losses import RCEKD
from recsys.models import MF, Tables, show
from recsys.models.rankings import top_items
from recsys.sources import RCEKDLists
from recsys.sources.rcekd import agreement_log_weights
from tests.recsys.laws import as_sets, assert_law, count_subsets, golden, subset_law, toy


class TestLists:
    def source(self, pairs, student, **options):  # type: ignore[no-untyped-def]
        torch.manual_seed(0)
        teacher = MF(30, 40, 4, std=1.0)
        top = top_items(teacher, pairs, 6)
        return RCEKDLists(student, top, pairs, k=5, l=4, length=12, **options), top

    @pytest.mark.parametrize("padding", [False, True])
    def test_what_is_listed(self, padding: bool) -> None:
        pairs = toy(padding=padding)
        student = MF(30, 40, 3, std=1.0)
        source, top = self.source(pairs, student)
        torch.manual_seed(1)
        batch = next(iter(RankingBatches(pairs, batch_size=50, sources={"rcekd": source})))
        ranked, users, taken = top_items(student, pairs, 12), batch["unique_users"], as_sets(pairs)
        assert torch.equal(users[batch["own_rows"]], batch["users"])
        assert torch.equal(batch["own"].items, ranked[users, :5].long())
        assert torch.equal(batch["mixed"].items[:, 4:], top[users, :5].long())
        for user, drawn in zip(users.tolist(), batch["mixed"].items[:, :4].tolist(), strict=True):
            assert len(set(drawn)) == 4
            assert set(drawn) <= set(ranked[user].tolist())
            assert not set(drawn) & taken[user]
        for row, (own, mixed) in enumerate(
            zip(batch["own"].items.tolist(), batch["mixed"].items.tolist(), strict=True)
        ):
            kept = [True] * 4 + [item not in own + mixed[:4] for item in mixed[4:]]
            assert batch["mixed_kept"][row].tolist() == kept
            assert float(batch["mixed_met"][row]) == len(set(mixed[4:]) & set(mixed[:4])) / 5

    def test_a_user_may_count_once(self) -> None:
        pairs, student = toy(), MF(30, 40, 3, std=1.0)
        source, _ = self.source(pairs, student, per="user")
        batch = next(iter(RankingBatches(pairs, batch_size=50, sources={"rcekd": source})))
        assert "own_rows" not in batch

    def test_what_would_take_too_much_memory_is_left_to_the_loss(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("recsys.sources.rcekd._MOST_BYTES", 30 * 9 - 1)
        pairs, student = toy(), MF(30, 40, 3, std=1.0)
        source, _ = self.source(pairs, student)
        batch = next(iter(RankingBatches(pairs, batch_size=50, sources={"rcekd": source})))
        assert "mixed_kept" not in batch

    def test_they_are_renewed_when_it_is_time_and_kept_in_a_checkpoint(self) -> None:
        pairs, student = toy(), MF(30, 40, 3, std=1.0)
        source, _ = self.source(pairs, student, rerank=2)
        users = {"users": torch.arange(30), "unique_users": torch.arange(30)}
        drawn = []
        for epoch in range(3):
            source.set_epoch(epoch, 3)
            source.resample()
            drawn.append(source.lists(users)["mixed"].items)
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[1], drawn[2])
        fresh, _ = self.source(pairs, student, rerank=2)
        fresh.load_state_dict(source.state_dict())
        fresh.set_epoch(3, 4)
        fresh.resample()
        assert torch.equal(fresh.lists(users)["mixed"].items, drawn[2])

    def test_the_loss_reads_them(self) -> None:
        pairs, student, teacher = toy(), MF(30, 40, 3, std=1.0), MF(30, 40, 4, std=1.0)
        source, _ = self.source(pairs, student)
        batch = next(iter(RankingBatches(pairs, batch_size=50, sources={"rcekd": source})))
        loss = RCEKD()
        value = loss.measure(show(student, batch), loss.digest_view(Frozen(teacher, call=show)(batch), batch), batch)
        assert value is not None
        value.backward()
        assert student.item.weight.grad is not None
        assert student.item.weight.grad.isfinite().all()

    def test_the_law(self) -> None:
        case, draws = golden("sampler_rcekd"), 40_000
        teacher = case["teacher_scores"].topk(6, dim=1).indices
        logs = agreement_log_weights(case["student_topk_items"], teacher, 10.0)
        torch.testing.assert_close(logs.exp(), case["weights"])
        nobody = torch.zeros(0, dtype=torch.long)
        pairs = Interactions.from_pairs(nobody, nobody, draws, 30)
        student = Tables(
            torch.eye(5).repeat_interleave(draws // 5, dim=0), case["student_scores"].T.float().contiguous()
        )
        source = RCEKDLists(student, teacher.repeat_interleave(draws // 5, dim=0), pairs, k=6, l=4, length=12)
        torch.manual_seed(3)
        source.resample()
        everyone = torch.arange(draws)
        mixed = source.lists({"users": everyone, "unique_users": everyone})["mixed"].items[:, :4].view(5, draws // 5, 4)
        for row in range(5):
            places = (mixed[row][:, :, None] == case["student_topk_items"][row]).long().argmax(dim=2)
            law = subset_law(case["weights"][row], 4)
            assert_law(count_subsets(places, law), list(law.values()))

    def test_bad_arguments(self) -> None:
        pairs, top = toy(), torch.zeros(30, 6)
        with pytest.raises(ValueError, match="'k' must be from 1 to 6, what 'top' lists and a user has left, got 7"):
            RCEKDLists(MF(30, 40, 3), top, pairs, k=7, l=4, length=12)
        with pytest.raises(ValueError, match=r"'l' must be from 1 to 12, 'length', or what .* has left, got 13"):
            RCEKDLists(MF(30, 40, 3), top, pairs, k=6, l=13, length=12)
        with pytest.raises(RuntimeError, match="the lists were not drawn yet"):
            RCEKDLists(MF(30, 40, 3), top, pairs, k=5, l=4, length=12).lists({"unique_users": torch.tensor([1])})
