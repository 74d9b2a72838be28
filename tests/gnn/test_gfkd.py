from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCNConv, global_add_pool, global_mean_pool

import graphkd
from graphkd import Cached, Ensemble
from graphkd.gnn import FakeGraphs, Inversion
from graphkd.tasks import GraphClassification, predict
from tests.methods import contract

WIDTH, CLASSES = 4, 2


class Classifier(nn.Module):
    """Two layers with BatchNorm, then the sum over nodes."""

    def __init__(self, seed: int = 0, width: int = 8) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.convs = nn.ModuleList([GCNConv(WIDTH, width), GCNConv(width, width)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(width), nn.BatchNorm1d(width)])
        self.last = nn.Linear(width, CLASSES)

    def forward(self, x, edge_index, batch=None):
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


TASK = GraphClassification()
SMALL = {"num_features": WIDTH, "count": 12, "nodes": (3, 6), "feature_lr": 0.1, "task": TASK, "progress": False}


def distil(student, model, data=None, **options):
    return graphkd.distil("gfkd", student, model, data, **{**SMALL, **options})


def graphs_made(monkeypatch) -> list[Data]:
    """The graphs that a student learns from."""
    seen: list[Data] = []
    graphs = FakeGraphs.graphs

    def watched(self):
        seen.extend(found := graphs(self))
        return found

    monkeypatch.setattr(FakeGraphs, "graphs", watched)
    return seen


def test_inversion_finds_graphs_that_the_teacher_takes_for_their_class(monkeypatch):
    model, seen = teacher(), graphs_made(monkeypatch)
    result = distil(Classifier(7), model, graph_epochs=60, student_epochs=1, seed=4)
    first, *_, last = (report for report in result.history if report["stage"] == "graphs")
    assert last["epoch"] == 60
    assert last["label"] < 0.5 * first["label"]
    assert last["bn"] < first["bn"]
    distil(Classifier(7), model, graph_epochs=60, student_epochs=1, seed=4)
    one, again = (Batch.from_data_list(found) for found in (seen[:12], seen[12:]))
    assert torch.equal(one.x, again.x)
    assert torch.equal(one.edge_index, again.edge_index)
    assert set(one.batch.bincount().tolist()) <= {3, 4, 5, 6}
    assert set(one.y.tolist()) <= {0, 1}


def test_a_student_learns_what_the_teacher_says_of_them(monkeypatch):
    model, seen = teacher(), graphs_made(monkeypatch)
    options = {"count": 16, "graph_epochs": 30, "batch_size": 8}
    student = distil(Classifier(7), model, student_epochs=40, **options).model
    batch = Batch.from_data_list(seen)
    assert float((predict(student, batch) == predict(model, batch)).float().mean()) > 0.9


def test_without_epochs_of_graphs_they_are_random(monkeypatch):
    seen = graphs_made(monkeypatch)
    result = distil(Classifier(7), teacher(), graph_epochs=0, student_epochs=1)
    assert {report["stage"] for report in result.history} == {"student"}
    assert len(seen) == 12


def test_graphs_that_are_given_tell_sizes_alone(monkeypatch):
    """Numbers of nodes and the width of features; neither features nor edges nor labels."""
    sizes, seen = (2, 5, 3), graphs_made(monkeypatch)

    def given(value):
        return [Data(x=torch.full((n, WIDTH), value), edge_index=torch.zeros(2, 1, dtype=torch.long)) for n in sizes]

    found = []
    for value, as_loader in ((0.0, False), (9.0, False), (1.0, True)):
        data = DataLoader(given(value), batch_size=2, shuffle=True) if as_loader else given(value)
        options = {"num_features": None, "nodes": None, "graph_epochs": 2, "student_epochs": 2}
        found.append(distil(Classifier(7), teacher(), data, **options).model.state_dict())
    assert {graph.num_nodes for graph in seen} == {2, 3, 4, 5}
    assert all(contract.same(found[0], other) for other in found[1:])


def test_the_student_learns_at_a_rate_that_falls_to_nothing_and_graphs_at_rates_of_their_own(monkeypatch):
    """The optimiser that is asked for is the student's; features and structure have Adam's two rates."""
    seen: list[list[float]] = []
    step = torch.optim.Adam.step

    def watched(self, *given, **named):
        seen.append([group["lr"] for group in self.param_groups])
        return step(self, *given, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    options = {"feature_lr": 0.2, "structure_lr": 3.0, "decay_every": 2, "epochs": 4}
    distil(Classifier(7), teacher(), optimizer=lambda p: torch.optim.Adam(p, lr=0.5), **options)
    assert seen[:4] == [pytest.approx(rates) for rates in ([0.2, 3.0], [0.2, 3.0], [0.02, 0.3], [0.02, 0.3])]
    assert seen[4:] == [[0.5], [0.375], [0.25], [0.125]]


def test_a_broken_run_goes_on_to_the_same_bits(tmp_path):
    options = {"epochs": 2, "save_every": 1}
    with contract.breaking() as (events, log):
        whole = distil(Classifier(7), teacher(), checkpoint=tmp_path / "whole", log=log, **options)
    for place in range(2, events[0] + 1):
        folder = tmp_path / str(place)
        with contract.breaking(place) as (_, log), pytest.raises(contract.BrokenError):
            distil(Classifier(7), teacher(), checkpoint=folder, log=log, **options)
        again = distil(Classifier(8), teacher(), checkpoint=folder, resume=True, **options)
        assert contract.same(contract.weights(again), contract.weights(whole)), f"after event {place}"


class Odd(nn.Module):
    """A classifier whose arguments have other names."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, features, links, of):
        return self.inner(features, links, of)


def test_models_of_other_signatures_and_stored_teachers_give_the_same_bits():
    model, options = teacher(), {"epochs": 2}
    plain = distil(Classifier(7), model, **options).model
    odd = distil(Odd(Classifier(7)), Odd(model), call=lambda m, b: m(b["x"], b["edge_index"], b["batch"]), **options)
    assert contract.same(odd.model.inner.state_dict(), plain.state_dict())
    stored = distil(Classifier(7), Cached(model), **options).model
    assert contract.same(stored.state_dict(), plain.state_dict())
    with pytest.raises(ValueError, match="'gfkd' cannot take an Ensemble as teacher: it makes graphs from"):
        distil(Classifier(7), Ensemble([model]), **options)


def test_wrong_arguments_are_named():
    class Plain(nn.Module):
        def forward(self, x, batch):
            return global_mean_pool(x, batch)

    with pytest.raises(ValueError, match="the teacher must have BatchNorm layers with running statistics, got none"):
        Inversion(fake(), Plain())
    with pytest.raises(ValueError, match="'sizes' and 'targets' must name the nodes and the class of each graph"):
        FakeGraphs(torch.tensor([3, 0]), torch.tensor([0, 1]), WIDTH)
    with pytest.raises(ValueError, match=r"'nodes' must be the least and the greatest number .* got \(5, 3\)"):
        distil(Classifier(7), teacher(), nodes=(5, 3))
    with pytest.raises(ValueError, match="'gfkd' must know how wide features are: give 'num_features', or graphs"):
        distil(Classifier(7), teacher(), num_features=None)
