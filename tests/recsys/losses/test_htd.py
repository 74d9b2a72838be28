"""HTD against n x n matrices of cosines."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recsys.losses import HTD
from recsys.losses.ftd import ftd
from recsys.losses.htd import entity_topology, htd
from tests.recsys.losses.examples import cosines, entities, features, triplets

OPTIONS = [
    dict(zip(("topology", "positive_only", "own_group", "prototype_grad"), values, strict=True))
    for values in itertools.product(("P,P", "P,e"), (False, True), (False, True), (False, True))
]


def brute(
    s: Tensor,
    t: Tensor,
    groups: Tensor,
    topology: str,
    positive_only: bool,
    own_group: bool,
    prototype_grad: bool,
) -> Tensor:
    """Everything as n x n, with masks."""
    ours, theirs = cosines(s, s), cosines(t, t)
    mask = groups[:, None] == groups[None, :]
    if positive_only:
        mask = mask & (theirs > 0)
    entities = ((ours - theirs)[mask]).square().sum()
    present = sorted(set(groups.tolist()))
    ps, pt = (torch.stack([x[groups == g].mean(dim=0) for g in present]) for x in (s, t))
    ps = ps if prototype_grad else ps.detach()
    if topology == "P,P":
        return entities + (cosines(ps, ps) - cosines(pt, pt)).square().sum()
    gaps = (cosines(ps, s) - cosines(pt, t)).square()
    others = torch.tensor([[own_group or g != int(e) for e in groups] for g in present])
    return entities + gaps[others].sum()


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
@pytest.mark.parametrize("rows", [1, 40])
def test_htd_blocks_are_the_masked_matrix(options: dict[str, Any], rows: int) -> None:
    s, t = features(rows)
    groups = torch.randint(0, 6, (rows,), generator=torch.Generator().manual_seed(0)) * 2  # odd groups are empty
    got, want = htd(s, t, groups, **options), brute(s, t, groups, **options)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(*(torch.autograd.grad(x, s)[0] for x in (got, want)))


@pytest.mark.parametrize("positive_only", [False, True])
def test_groups_large_and_small_take_the_form_that_costs_less(positive_only: bool) -> None:
    s, t = features(90)
    member = (torch.arange(90) >= 80).long() + (torch.arange(90) >= 87)  # groups of 80, 7 and 3
    s_hat, t_hat = F.normalize(s, dim=1), F.normalize(t, dim=1)
    got = entity_topology(s_hat, t_hat, member, positive_only=positive_only)
    gap = cosines(s, s) - cosines(t, t)
    mask = member[:, None] == member
    if positive_only:
        mask &= cosines(t, t) > 0
    torch.testing.assert_close(got, gap[mask].square().sum())


def test_htd_does_not_depend_on_order_or_names_of_groups() -> None:
    s, t = features(30)
    groups = torch.randint(0, 4, (30,))
    order = torch.randperm(30)
    torch.testing.assert_close(htd(s[order], t[order], groups[order]), htd(s, t, groups))
    torch.testing.assert_close(htd(s, t, 100 - groups), htd(s, t, groups))


def test_htd_of_one_group_contains_ftd() -> None:
    s, t = features(30)
    groups = torch.zeros(30, dtype=torch.long)
    torch.testing.assert_close(htd(s, t, groups, topology="P,P"), ftd(s, t))


def test_prototypes_without_gradient_leave_the_groups_of_pp_without_any() -> None:
    s, t = features(12)
    alone = torch.arange(12)  # one entity a group: no pairs in groups
    (grad,) = torch.autograd.grad(htd(s, t, alone, topology="P,P", prototype_grad=False), s)
    assert grad.abs().max() < 1e-12
    (grad,) = torch.autograd.grad(htd(s, t, alone, topology="P,P"), s)
    assert grad.abs().max() > 1e-3


@pytest.mark.parametrize("experts", [1, 3])
def test_htd_class_is_its_formula(experts: int) -> None:
    torch.manual_seed(0)
    facts = triplets()
    loss = HTD.authors(3, 5, experts, alpha=0.3, temperature=0.8).double()
    noise = {"users": torch.randn(4, experts).double(), "items": torch.randn(7, experts).double()}
    student, teacher = entities(facts, "student"), entities(facts, "teacher")
    sides = (loss.users, loss.items)
    groups = [(t @ side.gate_w.T + side.gate_b).argmax(dim=1) for t, side in zip(teacher, sides, strict=True)]
    groups[1] = groups[1] + experts
    topology = brute(torch.cat(student), torch.cat(teacher), torch.cat(groups), "P,e", True, True, False)
    assignment = sum(
        (t - side(s, t, 0.8, noise[name])).square().sum()
        for s, t, side, name in zip(student, teacher, sides, noise, strict=True)
    )
    torch.testing.assert_close(loss(**facts, gumbel=noise), 0.3 * topology + 0.7 * assignment)


def test_users_and_items_never_share_a_group() -> None:
    loss = HTD(3, 5, 4)
    users, items = loss.assign(torch.randn(50, 5), torch.randn(60, 5))
    assert int(users.max()) < 4 <= int(items.min())


def test_errors() -> None:
    s, t = features(6)
    with pytest.raises(ValueError, match=r"'groups' must hold 6 group ids, got shape \(5,\)"):
        htd(s, t, torch.zeros(5))
    with pytest.raises(ValueError, match="'topology' must be one of"):
        HTD(3, 5, topology="e,e")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'alpha' must be in \[0, 1\], got 2"):
        HTD(3, 5, alpha=2)
    with pytest.raises(ValueError, match="'teacher' must have the rows of 'student'"):
        ftd(s, t[:5])
