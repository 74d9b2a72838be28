"""EWC: the penalty and Fisher's information are their formulas, and tasks come one after another."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.loader import DataLoader

import graphkd
from graphkd.losses import CE, KL
from graphkd.schemes import ElasticDistiller, WeightMemory, ewc_penalty, fisher_diagonal, trained_weights
from tests.core.models import CLASSES, NODES, gcn, graph

OPTIONS = {"epochs": 3, "progress": False}


def wide(seed: int = 0) -> nn.Module:
    return gcn(seed).double()


def data():
    found = graph()
    found.x = found.x.double()
    return found


def numbers(*seeds: int) -> list[torch.Tensor]:
    return [torch.rand(7, generator=torch.Generator().manual_seed(seed), dtype=torch.double) for seed in seeds]


def test_penalty_is_its_formula():
    student, anchor, fisher = numbers(0, 1, 2)
    want = sum(fisher[i] * (student[i] - anchor[i]) ** 2 for i in range(7)) / 2
    torch.testing.assert_close(ewc_penalty(student, anchor, fisher), want)
    with pytest.raises(ValueError, match=r"a number for each of the student's weights, got \[\(7,\), \(6,\), \(7,\)\]"):
        ewc_penalty(student, anchor[1:], fisher)


def slopes(model: nn.Module, row: int, place: int) -> torch.Tensor:
    """The gradient of a log-probability, from a pass of its own."""
    model.zero_grad()
    model(data().x, data().edge_index).log_softmax(dim=1)[row, place].backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("fisher", ["empirical", "exact"])
def test_fisher_is_its_formula(fisher):
    model, batch = wide(), data()
    chances = model(batch.x, batch.edge_index).softmax(dim=1).detach()
    rows, want = batch.train_mask.nonzero()[:, 0].tolist(), 0
    for row in rows:
        if fisher == "empirical":
            want = want + slopes(model, row, int(batch.y[row])) ** 2
        else:
            for place in range(CLASSES):
                want = want + chances[row, place] * slopes(model, row, place) ** 2
    model.train()
    found = fisher_diagonal(model, batch, fisher=fisher, where="train_mask")
    torch.testing.assert_close(found, want / len(rows))
    assert model.training
    assert not found.requires_grad
    part = fisher_diagonal(model, batch, fisher=fisher, where="train_mask", samples=4)
    assert 0 < float((part - found).abs().max()) < 10 * float(found.max())


def test_the_exact_form_reads_no_labels_and_the_empirical_one_does():
    one, other = data(), data()
    other.y = (other.y + 1) % CLASSES
    exact, empirical = (
        [fisher_diagonal(wide(), batch, fisher=fisher) for batch in (one, other)] for fisher in ("exact", "empirical")
    )
    assert torch.equal(*exact)
    assert not torch.equal(*empirical)


def test_batches_of_a_loader_are_averaged_over_rows():
    one, other = data(), data()
    other.x = -other.x
    loader = DataLoader([one, other], batch_size=1)
    parts = [fisher_diagonal(wide(), batch, where="train_mask") for batch in (one, other)]
    torch.testing.assert_close(fisher_diagonal(wide(), loader, where="train_mask"), (parts[0] + parts[1]) / 2)
    count = int(one.train_mask.sum())
    torch.testing.assert_close(fisher_diagonal(wide(), loader, where="train_mask", samples=count), parts[0])


def test_a_weight_that_is_not_trained_has_no_place():
    model = wide()
    next(model.parameters()).requires_grad_(False)
    assert fisher_diagonal(model, data()).shape == trained_weights(model).shape
    with pytest.raises(ValueError, match="'student' must have parameters to train, GCN has none"):
        trained_weights(model.requires_grad_(False))


def test_fisher_says_what_is_wrong():
    batch = data()
    batch.nobody = torch.zeros(NODES, dtype=torch.bool)
    with pytest.raises(ValueError, match="where='nobody' must select some, got none"):
        fisher_diagonal(wide(), batch, where="nobody")
    with pytest.raises(ValueError, match="'fisher' must be one of"):
        fisher_diagonal(wide(), batch, fisher="true")


def test_one_quadratic_stands_for_those_of_all_tasks():
    one, other, third = (WeightMemory(*numbers(seed, seed + 10)) for seed in range(3))
    both = one.joined(other).joined(third)
    values, gradients = [], []
    for seed in (20, 21):
        (theta,) = numbers(seed)
        theta.requires_grad_()
        parts = ewc_penalty(theta, *both), sum(ewc_penalty(theta, *each) for each in (one, other, third))
        values.append(float((parts[0] - parts[1]).detach()))
        gradients.append([torch.autograd.grad(part, theta)[0] for part in parts])
    assert values[0] == pytest.approx(values[1])  # a constant apart
    for pair in gradients:
        torch.testing.assert_close(*pair)
    nothing = torch.zeros(7, dtype=torch.double)
    assert torch.equal(
        WeightMemory(one.anchor, nothing).joined(WeightMemory(other.anchor, nothing)).anchor, other.anchor
    )


def test_the_distiller_adds_the_penalty():
    batch, teacher, student = data(), wide(1), wide()
    losses = {"labels": CE(where="train_mask"), "soft": KL(2.0)}
    memory = WeightMemory(trained_weights(wide(2)).detach(), fisher_diagonal(wide(2), batch))
    plain = graphkd.Distiller(student, teacher, losses)(batch)
    made = ElasticDistiller(student, teacher, losses, memory=memory, weight=3.0)
    step = made(batch)
    penalty = ewc_penalty(trained_weights(student), *memory)
    torch.testing.assert_close(step.loss, plain.loss + 3.0 * penalty)
    assert set(step.terms) == {"labels", "soft", "ewc"}
    torch.testing.assert_close(step.terms["ewc"], penalty.detach())
    assert {"anchor", "fisher"} < set(made.state_dict())
    assert len(list(made.parameters())) == len(list(student.parameters()))
    step.loss.backward()
    assert all(parameter.grad is not None for parameter in student.parameters())


# ---------------------------------------------------------------------------------------------- the method
def parts(batch):
    """The graph with a mask a task, and the task of every node."""
    place = torch.arange(NODES) // 10
    masks = {f"mask_{k}": batch.train_mask & (place == k) for k in range(3)}
    for name, mask in masks.items():
        batch[name] = mask
    return batch, place, list(masks)


def weights(result):
    return [parameter.detach() for parameter in result.model.parameters()]


def test_tasks_are_a_tensor_or_names_of_masks():
    batch, place, named = parts(graph())
    one, other = (graphkd.distil("ewc", gcn(), None, batch, sequence=each, **OPTIONS) for each in (place, named))
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))
    stages = [report["stage"] for report in one.history[:: OPTIONS["epochs"]]]
    assert stages == ["task-1", "task-2", "task-3"]
    assert [("ewc" in report) for report in one.history[:: OPTIONS["epochs"]]] == [False, True, True]
    ids = {name: batch[name].nonzero()[:, 0] for name in named}
    for name, chosen in ids.items():
        batch[name] = chosen
    third = graphkd.distil("ewc", gcn(), None, batch, sequence=named, **OPTIONS)
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(third), strict=True))


def test_tasks_are_graphs():
    first, second = graph(), graph()
    second.x = -second.x
    found = graphkd.distil("ewc", gcn(), None, first, sequence=[first, second], weight=0.0, **OPTIONS)
    alone = gcn()
    for each in (copy.copy(first), copy.copy(second)):
        del each.val_mask  # so that the last epoch is kept
        alone = graphkd.distil("none", alone, None, each, **OPTIONS).model
    assert all(torch.equal(a, b) for a, b in zip(weights(found), alone.parameters(), strict=True))


@pytest.mark.parametrize("fisher", ["empirical", "exact"])
def test_weights_stay_where_they_matter(fisher):
    batch, place, _ = parts(graph())
    options = {"sequence": place, "fisher": fisher, "epochs": 30, "progress": False}
    moved = []
    for weight in (0.0, 1e5):
        found = graphkd.distil("ewc", gcn(), None, batch, weight=weight, **options)
        moved.append(found.history[-1].get("ewc"))
    assert moved[1] < 0.1 * moved[0]


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        (torch.zeros(5, dtype=torch.long), r"an integer for each of 30 nodes, .* got torch.int64 of shape \(5,\)"),
        (torch.rand(NODES), "got torch.float32 of shape"),
        (torch.arange(NODES) % 2 * 2, r"must give each task from 0 on labelled nodes, got \[\d+, 0, \d+\] of them"),
        (torch.full((NODES,), -1), r"labelled nodes, got \[\] of them"),
        (["train_mask", "no_mask"], r"must name entries of the data, \[.*'train_mask'.*\], got 'no_mask'"),
        ([], "must hold one task at least, got none"),
    ],
)
def test_sequences_that_are_none(sequence, words):
    with pytest.raises(ValueError, match=words):
        graphkd.distil("ewc", gcn(), None, graph(), sequence=sequence, **OPTIONS)


@pytest.mark.parametrize(
    ("sequence", "kind"),
    [("train_mask", "str"), (graph(), "Data"), ([torch.ones(NODES, dtype=torch.bool)], "a list of tensors")],
)
def test_what_is_no_sequence(sequence, kind):
    with pytest.raises(TypeError, match=f"a list of names of masks, graphs or loaders, got {kind}"):
        graphkd.distil("ewc", gcn(), None, graph(), sequence=sequence, **OPTIONS)


def test_what_is_needed_is_said():
    with pytest.raises(ValueError, match="'ewc' needs the tasks in their order: give sequence="):
        graphkd.distil("ewc", gcn(), None, graph())
    with pytest.raises(ValueError, match="'samples' must be positive, got 0"):
        graphkd.distil("ewc", gcn(), None, graph(), sequence=["train_mask"], samples=0)
