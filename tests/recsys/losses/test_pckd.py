"""PCKD against its formula as loops; its items against their laws."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import recsys
from recsys.data.batches import RankingBatches
from recsys.losses import DE, PCKD
from recsys.losses.pckd import list_order
from recsys.models import MF
from recsys.sources import PCKDLists
from recsys.sources.pckd import top_of_all
from tests.methods import recommenders
from tests.recsys.laws import toy
from tests.recsys.losses.examples import triplets
from tests.recsys.losses.test_experts import naive

FORMS = ["list", "pair", "batch"]
PREFERRED = torch.tensor([[1, 4, 1], [0, 9, 2], [3, 10, 7], [8, 8, 2], [5, 6, 0]])


def example(form: str, experts: int = 3, **knobs: Any) -> tuple[PCKD, dict[str, Any], dict[str, Tensor]]:
    torch.manual_seed(4)
    facts = triplets() | {"preferred": PREFERRED}
    facts["student"] = tuple(table.requires_grad_() for table in facts["student"])
    loss = PCKD(3, 5, experts, form=form, alpha=0.7, tau=0.6, temperature=0.8, **knobs).double()
    columns = 2 if form != "list" else 3
    sizes = {name: facts[name].unique().numel() for name in ("users", "positives", "negatives")}
    sizes |= {"reg_users": 5, "reg_items": 5 * columns}
    noise = {name: torch.randn(rows, experts, dtype=torch.float64) for name, rows in sizes.items()}
    return loss, facts, noise


def made(loss: PCKD, facts: dict[str, Any], side: int, entity: int, noise: Tensor) -> Tensor:
    """What the experts make of one entity under one draw."""
    module = (loss.users, loss.items)[side]
    s, t = facts["student"][side][entity].detach(), facts["teacher"][side][entity]
    z = torch.ones(1, dtype=torch.float64)
    if len(module.gate_b) > 1:
        z = (((module.gate_w @ t + module.gate_b).softmax(0).log() + noise) / 0.8).softmax(0)
    return naive(s[None], z[None], module)[0]


def rows_of_scores(loss: PCKD, facts: dict[str, Any], noise: dict[str, Tensor]) -> list[tuple[list, list]]:
    """The student's scores of each row's items, and those after the experts."""
    found = []
    for row, user in enumerate(facts["users"].tolist()):
        own, other = (int(facts[name][row]) for name in ("positives", "negatives"))
        items = {"list": PREFERRED[row].tolist(), "pair": PREFERRED[row, :2].tolist(), "batch": [own, other]}[loss.form]
        u = made(loss, facts, 0, user, noise["reg_users"][row])
        after = [
            (u @ made(loss, facts, 1, item, noise["reg_items"][row * len(items) + slot])).item()
            for slot, item in enumerate(items)
        ]
        p, q = facts["student"]
        found.append(([(p[user] @ q[item]).item() for item in items], after))
    return found


@pytest.mark.parametrize("experts", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_pckd_is_de_and_the_order_as_loops(form: str, experts: int) -> None:
    loss, facts, noise = example(form, experts)
    total = 0.0
    for before, after in rows_of_scores(loss, facts, noise):
        if form == "list":
            norm = [math.log(sum(math.exp(x / 0.6) for x in scores)) for scores in (before, after)]
            total -= sum(math.exp(b / 0.6 - norm[0]) * (a / 0.6 - norm[1]) for b, a in zip(before, after, strict=True))
        else:
            x = (after[0] - after[1]) * (before[0] - before[1])
            total += math.log1p(math.exp(-x))
    de = DE.forward(loss, **{name: value for name, value in facts.items() if name != "preferred"}, gumbel=noise)
    assert loss(**facts, gumbel=noise).item() == pytest.approx(de.item() + 0.7 * total, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_the_order_moves_experts_and_gates_alone(form: str) -> None:
    loss, facts, noise = example(form)
    items = PREFERRED[:, :2]
    order = loss.order(facts["student"], facts["teacher"], facts["users"], items, noise | {"reg_items": None})
    tables = torch.autograd.grad(order, facts["student"], allow_unused=True, retain_graph=True)
    assert tables == (None, None)
    slopes = torch.autograd.grad(order, list(loss.parameters()))
    assert all(bool(slope.abs().sum() > 0) for slope in slopes)


@pytest.mark.parametrize("form", FORMS)
def test_without_alpha_it_is_de_with_the_same_draws(form: str) -> None:
    loss, facts, _ = example(form)
    loss.alpha = 0.0
    plain = {name: value for name, value in facts.items() if name != "preferred"}
    values, states = [], []
    for evaluate, given in ((loss, facts), (lambda **kw: DE.forward(loss, **kw), plain)):
        torch.manual_seed(1)
        values.append(evaluate(**given).item())
        states.append(torch.get_rng_state())
    assert values[0] == values[1]
    assert torch.equal(*states)


def test_an_order_that_is_kept_is_the_entropy_of_the_students_own() -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 3, dtype=torch.float64)
    p = (scores / 0.5).softmax(dim=1)
    assert list_order(scores, scores, 0.5).item() == pytest.approx(-(p * p.log()).sum().item())
    assert list_order(scores, -scores, 0.5) > list_order(scores, scores, 0.5)


def test_several_negatives_of_a_row_are_a_mean() -> None:
    loss, facts, _ = example("batch", 1)  # one expert: no draws
    others = torch.stack([facts["negatives"], facts["negatives"].flip(0)])
    orders = [
        loss.order(facts["student"], facts["teacher"], facts["users"], torch.stack([facts["positives"], each], 1), {})
        for each in others
    ]
    repeated = {name: facts[name].repeat(2) for name in ("users", "positives")} | {"negatives": others.flatten()}
    given = facts | repeated
    de = DE.forward(loss, **{name: value for name, value in given.items() if name != "preferred"})
    whole = loss(**given, copies=2)
    assert (whole - de).item() == pytest.approx(0.7 * sum(orders).item() / 2)


def test_a_draw_for_every_entity_repeats_it_in_its_slots() -> None:
    loss, facts, _ = example("list", per_slot=False)
    noise = torch.randn(len(PREFERRED.unique()), 3, dtype=torch.float64)
    rows = loss._projected(facts["student"], facts["teacher"], 1, PREFERRED.flatten(), noise)
    where = (PREFERRED.flatten() == 8).nonzero().flatten()
    assert torch.equal(rows[where[0]], rows[where[1]])
    torch.testing.assert_close(rows[where[0]], made(loss, facts, 1, 8, noise[PREFERRED.unique().tolist().index(8)]))


def test_errors() -> None:
    loss, facts, noise = example("list")
    del facts["preferred"]
    with pytest.raises(ValueError, match=r"'preferred' must hold at least 1 items for each of 5 rows, got none: give"):
        loss(**facts, gumbel=noise)
    with pytest.raises(ValueError, match="'alpha' must not be negative, got -1"):
        PCKD(3, 5, alpha=-1)
    with pytest.raises(ValueError, match="'tau' must be positive, got 0"):
        PCKD(3, 5, tau=0)
    with pytest.raises(ValueError, match="'form' must be"):
        PCKD(3, 5, form="triple")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'k' must be from 1 to 4, the length of the ranking, got 9"):
        PCKDLists(torch.zeros(30, 4, dtype=torch.int32), toy(), k=9)


# ---------------------------------------------------------------- items
def test_items_are_of_the_ranking_without_repeats_and_the_first_come_more_often() -> None:
    torch.manual_seed(0)
    model, pairs = MF(30, 40, 4, std=1.0), toy()
    top = top_of_all(model, pairs, 8)
    assert torch.equal(top[3].long(), model.score_items(torch.tensor([3]))[0].topk(8).indices)
    source = PCKDLists(top, pairs, k=3, scale=2.0)
    counts = torch.zeros(8)
    for _ in range(60):
        source.resample()
        batch = next(iter(RankingBatches(pairs, batch_size=50, sources={"pckd": source})))
        items, users = batch["preferred"], batch["users"]
        places = (top[users][:, :, None] == items[:, None]).nonzero()
        assert len(places) == items.numel()  # every item is listed once
        assert all(len(row.unique()) == 3 for row in items[:5])
        counts += torch.bincount(places[:, 1], minlength=8)
    assert counts[0] > counts[3] > counts[7]


def test_a_model_is_ranked_when_it_is_due_and_a_resumed_run_has_its_ranking() -> None:
    torch.manual_seed(0)
    model, pairs = MF(30, 40, 4, std=1.0), toy()
    source = PCKDLists(model, pairs, k=3, length=8, every=2)
    source.set_epoch(0, 4)
    source.resample()
    first = source.top
    model.user.weight.data.neg_()
    source.set_epoch(1, 4)
    source.resample()
    assert source.top is first
    other = PCKDLists(model, pairs, k=3, length=8, every=2)
    other.load_state_dict(source.state_dict())
    assert torch.equal(other.top, first)
    source.set_epoch(2, 4)
    source.resample()
    assert torch.equal(source.top, top_of_all(model, pairs, 8))
    assert not torch.equal(source.top, first)


def test_uniform_items_are_all_items() -> None:
    source = PCKDLists(None, toy(), k=40)
    source.resample()
    found = source.lists({"users": torch.arange(30)})["preferred"]
    assert found.shape == (30, 40)
    assert set(found.flatten().tolist()) == set(range(40))


# ---------------------------------------------------------------- method
@pytest.mark.parametrize(
    "settings",
    [{"form": "pair"}, {"form": "batch"}, {"guide": "student"}, {"guide": "uniform"}, {"alpha": 0.0}],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
@pytest.mark.parametrize("kind", ["ranking", "sequential"])
def test_every_form_trains(settings: dict[str, Any], kind: str) -> None:
    given = recommenders.KINDS[kind]()
    given.pop("metric_every", None)
    student, teacher, data = (given.pop(name) for name in ("student", "teacher", "data"))
    result = recsys.distil(
        "pckd", student, teacher, data, epochs=1, k=3, experts=2, progress=False, **settings, **given
    )
    assert all(bool(value.isfinite().all()) for value in result.model.state_dict().values())
