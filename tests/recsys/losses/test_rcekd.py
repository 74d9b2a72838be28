"""RCE-KD against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.losses import RCEKD
from recsys.losses.rcekd import list_cross_entropy, rcekd_meeting
from recsys.models import Lists, RecommenderView, Tables


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


def test_where_lists_meet() -> None:
    own, mixed = torch.tensor([[1, 2]]), torch.tensor([[3, 4, 5, 4, 6]])
    kept, met = rcekd_meeting(own, mixed)
    assert kept.tolist() == [[True, True, True, False, True]]
    assert met.tolist() == [0.5]


def test_lists_may_be_given_once_for_several_rows() -> None:
    torch.manual_seed(0)
    student, teacher = (Tables(torch.randn(5, d).double(), torch.randn(20, d).double()) for d in (3, 4))
    student.user.requires_grad_()
    users, own, mixed = torch.tensor([0, 2, 4]), *(torch.rand(3, 20).topk(k).indices for k in (4, 7))
    rows = torch.tensor([1, 0, 1, 2, 2, 2])
    kept, met = rcekd_meeting(own, mixed)
    found = {}
    for name, batch in (
        ("each", {"own": Lists(users[rows], own[rows]), "mixed": Lists(users[rows], mixed[rows])}),
        ("once", {"own": Lists(users, own), "mixed": Lists(users, mixed), "own_rows": rows}),
        ("made", {"own": Lists(users, own), "mixed": Lists(users, mixed), "own_rows": rows, "mixed_kept": kept}),
    ):
        whole = {**batch, "mixed_met": met} if name == "made" else batch
        values = []
        for reduction in ("sum", "mean", "none"):
            loss = RCEKD(reduction=reduction)  # type: ignore[arg-type]
            value = loss.measure(
                RecommenderView(student, whole), loss.digest_view(RecommenderView(teacher, whole), whole), whole
            )
            assert value is not None
            values.append(value)
        found[name] = [*values, *torch.autograd.grad(values[0], student.user)]
    for name in ("once", "made"):
        for one, other in zip(found[name], found["each"], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_lists_of_other_users_are_an_error() -> None:
    one, other = (Lists(torch.tensor([user]), torch.zeros(1, 2).long()) for user in (0, 1))
    with pytest.raises(ValueError, match="'mixed' must be about the users of 'own'"):
        RCEKD()(2 * (torch.zeros(1, 2),), 2 * (torch.zeros(1, 2),), own=one, mixed=other)
