"""LightGNN: stages, what is pruned, and what its loss adds."""

from __future__ import annotations

import pytest
import torch

import recsys
from recsys.losses import LightGNN as Loss
from recsys.losses.lightgnn import spread, subspaces, table_contrast
from recsys.models import MF, LightGCN, LightGNN
from recsys.tasks import Ranking
from tests.methods import recommenders
from tests.recsys.laws import toy

QUICK = {"epochs": 1, "progress": False, "triples": 100, "hops": 2, "task": Ranking(batch_size=512)}


@pytest.fixture(scope="module")
def split():
    return recommenders.split()


def lightgcn(split, width=8, layers=2):
    torch.manual_seed(layers)
    return LightGCN(split.train, width, layers)


def test_runs_prune_a_share_each_and_a_model_stands_between(split):
    options = {**QUICK, "runs": 3, "edge_share": 0.1, "entry_share": 0.2}
    result = recsys.distil("lightgnn", lightgcn(split), lightgcn(split, layers=3), split, **options)
    assert list(dict.fromkeys(report["stage"] for report in result.history)) == ["between", "run-1", "run-2", "run-3"]
    assert isinstance(result.model, LightGNN)
    assert result.model.layers == 2
    edges, entries = result.model.kept()
    assert edges == pytest.approx(0.9**2, abs=0.01)
    assert entries == pytest.approx(0.8**2, abs=0.01)
    assert not result.model.table.weight[~result.model.entry_mask].any()


def test_nothing_is_pruned_in_one_run_and_a_given_lightgnn_is_gone_on_with(split):
    torch.manual_seed(0)
    student = LightGNN(split.train, 8)
    student.prune(torch.arange(len(student.values)) % 3 > 0, torch.ones_like(student.entry_mask))
    result = recsys.distil("lightgnn", student, lightgcn(split), split, runs=1, **QUICK)
    assert torch.equal(result.model.edge_mask, student.edge_mask)


def tables(seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(size, 4, dtype=torch.float64, generator=generator) for size in (30, 40))


def test_the_loss_is_the_sum_of_its_parts():
    student, teacher, deep = tables(0), tables(1), tables(2)
    masks = tuple(table > 0 for table in tables(3))
    users, items = toy().pairs()
    ids = users.unique(), items.unique()
    off = {"soft_weight": 0.0, "contrast_weight": 0.0, "spread_weight": 0.0, "subspace_weight": 0.0}
    facts = {"users": users, "positives": items}

    def value(**weights):
        return Loss(deep, masks, **{**off, **weights})(student, teacher, **facts)

    kept = tuple(mask.double() for mask in masks)
    contrast = sum(table_contrast(s, d, some, 0.1) for s, d, some in zip(student, deep, ids, strict=True))
    assert value() == 0
    torch.testing.assert_close(value(contrast_weight=0.3), 0.3 * contrast)
    torch.testing.assert_close(value(spread_weight=0.4), 0.4 * spread(student, *ids))
    torch.testing.assert_close(value(subspace_weight=0.5), 0.5 * subspaces(student, kept, *ids))
    torch.manual_seed(0)
    own = value(soft_weight=1.0, spread_weight=0.4)
    torch.manual_seed(0)
    torch.testing.assert_close(own, value(soft_weight=1.0) + value(spread_weight=0.4))
    assert Loss(None, None, **{**off, "subspace_weight": 1.0})(student, teacher, **facts) == 0  # nothing was pruned


def test_preferences_are_learnt_from_random_triples_and_not_without():
    teacher, users, items = tables(1), *toy().pairs()

    def agreement(weight):
        torch.manual_seed(0)
        student = tuple(torch.nn.Parameter(0.1 * torch.randn(size, 4, dtype=torch.float64)) for size in (30, 40))
        loss = Loss(soft_weight=weight, soft_temperature=0.5, triples=500, contrast_weight=0.0, spread_weight=0.0)
        adam = torch.optim.Adam(student, lr=0.05)
        for _ in range(40):
            adam.zero_grad()
            loss(student, teacher, users=users, positives=items).backward()
            adam.step()
        scores = [(user @ item.T).detach().flatten() for user, item in (student, teacher)]
        return float(torch.corrcoef(torch.stack(scores))[0, 1])

    assert agreement(1.0) > 0.8
    assert abs(agreement(0.0)) < 0.2


@pytest.mark.parametrize(
    ("student", "teacher", "options", "words"),
    [
        ("mf", "gcn", {}, r"'lightgnn' prunes a propagation: give 'student' as recsys.models.LightGCN\(.*got MF"),
        ("gcn", "mf", {}, "'lightgnn' reads the deeper layers of its teacher: give 'teacher' as .*got MF"),
        ("gcn", "flat", {}, "with two layers at least, or say contrast_weight=0, got LightGCN"),
        ("narrow", "gcn", {}, "the student must have the teacher's width 8, got 4; or say contrast_weight=0"),
        ("gcn", "gcn", {"runs": 0}, "'runs' must be at least 1, got 0"),
    ],
)
def test_what_it_does_not_take(split, student, teacher, options, words):
    models = {
        "mf": lambda: MF(recommenders.USERS, recommenders.ITEMS, 8),
        "gcn": lambda: lightgcn(split),
        "flat": lambda: lightgcn(split, layers=1),
        "narrow": lambda: lightgcn(split, 4),
    }
    with pytest.raises((TypeError, ValueError), match=words):
        recsys.distil("lightgnn", models[student](), models[teacher](), split, **{**QUICK, **options})


def test_contrast_needs_deep_layers():
    with pytest.raises(ValueError, match="'deep' must be the sums of the teacher's deeper layers"):
        Loss()
