"""Source features that are made to look like target's: the sums by loops, and who moves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import graphkd
from graphkd import Distiller, Frozen, Loss, fit
from graphkd.core.batches import changed
from graphkd.core.method import as_method
from graphkd.core.problem import Problem
from graphkd.core.run import Run
from graphkd.losses import CE
from graphkd.schemes import Translation, Translator, translated
from graphkd.schemes.domains.cycada import translate
from graphkd.tasks import NodeClassification
from tests.core.models import CLASSES, FEATURES, gcn, graph
from tests.losses.example import softmax
from tests.schemes.domains.scene import binary, discriminator, domains


def players(seed=3):
    torch.manual_seed(seed)
    return Translator(FEATURES, 16), discriminator(FEATURES)


def test_a_translator_starts_as_nothing():
    data = domains()
    assert torch.equal(translated(data, players()[0]).x, data.x)


def test_translation():
    data, teacher, (translator, judge) = domains(), gcn(1), players()
    nn.init.normal_(translator.last.weight)
    step = Translation(translator, judge, teacher, weight=0.5)(data)
    source, target = data.source_mask, data.target_mask
    seen = data.x.clone()
    seen[source] = translator(data.x[source]).detach()
    said = Frozen(teacher)(data)["logits"].argmax(dim=1)
    logits = Frozen(teacher)(changed(data, x=seen))["logits"]
    rows = source.nonzero()[:, 0].tolist()
    semantic = sum(-math.log(softmax(logits[i])[int(said[i])]) for i in rows) / len(rows)
    made, real = (judge(x)[:, 0].tolist() for x in (seen[source], data.x[target]))
    fooled = sum(binary(d, 0) for d in made) / len(made)
    right = sum(binary(d, 0) for d in real) / len(real) + sum(binary(d, 1) for d in made) / len(made)
    assert float(step.terms["translator"]) == pytest.approx(semantic + 0.5 * fooled, rel=1e-4)
    assert float(step.terms["discriminator"]) == pytest.approx(right / 2, rel=1e-4)


def test_the_teacher_is_not_trained_and_gradients_reach_the_translator():
    data, teacher, (translator, judge) = domains(), gcn(1), players()
    task = Translation(translator, judge, teacher)
    task(data).loss.backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert translator.last.weight.grad.any()
    assert judge[0].weight.grad.any()
    assert not any(p is q for p in task.parameters() for q in teacher.parameters())


def shifted():
    """Source features in other units than the target's, and a teacher of the source."""
    data = changed(domains(), y=(graph().x[:, 0] > 0).long() + (graph().x[:, 0] > 1).long())
    data = changed(data, edge_index=data.edge_index[:, :0])
    x = data.x.clone()
    x[data.source_mask] = 3 * x[data.source_mask] + 2
    data = changed(data, x=x)
    return data, fit(Distiller(gcn(1), losses=CE(where="source_mask")), data, epochs=100)


def test_translated_rows_come_to_be_taken_for_target_and_stay_what_they_were():
    """By a discriminator that stays: it is the translator that moves."""
    data, teacher = shifted()
    source, target = data.source_mask, data.target_mask
    translator, judge = players()
    judge = fit(Distiller(judge, losses=Real()), {"input": data.x, "real": target[:, None].float()}, epochs=50)

    def taken(x):
        return float(judge(x[source]).sigmoid().mean())

    fit(Translation(translator, Flipped(judge.requires_grad_(False)), teacher, weight=1.0), data, epochs=60)
    with torch.no_grad():
        seen = translated(data, translator)
    assert taken(data.x) < 0.5 < taken(seen.x)
    assert torch.equal(seen.x[target], data.x[target])
    said, still = (Frozen(teacher)(batch)["logits"].argmax(dim=1)[source] for batch in (data, seen))
    assert (said == still).float().mean() > 0.8


class Real(Loss):
    def forward(self, student, *, real):
        return nn.functional.binary_cross_entropy_with_logits(student, real)


class Flipped(nn.Module):
    """Label 0 is the target's in ``adversarial_adaptation``."""

    def __init__(self, judge):
        super().__init__()
        self.judge = judge

    def forward(self, x):
        return -self.judge(x)


def test_cycada_learns_the_translated_source():
    data, teacher = shifted()
    given = changed(data, train_mask=data.source_mask)
    domain = torch.where(data.target_mask, 1, torch.where(data.source_mask, 0, 2))
    options = {"domains": domain, "hidden": "convs.0", "epochs": 40, "progress": False}
    result = graphkd.distil("cycada", gcn(2), teacher, given, **options)
    assert list(dict.fromkeys(report["stage"] for report in result.history)) == ["translator", "student"]
    first = [report for report in result.history if report["stage"] == "translator"]
    assert "accuracy" not in first[0]  # runs to its last epoch
    assert len(first) == 40
    assert not result.model.convs[0]._forward_hooks
    assert Frozen(result.model)(data)["logits"].shape == (30, CLASSES)


def test_translated_data_of_a_loader_are_made_batch_by_batch():
    data, (translator, judge) = domains(), players()
    problem = Problem(gcn(2), [gcn(1)], [data, data], NodeClassification())
    Run(as_method(lambda _: None), problem, {"epochs": 2})
    seen = translate(problem, (translator, judge), problem.teacher, problem.data)
    parts = list(seen)
    assert len(parts) == 2
    assert all(torch.equal(part.x[data.target_mask], data.x[data.target_mask]) for part in parts)
    assert not any(torch.equal(part.x, data.x) for part in parts)
