"""Source features that are made to look like target's: the sums by loops, and who moves."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from graphkd import Distiller, Frozen, Loss, fit
from graphkd.losses import CE
from graphkd.schemes import Translation, Translator, Translators, bidirectional, changed, cycada, translated
from tests.core.models import CLASSES, FEATURES, gcn, graph
from tests.losses.example import softmax
from tests.schemes.test_adaptation import binary, discriminator, domains


def players(seed=3):
    torch.manual_seed(seed)
    return Translators(Translator(FEATURES, 16), discriminator(FEATURES))


def test_a_translator_starts_as_nothing():
    data = domains()
    assert torch.equal(translated(data, players().translator).x, data.x)


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
    before, student = copy.deepcopy(teacher.state_dict()), gcn(2)
    metric = lambda model: 0.0  # noqa: E731 - the first stage must not ask for it
    found = cycada(student, teacher, players(), discriminator(8), data, tap="convs.0", epochs=40, metric=metric)
    assert found is student
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not student.convs[0]._forward_hooks
    assert Frozen(student)(data)["logits"].shape == (30, CLASSES)


@pytest.mark.parametrize("with_players", [False, True])
def test_bidirectional_rounds(with_players):
    data, student, both = domains(), gcn(1), players() if with_players else None
    found = bidirectional(student, discriminator(), data, players=both, rounds=2, threshold=0.0, epochs=30)
    assert found is student
    seen = data if both is None else translated(data, both.translator)
    hits = (student(seen.x, data.edge_index).argmax(dim=1) == data.y)[data.source_mask].float().mean()
    assert hits > 0.6
    assert both is None or not torch.equal(seen.x, data.x)
