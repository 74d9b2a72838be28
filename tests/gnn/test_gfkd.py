from __future__ import annotations

import copy
import itertools
from functools import partial

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.nn import GCNConv, global_add_pool, global_mean_pool

from graphkd import Distiller, fit
from graphkd.gnn import FakeGraphs, Inversion, gfkd, gfkd_inversion, invert
from graphkd.gnn.gfkd_inversion import EpochRates
from graphkd.losses import CE
from graphkd.tasks import predict

WIDTH, CLASSES = 4, 2


class Classifier(nn.Module):
    """Two layers with BatchNorm, then the sum over nodes."""

    def __init__(self, seed: int = 0, width: int = 8) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.convs = nn.ModuleList([GCNConv(WIDTH, width), GCNConv(width, width)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(width), nn.BatchNorm1d(width)])
        self.last = nn.Linear(width, CLASSES)

    def forward(self, x, edge_index, batch):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x, edge_index)).relu()
        return self.last(global_add_pool(x, batch))


def teacher(seed: int = 0) -> Classifier:
    """With running statistics that are not those of a fresh model, and sure of what it says."""
    model = Classifier(seed)
    model.last.weight.data.mul_(5)
    for norm in model.norms:
        norm.running_mean.copy_(torch.rand(8) - 0.5)
        norm.running_var.copy_(torch.rand(8) + 0.5)
    return model.eval()


def fake(sizes=(3, 1, 4), targets=(0, 1, 1), **options) -> FakeGraphs:
    torch.manual_seed(1)
    return FakeGraphs(torch.tensor(sizes), torch.tensor(targets), WIDTH, **options)


@pytest.mark.parametrize("self_loops", [False, True])
def test_graphs_have_the_edges_of_their_own_square(self_loops):
    graphs = fake(self_loops=self_loops)
    assert graphs.structure.shape == (9 + 1 + 16,)
    want, position, start = set(), 0, 0
    for size in (3, 1, 4):
        for source, target in itertools.product(range(size), repeat=2):
            if source != target and graphs.structure[position].item() >= 0:
                want.add((start + source, start + target))
            position += 1
        if self_loops:
            want |= {(start + node, start + node) for node in range(size)}
        start += size
    batch = graphs()
    edges = list(zip(*batch["edge_index"].tolist(), strict=True))
    assert set(edges) == want
    assert len(edges) == len(want)
    assert batch["batch"].tolist() == [0, 0, 0, 1, 2, 2, 2, 2]
    assert batch["y"].tolist() == [0, 1, 1]
    torch.testing.assert_close(batch["x"], graphs.features.softmax(1))


def test_graphs_on_their_own_make_the_same_batch_with_hard_features():
    graphs = fake(self_loops=True)
    whole, joined = graphs(), Batch.from_data_list(graphs.graphs())
    assert torch.equal(joined.batch, whole["batch"])
    assert torch.equal(joined.y, whole["y"])
    assert set(zip(*joined.edge_index.tolist(), strict=True)) == set(zip(*whole["edge_index"].tolist(), strict=True))
    assert torch.equal(joined.x.argmax(1), whole["x"].argmax(1))
    assert torch.equal(joined.x.sum(1), torch.ones(8))
    plain = fake(one_hot=False)
    assert torch.equal(Batch.from_data_list(plain.graphs()).x, plain.features.detach())
    assert float(plain.entropy()) == 0.0


def test_the_features_loss_is_the_formula():
    model, graphs = teacher().double(), fake().double()
    loss, terms = Inversion(graphs, model, bn_weight=0.3, entropy_weight=0.2).feature_loss()
    batch = graphs()
    x, want = batch["x"], {"bn": 0.0}
    for conv, norm in zip(model.convs, model.norms, strict=True):
        h = conv(x, batch["edge_index"])
        mean = torch.stack([sum(column) / 8 for column in h.t()])
        variance = torch.stack([sum((column - m) ** 2) / 8 for column, m in zip(h.t(), mean, strict=True)])
        want["bn"] += ((norm.running_var - variance) ** 2).sum().sqrt() + ((norm.running_mean - mean) ** 2).sum().sqrt()
        x = norm(h).relu()
    logits = model.last(global_add_pool(x, batch["batch"]))
    want["label"] = -sum(row.log_softmax(0)[y] for row, y in zip(logits, (0, 1, 1), strict=True)) / 3
    want["entropy"] = -sum(p * p.log() for p in batch["x"].flatten()) / 8
    torch.testing.assert_close(terms, {name: want[name] for name in ("label", "bn", "entropy")})
    torch.testing.assert_close(loss, want["label"] + 0.3 * want["bn"] + 0.2 * want["entropy"])


