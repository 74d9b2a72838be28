"""FreqD and GraphD against their formulas as loops over all entities."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import recsys
from recsys.data.entity_graphs import EntityGraph, nearest
from recsys.losses import FreqD, GraphD
from recsys.losses._averaged import AveragedExperts
from tests.methods import recommenders
from tests.recsys.data.test_entity_graphs import dense
from tests.recsys.losses.examples import triplets

NAMES = ("users", "positives", "negatives")


def example(kind: type[FreqD] | type[GraphD], **knobs: Any) -> tuple[Any, dict[str, Any], dict[str, Tensor]]:
    torch.manual_seed(6)
    facts = triplets()
    graphs = [nearest(table, 2) for table in facts["teacher"]]
    loss = kind(3, 5, *graphs, experts=2, **{"dropout": 0.0, "keep": 0.6} | knobs).double()
    kept = {name: torch.rand(len(loss.graph(int(name != "users")).column)) < 0.6 for name in NAMES}
    return loss, facts, kept


def mean_of(module: AveragedExperts, row: Tensor) -> Tensor:
    w1, b1, w2, b2 = (getattr(module, name) for name in ("w1", "b1", "w2", "b2"))
    return torch.stack([w2[m] @ torch.relu(w1[m] @ row + b1[m]) + b2[m] for m in range(len(w1))]).mean(dim=0)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / (a.norm() * b.norm())


def matrices(loss: Any, kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """The graphs of the three terms as dense matrices, kept edges divided by their share."""
    graphs: dict[str, EntityGraph] = {name: loss.graph(int(name != "users")) for name in NAMES}
    return {name: dense(graph._replace(value=graph.value * kept[name] / 0.6)) for name, graph in graphs.items()}


@pytest.mark.parametrize("normalise", [True, False])
def test_freqd_is_its_formula(normalise: bool) -> None:
    loss, facts, kept = example(FreqD, alpha=0.3, normalise=normalise)
    total = 0.0
    for name, a in matrices(loss, kept).items():
        side = int(name != "users")
        s, t = facts["student"][side], facts["teacher"][side]
        h = 0.3 * a + 0.7 * torch.eye(len(s), dtype=torch.float64)
        ours = h @ torch.stack([mean_of((loss.users, loss.items)[side], row) for row in s])
        theirs = h @ t
        for entity in set(facts[name].tolist()):
            gap = 1 - cosine(ours[entity], theirs[entity]) if normalise else (ours - theirs)[entity].square().sum()
            total += (0.5 if side else 1.0) * gap.item()
    assert loss(**facts, kept=kept).item() == pytest.approx(total, rel=1e-12)


def test_graphd_is_its_formula() -> None:
    loss, facts, kept = example(GraphD)
    own = torch.tensor([[0.2, 1.3], [0.9, 0.4], [1.1, 0.0]], dtype=torch.float64)
    total = 0.0
    for (name, a), (ours, theirs) in zip(matrices(loss, kept).items(), own.tolist(), strict=True):
        side = int(name != "users")
        s, t = facts["student"][side], facts["teacher"][side]
        s, t = (1 - ours) * a @ s + ours * s, (1 - theirs) * a @ t + theirs * t
        for entity in set(facts[name].tolist()):
            gap = 1 - cosine(mean_of((loss.users, loss.items)[side], s[entity]), t[entity])
            total += (0.5 if side else 1.0) * gap.item()
    assert loss(**facts, kept=kept, self_weights=own).item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("kind", [FreqD, GraphD])
def test_without_the_mixing_it_is_plain_features_whatever_the_graph(kind: Any) -> None:
    """The control: no neighbour has a part, and other graphs give the same; with the mixing they do not."""
    for off in (True, False):
        knobs = {"alpha": 0.0 if off else 0.6} if kind is FreqD else {}
        loss, facts, kept = example(kind, **knobs)
        fact = {} if kind is FreqD else {"self_weights": torch.full((3, 2), 1.0 if off else 0.4, dtype=torch.float64)}
        value = loss(**facts, kept=kept, **fact).item()
        other = loss(**facts, kept={name: ~each for name, each in kept.items()}, **fact).item()
        assert (value == pytest.approx(other)) == off
        if off:
            plain = 0.0
            for name in NAMES:
                side = int(name != "users")
                for entity in set(facts[name].tolist()):
                    made = mean_of((loss.users, loss.items)[side], facts["student"][side][entity])
                    plain += (0.5 if side else 1) * (1 - cosine(made, facts["teacher"][side][entity])).item()
            assert value == pytest.approx(plain)


def test_freqd_weighs_frequencies_by_their_low_pass() -> None:
    """Over all entities, without draws: sum_k (1 - alpha nu_k)^2 |v_k' X|^2 with the eigenpairs of I - A."""
    alpha = 0.8
    generator = torch.Generator().manual_seed(3)
    s, t = (torch.randn(6, width, dtype=torch.float64, generator=generator) for width in (3, 5))
    a = torch.rand(6, 6, dtype=torch.float64, generator=generator)
    a = (a + a.T) / (a + a.T).sum(dim=1).mean()
    edges = a.nonzero().T
    graph = EntityGraph.from_edges(edges, a[tuple(edges)], 6)
    torch.manual_seed(0)
    loss = FreqD(3, 5, graph, graph, alpha=alpha, keep=1.0, dropout=0.0, normalise=False).double()
    ids = torch.arange(6)
    found = loss((s, s), (t, t), users=ids, positives=ids, negatives=ids)
    total = 0.0
    nu, v = torch.linalg.eigh(torch.eye(6, dtype=torch.float64) - a)
    for module in (loss.users, loss.items):
        x = module(s) - t
        total += sum((1 - alpha * nu[k]) ** 2 * (v[:, k] @ x).square().sum() for k in range(6)).item()
    assert found.item() == pytest.approx(total)


