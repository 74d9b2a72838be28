"""Hints beside class-weighted soft targets: the sum of their formulas."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import graphkd
from graphkd.distil import CATALOGUE
from tests.core.models import gcn, graph


@torch.no_grad()
def both(**settings) -> tuple[float, float]:
    """The objective of untrained models, and the formula again on what they show."""
    data, found = graph(), []

    def compare(problem):
        loss = CATALOGUE.find("hint")(problem, **settings)
        distiller = problem.distiller(problem.student, problem.teacher, loss)
        found.append(float(distiller(data).loss))
        student, teacher = distiller._viewer(data), problem.teacher(data, {"hidden": "convs.0"})
        (projector,) = (part.projector for _, part in loss.parts() if hasattr(part, "projector"))
        labels = F.cross_entropy(student["logits"][data.train_mask], data.y[data.train_mask])
        weights = torch.ones(3)
        if "background" in settings:
            weights[settings["background"]] = settings.get("background_weight", 1.5)
        soft = -(weights * teacher["logits"].softmax(1) * student["logits"].log_softmax(1)).sum(1).mean()
        hint = (projector(student["hidden"]) - teacher["hidden"]).square().mean()
        share = settings.get("label_weight", 0.5)
        found.append(float(share * labels + (1 - share) * soft + settings.get("weight", 0.5) * hint))
        return loss

    graphkd.distil(compare, gcn(2, width=5), gcn(1, width=4), data, hidden="convs.0", epochs=1, progress=False)
    return found[0], found[1]


@pytest.mark.parametrize(
    "settings",
    [{}, {"weight": 2.0, "label_weight": 0.3}, {"background": 1}, {"background": 2, "background_weight": 4.0}],
)
def test_the_objective_is_the_sum_of_its_formulas(settings):
    got, want = both(**settings)
    assert got == pytest.approx(want, rel=1e-5)