def test_a_step_carries_both_gradients_and_leaves_the_teacher_alone():
    model, graphs = teacher(), fake()
    before = copy.deepcopy(model.state_dict())
    task = Inversion(graphs, model)
    assert {name for name, _ in task.named_parameters()} == {"student.features", "student.structure"}
    torch.manual_seed(3)
    step = task()
    step.loss.backward()
    torch.manual_seed(3)
    noise = torch.rand_like(graphs.structure)
    torch.testing.assert_close(graphs.structure.grad, task.structure_gradient(noise))
    loss, _ = task.feature_loss()
    torch.testing.assert_close(step.loss, loss)
    torch.testing.assert_close(graphs.features.grad, torch.autograd.grad(loss, graphs.features)[0])
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_structure_gradient_is_right_on_average():
    """20,000 equal graphs of two nodes: the mean estimate is the derivative of the expected loss."""
    count = 20_000
    graphs = fake((2,) * count, (1,) * count)
    phi, features = torch.tensor([0.3, -0.7, 0.4, 0.9]), torch.randn(2, WIDTH)
    graphs.structure.data, graphs.features.data = phi.repeat(count), features.repeat(count, 1)
    task = Inversion(graphs, teacher(), bn_weight=0.0)
    estimates = task.structure_gradient(torch.rand(4 * count)).view(count, 4)
    one, p = fake((2,), (1,)), phi[1:3].sigmoid().requires_grad_()
    one.features.data = features
    single, expected = Inversion(one, teacher()), torch.zeros(())
    for bits in itertools.product((False, True), repeat=2):  # whether there is an edge 0 -> 1, and 1 -> 0
        cost, _ = single.look(one(torch.tensor([True, *bits, True])))
        expected = expected + torch.where(torch.tensor(bits), p, 1 - p).prod() * cost[0].detach()
    expected.backward()
    want = torch.tensor([0.0, *(p.grad * p.detach() * (1 - p.detach())), 0.0])
    assert float(want.abs().max()) > 0.005
    error = (estimates.mean(0) - want).abs()
    assert bool((error <= 4 * estimates.std(0) / count**0.5 + 1e-12).all())


def test_statistics_count_for_the_structure_too():
    noise = torch.rand(26, generator=torch.Generator().manual_seed(0))
    without, with_them = (
        Inversion(fake(), teacher(), bn_weight=weight).structure_gradient(noise) for weight in (0.0, 0.5)
    )
    task = Inversion(fake(), teacher())
    gaps = [task.look(task.student(chosen))[1].sum() for chosen in task.merged(noise)]
    torch.testing.assert_close(with_them - without, 0.5 * (gaps[0] - gaps[1]) * (noise - 0.5))


def test_inversion_finds_graphs_that_the_teacher_takes_for_their_class():
    model, log = teacher(), []
    random, made = (
        invert(model, WIDTH, CLASSES, count=12, nodes=(3, 6), epochs=epochs, lr=(0.1, 1.0), log=log.append, seed=4)
        for epochs in (0, 60)
    )
    assert torch.equal(random.y, made.y)
    assert log[-1]["label"] < 0.5 * log[0]["label"]
    assert log[-1]["bn"] < log[0]["bn"]
    again = invert(model, WIDTH, CLASSES, count=12, nodes=(3, 6), epochs=60, lr=(0.1, 1.0), seed=4)
    assert torch.equal(made.features, again.features)
    assert torch.equal(made.structure, again.structure)
    assert set(made.batch.bincount().tolist()) <= {3, 4, 5, 6}


def test_a_student_learns_what_the_teacher_says_of_them():
    model = teacher()
    graphs = invert(model, WIDTH, CLASSES, count=16, nodes=(3, 6), epochs=30, lr=(0.1, 1.0))
    batch = Batch.from_data_list(graphs.graphs())
    student = gfkd(Classifier(7), model, graphs, batch_size=8, epochs=40)
    agreement = float((predict(student, batch) == predict(model, batch)).float().mean())
    assert agreement > 0.9
    again = gfkd(Classifier(7), model, graphs.graphs(), batch_size=8, epochs=40)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), again.parameters(), strict=True))


def test_rates_follow_the_epoch():
    seen = []

    class Task(Distiller):
        def set_epoch(self, epoch, epochs):
            rates.set_epoch(epoch, epochs)
            seen.append([group["lr"] for group in rates.made.param_groups])

    rates = EpochRates(partial(torch.optim.SGD, lr=0.5), lambda epoch, epochs: 1 - epoch / epochs)
    graphs = Batch.from_data_list(fake().graphs())
    fit(Task(Classifier(), losses=CE()), graphs, epochs=4, optimizer=rates)
    assert seen == [[0.5], [0.375], [0.25], [0.125]]


def test_features_and_structure_have_rates_of_their_own_a_tenth_after_a_while(monkeypatch):
    seen = []

    def spied(task, data, *, optimizer, epochs, **options):
        made = optimizer(task.parameters())
        for epoch in range(epochs):
            task.set_epoch(epoch, epochs)
            seen.append([group["lr"] for group in made.param_groups])

    monkeypatch.setattr(gfkd_inversion, "fit", spied)
    invert(teacher(), WIDTH, CLASSES, count=2, lr=(0.2, 3.0), decay_every=2, epochs=4)
    assert seen == [pytest.approx(rates) for rates in ([0.2, 3.0], [0.2, 3.0], [0.02, 0.3], [0.02, 0.3])]


def test_wrong_arguments_are_named():
    class Plain(nn.Module):
        def forward(self, x, batch):
            return global_mean_pool(x, batch)

    with pytest.raises(ValueError, match="the teacher must have BatchNorm layers with running statistics, got none"):
        Inversion(fake(), Plain())
    with pytest.raises(ValueError, match="'sizes' and 'targets' must name the nodes and the class of each graph"):
        FakeGraphs(torch.tensor([3, 0]), torch.tensor([0, 1]), WIDTH)
    with pytest.raises(ValueError, match=r"'nodes' must be the least and the greatest number .* got \(5, 3\)"):
        invert(teacher(), WIDTH, CLASSES, nodes=(5, 3))
