"""PATE: votes, the law of the noise, parts, and a student of noisy votes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import graphkd
from graphkd.core import checkpoint
from graphkd.schemes import noisy_votes, wrong_vote_bound
from graphkd.schemes.privacy.pate import cut, part_of
from graphkd.tasks import NodeClassification
from tests.methods import scene


def test_votes():
    teachers = torch.tensor([[[2.0, 1.0], [0.0, 1.0]], [[3.0, 1.0], [0.0, 2.0]], [[0.0, 1.0], [5.0, 1.0]]])
    silent = noisy_votes(teachers, noise=torch.zeros(2, 2))
    assert silent.counts.tolist() == [[2, 1], [1, 2]]
    assert silent.labels.tolist() == [0, 1]
    loud = noisy_votes(teachers, noise=torch.tensor([[0.0, 1.5], [0.0, 0.0]]))
    assert loud.labels.tolist() == [1, 1]
    draws = [noisy_votes(teachers, generator=torch.Generator().manual_seed(4)).labels for _ in range(2)]
    assert torch.equal(*draws)


def test_noise_comes_from_its_generator_alone():
    teachers = torch.zeros(1, 500, 4)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = noisy_votes(teachers, generator=torch.Generator().manual_seed(4)).labels
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert torch.equal(noisy_votes(teachers, generator=torch.Generator().manual_seed(4)).labels, first)
    assert not torch.equal(noisy_votes(teachers, generator=torch.Generator().manual_seed(5)).labels, first)


def test_noise_is_laplace():
    """Two classes, one vote apart: the chance of the wrong winner is (2 + g) / 4 exp(-g), which is also the bound."""
    gamma, rows = 0.8, 40_000
    teacher = torch.tensor([[[1.0, 0.0]]]).expand(1, rows, 2)
    labels = noisy_votes(teacher, gamma, generator=torch.Generator().manual_seed(0)).labels
    want = (2 + gamma) / (4 * math.exp(gamma))
    assert float(labels.double().mean()) == pytest.approx(want, abs=4 * math.sqrt(want * (1 - want) / rows))
    assert float(wrong_vote_bound(torch.tensor([[1.0, 0.0]]), gamma)) == pytest.approx(want, rel=1e-6)


def test_errors():
    teacher = torch.zeros(1, 2, 2)
    for options, message in (
        ({}, "'generator' must be a seeded torch.Generator"),
        ({"noise": torch.zeros(3, 2)}, r"'noise' must have shape \(2, 2\), got \(3, 2\)"),
        ({"gamma": 0.0}, "'gamma' must be positive, got 0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            noisy_votes(teacher, **options)


# ------------------------------------------------------------- parts
def test_a_part_is_the_sub_graph_of_its_nodes():
    data, ids = scene.graph(), torch.tensor([7, 3, 20, 21])
    data.edge_weight = torch.rand(data.num_edges)
    part, want = part_of(data, ids), data.subgraph(ids)
    assert torch.equal(part.n_id, ids)
    for name in ("x", "y", "edge_index", "edge_weight", "train_mask"):
        assert torch.equal(part[name], want[name])
    assert "n_id" not in data


def test_a_part_of_a_loader_leaves_empty_batches_out():
    data = scene.graph()
    batches = list(part_of(scene.parts(data), torch.tensor([1, 2, 40])))
    assert [batch.n_id.tolist() for batch in batches] == [[1, 2], [40]]
    assert all(torch.equal(batch.x, data.x[batch.n_id]) for batch in batches)
    sampled = {"x": torch.rand(4, 2), "n_id": torch.arange(4), "batch_size": 2}
    assert cut(sampled, torch.tensor([1, 3]))["batch_size"] == 1


# ------------------------------------------------------------- the method
class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(50)
        self.layer = nn.Linear(3, 3)

    def reset_parameters(self):
        self.layer.reset_parameters()

    def forward(self, x):
        return self.layer(x)


def blobs():
    """20 private parts of 15 rows, and 120 public rows, of three classes."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(420) % 3
    x = torch.eye(3)[y] + 0.3 * torch.randn(420, 3, generator=generator)
    private = torch.arange(420) < 300
    return {"x": x, "y": y, "train_mask": private, "test_mask": ~private}


def test_a_student_of_noisy_votes(tmp_path):
    data, options = blobs(), {"epochs": 60, "progress": False, "teachers": 20, "queries": 40}
    result = graphkd.distil("pate", Linear(), None, data, gamma=0.5, checkpoint=tmp_path, **options)
    assert result.scores["test"]["accuracy"] > 0.9
    votes = checkpoint.load(tmp_path / "once" / "votes.pt")
    assert votes["counts"].shape == (40, 3)
    assert votes["counts"].sum(dim=1).unique().tolist() == [20.0]
    deaf = graphkd.distil("pate", Linear(), None, data, gamma=1e-6, **options)
    assert deaf.scores["test"]["accuracy"] < 0.7
    hidden = {**data, "y": torch.where(data["train_mask"], data["y"], 2)}  # of public rows no label is read
    again = graphkd.distil("pate", Linear(), None, hidden, gamma=0.5, **options).model
    assert torch.equal(again.layer.weight, result.model.layer.weight)


def test_the_private_parts_may_be_given():
    data = blobs()
    options = {"epochs": 40, "progress": False, "queries": 60, "gamma": 5.0}
    parts = torch.where(data["train_mask"], torch.arange(420) % 5, -1)
    result = graphkd.distil("pate", Linear(), None, data, parts=parts, task=NodeClassification(), **options)
    assert len({report["stage"] for report in result.history}) == 6
    assert result.scores["test"]["accuracy"] > 0.9
    with pytest.raises(ValueError, match=r"'parts' must hold an integer for each of 420 nodes"):
        graphkd.distil("pate", Linear(), None, data, parts=parts[:5], **options)
    with pytest.raises(ValueError, match=r"got parts of \[420\] nodes and 0 public ones: give 'parts'"):
        graphkd.distil("pate", Linear(), None, data, parts=torch.zeros(420, dtype=torch.long), **options)
