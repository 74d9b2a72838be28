"""Several teachers as one: what they say together, by loops, and what an ensemble keeps and leaves alone."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import nn

from graphkd import Cached, Distiller, Frozen, fit
from graphkd.core.ensemble import Ensemble, mean_logits, stacked
from graphkd.losses import KL, LogitsGraph, RepresentationGraph
from graphkd.schemes import entropy_reduction, oracle_weights, soft_target, trimmed_mean
from tests.core.models import CLASSES, NODES, Labels, Match, gcn, graph

TAPS = {"hidden": "convs.0"}


def members(count=3):
    return [gcn(seed) for seed in range(1, count + 1)]


def logits(models, data):
    return torch.stack([Frozen(model)(data)["logits"] for model in models])


def test_the_mean_of_logits_is_the_default():
    data, models = graph(), members()
    got, each = Ensemble(models)(data)["logits"], logits(models, data)
    for i in range(NODES):
        for c in range(CLASSES):
            assert float(got[i, c]) == pytest.approx(sum(float(each[k, i, c]) for k in range(3)) / 3, abs=1e-6)


@pytest.mark.parametrize("weights", [[1.0, 0.0, 3.0], torch.tensor([1.0, 0.0, 3.0])], ids=["numbers", "tensor"])
def test_fixed_weights(weights):
    data, models = graph(), members()
    each = logits(models, data)
    torch.testing.assert_close(Ensemble(models, weights=weights)(data)["logits"], (each[0] + 3 * each[2]) / 4)


def test_weights_of_rows():
    each = torch.arange(12.0).view(2, 3, 2)
    rows = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 3.0]])
    want = torch.stack([each[0, 0], each[1, 1], (each[0, 2] + 3 * each[1, 2]) / 4])
    assert torch.equal(mean_logits(each, rows), want)


def test_the_mean_of_probabilities():
    data, models = graph(), members()
    got = Ensemble(models, partial(soft_target, temperature=2.0))(data)["logits"]
    for i in range(NODES):
        want = torch.stack([(each[i] / 2).softmax(dim=0) for each in logits(models, data)]).mean(dim=0)
        torch.testing.assert_close((got[i] / 2).softmax(dim=0), want)


def test_a_rule_reads_facts_of_the_batch():
    """Only teachers that are right count where one is."""
    data, models = graph(), members()
    each = logits(models, data)
    right = each.argmax(dim=2) == data.y
    got = Ensemble(models, soft_target, weights=oracle_weights)(data)["logits"].softmax(dim=1)
    seen = right.any(dim=0)
    assert seen.any()
    for i in seen.nonzero()[:, 0].tolist():
        chosen = [each[k, i].softmax(dim=0) for k in range(3) if right[k, i]]
        torch.testing.assert_close(got[i], torch.stack(chosen).mean(dim=0))
    with pytest.raises(KeyError, match=r"the Ensemble's rule needs \['y'\] from the batch"):
        Ensemble(models, weights=oracle_weights)({"x": data.x, "edge_index": data.edge_index})


@pytest.mark.parametrize("rule", [entropy_reduction, trimmed_mean])
def test_other_rules(rule):
    data, models = graph(), members()
    assert torch.equal(Ensemble(models, rule)(data)["logits"], rule(logits(models, data)))


def test_losses_of_several_teachers_get_all_of_them():
    data, models = graph(), members()
    loss = LogitsGraph()
    step = Distiller(gcn(9), Ensemble(models, stacked), loss)(data)
    student = gcn(9)(data.x, data.edge_index)
    torch.testing.assert_close(step.loss, loss(student, logits(models, data).movedim(0, 1)))
    torch.manual_seed(0)
    relations = RepresentationGraph(8, [8, 5, 8], 16)
    mixed = Ensemble([gcn(1), gcn(2, width=5), gcn(3)])
    loss, terms = Distiller(gcn(9), mixed, relations, taps=TAPS)(data)
    assert loss.isfinite()
    assert list(terms) == ["representationgraph"]
    assert mixed(data, TAPS)["hidden"].shape == (NODES, 21)


def test_members_may_name_their_layers_differently():
    class Wrapped(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x, edge_index):
            return self.inner(x, edge_index)

    data = graph()
    ensemble = Ensemble([gcn(1), Wrapped(gcn(2))], taps=[{}, {"hidden": "inner.convs.0"}])
    plain = Ensemble([gcn(1), gcn(2)])
    assert torch.equal(ensemble(data, TAPS)["hidden"], plain(data, TAPS)["hidden"])
    with pytest.raises(ValueError, match="'taps' must hold those of each of 2 teachers, got 1"):
        Ensemble([gcn(1), gcn(2)], taps=[{}])


def test_it_is_never_trained():
    data, models = graph(), members()
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
    task = Distiller(gcn(9), Ensemble(models), {"kd": KL(), "labels": Labels(where="train_mask")})
    assert not any(name.startswith("teacher") for name in task.state_dict())
    assert len(list(task.parameters())) == len(list(gcn().parameters()))
    fit(task, data, epochs=3)
    for model, old in zip(models, before, strict=True):
        assert all(torch.equal(value, old[name]) for name, value in model.state_dict().items())
        assert model.training  # as it was


def test_it_moves_with_the_distiller():
    ensemble = Ensemble(members(2), weights=[1, 2])
    Distiller(gcn(9), ensemble, KL()).double()
    assert all(member.model.convs[0].lin.weight.dtype == torch.float64 for member in ensemble.members)
    assert ensemble.weights.dtype == torch.float64


def test_over_cached_members_all_is_computed_once():
    data, calls = graph(), []

    def counted(teachers):
        calls.append(len(teachers))
        return mean_logits(teachers)

    loss = Match()
    ensemble = Ensemble([Cached(model, data) for model in members(1)], counted)
    fit(Distiller(gcn(9), ensemble, loss, taps=TAPS), data, epochs=4)
    assert calls == [1]
    assert loss.digests == 1


@pytest.mark.parametrize("make", [Cached, lambda model, data: Ensemble([Cached(model, data)])], ids=["one", "several"])
def test_a_digest_is_about_the_rows_of_the_batch(make):
    """Batches of one graph may differ in the mask that a loss is restricted to."""
    data, teacher = graph(), make(gcn(1), graph())
    task = Distiller(gcn(9), teacher, KL(where="rows"))
    for rows in (data.train_mask, data.val_mask, torch.arange(NODES) < 4, data.train_mask):
        batch = data.clone()
        batch.rows = rows
        want = KL()(gcn(9)(data.x, data.edge_index)[rows], teacher(data)["logits"][rows])
        torch.testing.assert_close(task(batch).loss, want)


def test_parts_of_a_graph_get_their_rows():
    data, rows = graph(), torch.tensor([7, 3, 3])
    ensemble = Ensemble([Cached(model, data) for model in members()])
    whole = ensemble(data)["logits"]
    assert torch.equal(ensemble({"n_id": rows})["logits"], whole[rows])
    assert torch.equal(ensemble(data)["logits"], whole)


def test_members_that_follow_the_student_belong_to_the_run():
    class Following(Frozen):
        def set_epoch(self, epoch, epochs):
            self.told = epoch, epochs

        def kept(self):
            return self.model

    following = Following(gcn(2))
    task = Distiller(gcn(9), Ensemble([gcn(1), following]), KL())
    task.set_epoch(3, 7)
    assert following.told == (3, 7)
    assert sum("convs" in name for name in task.state_dict()) == 2 * len(gcn().state_dict())
    assert Ensemble(members(2)).kept() is None


def test_ensembles_nest():
    data, models = graph(), members(3)
    each = logits(models, data)
    got = Ensemble([Ensemble(models[:2]), models[2]])(data)["logits"]
    torch.testing.assert_close(got, ((each[0] + each[1]) / 2 + each[2]) / 2)
    assert math.isfinite(float(got.sum()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ensemble([]), "'teachers' must hold one at least, got none"),
        (lambda: Ensemble(members(2), weights=[1.0]), r"'weights' must be 2 numbers of at least 0.*got \[1.0\]"),
        (lambda: Ensemble(members(2), weights=[1.0, -1.0]), "'weights' must be 2 numbers of at least 0"),
        (lambda: Ensemble(members(2), weights=[0.0, 0.0]), "one of them above"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_teachers_must_answer_alike():
    data = graph()
    other = gcn(1)
    other.convs[1] = type(other.convs[1])(8, 5)
    with pytest.raises(ValueError, match=r"must answer in one shape, got \[\(30, 3\), \(30, 5\)\]"):
        Ensemble([gcn(2), other])(data)
