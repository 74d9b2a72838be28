"""RCE-KD against its formula; its lists; the law by which they are drawn."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd import Frozen
from recsys.batches import RankingBatches
from recsys.interactions import Interactions
from recsys.losses import RCEKD, list_cross_entropy, rcekd_overlap
from recsys.models import MF, Lists, RecommenderView, Tables, show
from recsys.rankings import top_items
from recsys.sources import RCEKDLists
from recsys.sources.agreement import agreement_log_weights
from tests.recsys.laws import as_sets, assert_law, count_subsets, golden, subset_law, toy


def softmax(scores: list[float]) -> list[float]:
    total = sum(map(math.exp, scores))
    return [math.exp(x) / total for x in scores]


def entropy(student: list[float], teacher: list[float]) -> float:
    return -sum(p * math.log(q) for p, q in zip(softmax(teacher), softmax(student), strict=True))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_formula_on_sets(temperature: float) -> None:
    torch.manual_seed(0)
    student, teacher = (Tables(torch.randn(5, d).double(), torch.randn(20, d).double()) for d in (3, 4))
    users = torch.tensor([0, 2, 2, 4])
    ids = torch.stack([torch.randperm(20) for _ in users])
    own, top, sampled = ids[:, :4], torch.stack([torch.randperm(20)[:4] for _ in users]), ids[:, 2:8:2]
    lists = {"own": Lists(users, own), "mixed": Lists(users, torch.cat([sampled, top], dim=1))}
    total = 0.0
    for row, user in enumerate(users.tolist()):
        scores = [(model.user[user] @ model.item.T / temperature).tolist() for model in (student, teacher)]
        a, b, q = own[row].tolist(), top[row].tolist(), sampled[row].tolist()
        second = q + [item for item in b if item not in a and item not in q]
        weight = math.exp(-1.5 * len(set(b) & set(q)) / 4)
        first, other = (entropy(*([each[i] for i in items] for each in scores)) for items in (a, second))
        total += (1 - weight) * first + weight * other
    loss = RCEKD(temperature, sharpness=1.5)
    taught = loss.digest_view(RecommenderView(teacher, lists), lists)
    got = loss.measure(RecommenderView(student, lists), taught, lists)
    assert got is not None
    assert float(got) == pytest.approx(total)
    mean = RCEKD(temperature, sharpness=1.5, reduction="mean").measure(RecommenderView(student, lists), taught, lists)
    assert mean is not None
    assert float(mean) == pytest.approx(total / 4)


def test_gradients_and_large_scores() -> None:
    student, teacher = torch.randn(2, 3, 6, dtype=torch.float64)
    kept = torch.tensor([True, True, False, True, False, True]).expand(3, -1)
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: list_cross_entropy(s, teacher, 2.0, kept), student)
    large = (300 * student.detach().float().sign()).requires_grad_()
    list_cross_entropy(large, -large.detach(), kept=kept).sum().backward()
    assert large.grad is not None
    assert large.grad.isfinite().all()
    assert not large.grad[~kept].any()


def test_overlap() -> None:
    own, sampled, top = torch.tensor([[1, 2]]), torch.tensor([[3, 4, 5]]), torch.tensor([[4, 6]])
    added, weight = rcekd_overlap(own, sampled, top, 3.0)
    assert added.tolist() == [[False, True]]
    assert weight.tolist() == pytest.approx([math.exp(-1.5)])


def test_lists_of_other_users_are_an_error() -> None:
    one, other = (Lists(torch.tensor([user]), torch.zeros(1, 2).long()) for user in (0, 1))
    with pytest.raises(ValueError, match="'mixed' must be about the users of 'own'"):
        RCEKD()(2 * (torch.zeros(1, 2),), 2 * (torch.zeros(1, 2),), own=one, mixed=other)


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
        ranked, users, taken = top_items(student, pairs, 12), batch["users"], as_sets(pairs)
        assert torch.equal(batch["own"].items, ranked[users, :5].long())
        assert torch.equal(batch["mixed"].items[:, 4:], top[users, :5].long())
        for user, drawn in zip(users.tolist(), batch["mixed"].items[:, :4].tolist(), strict=True):
            assert len(set(drawn)) == 4
            assert set(drawn) <= set(ranked[user].tolist())
            assert not set(drawn) & taken[user]

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
        mixed = source.lists({"users": torch.arange(draws)})["mixed"].items[:, :4].view(5, draws // 5, 4)
        for row in range(5):
            places = (mixed[row][:, :, None] == case["student_topk_items"][row]).long().argmax(dim=2)
            law = subset_law(case["weights"][row], 4)
            assert_law(count_subsets(places, law), list(law.values()))

    def test_bad_arguments(self) -> None:
        pairs, top = toy(), torch.zeros(30, 6)
        with pytest.raises(ValueError, match="'k' must be from 1 to 6 and 'l' from 1 to 12, got k = 7, l = 4"):
            RCEKDLists(MF(30, 40, 3), top, pairs, k=7, l=4, length=12)
        with pytest.raises(RuntimeError, match="the lists were not drawn yet"):
            RCEKDLists(MF(30, 40, 3), top, pairs, k=5, l=4, length=12).lists({"users": torch.tensor([1])})