@pytest.mark.parametrize("kind", [FreqD, GraphD])
def test_only_entities_of_the_batch_and_their_neighbours_are_read(kind: Any) -> None:
    loss, facts, _ = example(kind, keep=1.0)
    tables = [table.detach().requires_grad_() for table in facts["student"]]
    loss(**facts | {"student": tuple(tables)}).backward()
    ids = {0: facts["users"], 1: torch.cat([facts["positives"], facts["negatives"]])}
    for side, table in enumerate(tables):
        near = loss.graph(side).around(ids[side].unique()).nodes
        touched = table.grad.abs().sum(dim=1).nonzero().flatten()
        assert set(touched.tolist()) <= set(near.tolist())
        assert set(ids[side].tolist()) <= set(touched.tolist())


@pytest.mark.parametrize("kind", [FreqD, GraphD])
def test_draws_come_from_the_seed(kind: Any) -> None:
    loss, facts, _ = example(kind, dropout=0.3)
    values = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        values.append(loss(**facts).item())
    assert values[0] == values[1] != values[2]


def test_dropout_leaves_the_mean_of_linear_networks_and_rests_in_evaluation() -> None:
    torch.manual_seed(0)
    module = AveragedExperts(3, 4, 6, experts=2, dropout=0.3).double()
    module.b1.data.fill_(50.0)  # every unit is open: the network is linear
    x = torch.randn(5, 3, dtype=torch.float64)
    plain = module.eval()(x)
    torch.testing.assert_close(plain, torch.stack([mean_of(module, row) for row in x]))
    module.train()
    drawn = torch.stack([module(x).detach() for _ in range(1000)])
    assert drawn.std(dim=0).min() > 0.1
    torch.testing.assert_close(drawn.mean(dim=0), plain, atol=6 * float(drawn.std(dim=0).max()) / 1000**0.5, rtol=0)


def test_errors() -> None:
    loss, facts, _ = example(FreqD)
    graph = nearest(torch.eye(4), 2)
    with pytest.raises(ValueError, match="'user_graph' must have the 8 rows of the 'user' table, got 4"):
        FreqD(3, 5, graph, graph).double()(**facts)
    with pytest.raises(ValueError, match="'student' must have the width 3, got shape"):
        loss(**facts | {"student": facts["teacher"]})
    with pytest.raises(ValueError, match=r"'teacher' must have tables of the width 5, got \(3, 3\)"):
        loss(**facts | {"teacher": facts["student"]})
    with pytest.raises(ValueError, match=r"'keep' must be in \(0, 1\], got 0"):
        GraphD(3, 5, graph, graph, keep=0)
    with pytest.raises(ValueError, match=r"'alpha' must be in \[0, 1\], got 2"):
        FreqD(3, 5, graph, graph, alpha=2)
    with pytest.raises(ValueError, match=r"'dropout' must be in \[0, 1\), got 1"):
        FreqD(3, 5, graph, graph, dropout=1)
    with pytest.raises(ValueError, match="'experts' must be positive, got 3, 5, 5, 0"):
        FreqD(3, 5, graph, graph, experts=0)
    other, facts, _ = example(GraphD)
    with pytest.raises(ValueError, match=r"'self_weights' must have shape \(3, 2\), got \(2,\)"):
        other(**facts, self_weights=torch.ones(2))


@pytest.mark.parametrize(("alpha", "alike"), [(0.0, True), (0.5, False)])
def test_of_the_method_too_the_graph_has_a_part_only_where_rows_are_mixed(alpha: float, alike: bool) -> None:
    given = recommenders.KINDS["ranking"]()
    models = [given.pop(name) for name in ("student", "teacher", "data")]
    settings = {"alpha": alpha, "keep": 1.0, "dropout": 0.0, "epochs": 1, "progress": False, **given}
    one, other = (recsys.distil("freqd", *models, k=k, **settings).model.state_dict() for k in (1, 6))
    assert all(torch.allclose(value, other[name], atol=1e-6) for name, value in one.items()) == alike
