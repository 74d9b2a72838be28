"""Knowledge points: entropies are those of the noise that a layer bears, and numbers are counted as they are said."""

from __future__ import annotations

import copy
import math
import sys

import pytest
import torch
from torch import nn

from graphkd import Cached, Ensemble, Frozen
from graphkd.core.batches import changed
from graphkd.schemes import Knowledge, KnowledgePoints, input_entropies, quantify_knowledge
from tests.core.models import FEATURES, NODES, gcn, graph

SEARCH = {"steps": 20}


class Layer(nn.Module):
    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.layer = nn.Linear(weight.size(1), weight.size(0)).double()
        self.layer.weight.data = weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def linear() -> tuple[Layer, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(rows, 6, generator=generator, dtype=torch.double) for rows in (4, 12))
    return Layer(weight), x


def test_entropies_of_a_linear_layer_are_known():
    model, x = linear()
    shown = model(x).detach()
    variance = sum(float((row - shown.mean(dim=0)).square().sum()) for row in shown) / 12
    found = input_entropies(model, {"x": x}, "layer", tolerance=0.1, steps=1000)
    for place in range(6):  # sigma^2 w^2 = tolerance V / F
        sigma = math.sqrt(0.1 * variance / 6 / float(model.layer.weight[:, place].detach().square().sum()))
        want = math.log(sigma) + 0.5 * math.log(2 * math.pi * math.e)
        assert float(found[:, place].mean()) == pytest.approx(want, abs=0.03)
        assert float((found[:, place] - want).abs().max()) < 0.2
    noise = (found - 0.5 * math.log(2 * math.pi * math.e)).exp()
    torch.manual_seed(0)
    lost = [(model(x + noise * torch.randn_like(x)) - shown).square().sum(dim=1).mean() for _ in range(500)]
    assert float(torch.stack(lost).mean().detach()) / variance == pytest.approx(0.1, rel=0.1)


def test_a_model_of_another_scale_knows_the_same():
    model, x = linear()
    larger = Layer(100 * model.layer.weight.detach())
    one, other = (input_entropies(each, {"x": x}, "layer", steps=50) for each in (model, larger))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_a_feature_that_is_not_read_ends_at_the_largest_noise():
    model, x = linear()
    model.layer.weight.data[:, 0] = 0
    found = input_entropies(model, {"x": x}, "layer")
    largest = math.log(10 * float(x.std())) + 0.5 * math.log(2 * math.pi * math.e)
    torch.testing.assert_close(found[:, 0], torch.full((12,), largest, dtype=torch.double))
    assert float(found[:, 1:].max()) < largest - 1


def test_a_search_leaves_all_as_it_was():
    data, model = graph(), gcn(dropout=0.5).train()
    state = torch.get_rng_state()
    one, other = (input_entropies(model, data, "convs.0", **SEARCH) for _ in range(2))
    assert torch.equal(one, other)
    assert one.shape == (NODES, FEATURES)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not torch.equal(one, input_entropies(model, data, "convs.0", seed=1, **SEARCH))
    with pytest.raises(ValueError, match=r"the layer 'convs\.0' must tell nodes apart, it shows the same of all"):
        input_entropies(model, changed(data, x=torch.zeros_like(data.x)), "convs.0")
    with pytest.raises(ValueError, match=r"'tolerance' must be positive, got 0\.0"):
        input_entropies(model, data, "convs.0", tolerance=0.0)


def known(*points: int) -> KnowledgePoints:
    """Of 2 nodes with 3 features, the last of which is background."""
    mask = torch.zeros(6, dtype=torch.bool)
    mask[list(points)] = True
    return KnowledgePoints(torch.arange(6.0).view(2, 3), mask.view(2, 3), torch.tensor([[0, 0, 1]] * 2).bool())


def test_numbers_are_counted():
    one, other = known(0, 1, 2), known(1, 4, 5)
    assert (one.foreground_count, one.background_count, one.share) == (2, 1, 2 / 3)
    assert one.overlap(other) == 1 / 3
    assert math.isnan(known().share)
    assert known().overlap(known(2)) == 1
    found = Knowledge(one, other, (known(4), known(0, 4)))
    assert found.overlap == 1 / 3
    assert found.stability == (1 / 2, 1 / 3)
    assert found.kept == 2 / 3
    assert Knowledge(known(), known()).kept == 1
    assert Knowledge(one, other).stability == ()


def test_points_lie_below_the_mean_of_the_background():
    data, background = graph(), torch.arange(FEATURES) >= 4
    found = quantify_knowledge(gcn(), gcn(1), data, "convs.0", background=background, threshold=0.1, **SEARCH)
    for side, model in ((found.student, gcn()), (found.teacher, gcn(1))):
        entropies = input_entropies(model, data, "convs.0", **SEARCH)
        assert torch.equal(side.entropies, entropies)
        usual = entropies[:, 4:].mean()
        for node in range(NODES):
            for place in range(FEATURES):
                assert bool(side.points[node, place]) == bool(usual - entropies[node, place] > 0.1)
    plain = quantify_knowledge(gcn(), gcn(1), data, "convs.0", **SEARCH)
    assert plain.student.background_count == 0
    assert torch.equal(plain.student.points, plain.student.entropies.mean() - plain.student.entropies > 0.2)


def test_teachers_paths_calls_and_snapshots():
    data, call = graph(), lambda model, batch: model(batch["x"], batch["edge_index"])
    plain = quantify_knowledge(gcn(), gcn(1), data, ("convs.0", "convs.1"), **SEARCH)
    for teacher in (Frozen(gcn(1), call=call), Cached(gcn(1), data)):
        other = quantify_knowledge(gcn(), teacher, data, ("convs.0", "convs.1"), call=call, **SEARCH)
        assert torch.equal(other.teacher.entropies, plain.teacher.entropies)
    earlier = [gcn(2), copy.deepcopy(gcn())]
    found = quantify_knowledge(gcn(), gcn(1), data, ("convs.0", "convs.1"), snapshots=earlier, **SEARCH)
    assert len(found.snapshots) == 2
    assert found.stability[1] == 1
    assert found.stability[0] < 1
    with pytest.raises(TypeError, match="'teacher' must be a model to ask for gradients, got Ensemble"):
        quantify_knowledge(gcn(), Ensemble([gcn(1), gcn(2)]), data, "convs.0")


@pytest.mark.parametrize(
    ("background", "words"),
    [
        (torch.zeros(5, dtype=torch.bool), r"a boolean mask of shape \(30, 6\) or \(6,\), got torch.bool of shape"),
        (torch.zeros(6), "got torch.float32"),
        (torch.ones(6, dtype=torch.bool), "must leave some features, got all of them"),
    ],
)
def test_backgrounds_that_are_none(background, words):
    with pytest.raises(ValueError, match=words):
        quantify_knowledge(gcn(), gcn(1), graph(), "convs.0", background=background)


def test_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    figure = Knowledge(known(0, 1, 2), known(1, 4, 5), (known(4),)).plot()
    bars, curves = figure.axes
    assert [text.get_text() for text in bars.get_xticklabels()] == ["1", "student", "teacher"]
    assert [patch.get_height() for patch in bars.patches] == [1, 2, 2, 0, 1, 1]
    assert "0.33" in bars.get_title()
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["student", "teacher"]
    figure.savefig(tmp_path / "knowledge.png")
    assert (tmp_path / "knowledge.png").stat().st_size > 1000


def test_a_picture_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        Knowledge(known(), known()).plot()
