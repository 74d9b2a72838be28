from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch.optim import SGD

import graphkd
from graphkd import fit
from graphkd.gnn import Actions, FreeKD, FreeKDRounds, Shown, freekd_objective, freekd_reward
from graphkd.gnn.freekd import Round
from graphkd.gnn.freekd_transfer import centre_similarity, freekd_transfer
from graphkd.tasks import accuracy
from tests.core.models import gcn, graph

# Node 5 is isolated, the edge 1 -> 0 is there twice, node 3 has an edge to itself.
EDGES = torch.tensor([[1, 1, 2, 4, 0, 2, 3, 4, 0, 2], [0, 0, 0, 0, 2, 3, 3, 1, 1, 1]])
NODE = torch.tensor([1, 0, 1, 0, 0, -1])
STRUCTURE = torch.tensor([1, 1, 0, 1, 1, -1])
WHERE = torch.tensor([True, True, True, True, False, False])


def shown(width: int, seed: int) -> Shown:
    generator = torch.Generator().manual_seed(seed)
    return Shown(*(torch.randn(6, d, generator=generator, dtype=torch.float64).requires_grad_() for d in (3, width)))


def divergence(p: list[float], q: list[float]) -> float:
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


def alike(x: torch.Tensor, i: int, j: int, similarity: str) -> float:
    x = x.detach()
    if similarity == "cosine":
        return float(x[i] @ x[j] / (x[i].norm() * x[j].norm()))
    if similarity == "dot":
        return float(x[i] @ x[j])
    distance = float((x[i] - x[j]).norm())
    return {"euclidean": -distance, "squared_euclidean": -(distance**2), "rbf": math.exp(-(distance**2) / 2)}[
        similarity
    ]


def by_hand(student, teacher, direction, similarity, scale, temperature) -> tuple[float, float]:
    """Both losses, node by node."""
    node = structure = 0.0
    for i in range(6):
        if not WHERE[i]:
            continue
        if NODE[i] == direction:
            p, q = (softmax([z / temperature for z in peer.logits[i].tolist()]) for peer in (teacher, student))
            node += temperature**2 * divergence(p, q)
        sources = [int(j) for j, target in EDGES.t() if target == i and NODE[j] == direction]
        if STRUCTURE[i] == 1 and sources:
            p, q = (
                softmax([scale * alike(peer.hidden, i, j, similarity) for j in sources]) for peer in (teacher, student)
            )
            structure += divergence(p, q)
    return node, structure


@pytest.mark.parametrize("similarity", ["cosine", "dot", "rbf", "euclidean", "squared_euclidean"])
@pytest.mark.parametrize("direction", [0, 1])
def test_what_is_passed_on_is_the_formula(similarity, direction):
    student, teacher = shown(4, 0), shown(5, 1)
    options = {"similarity": similarity, "scale": 1.7, "temperature": 2.0}
    actions = Actions(NODE, STRUCTURE)
    want = by_hand(student, teacher, direction, **options)
    assert min(want) > 0
    got = freekd_transfer(
        student, teacher, actions, EDGES, direction=direction, where=WHERE, reduction="sum", **options
    )
    torch.testing.assert_close(torch.stack(got), torch.tensor(want, dtype=torch.float64))
    mean = freekd_transfer(student, teacher, actions, EDGES, direction=direction, where=WHERE, **options)
    several = sum(
        STRUCTURE[i] == 1 and sum(int(t) == i and NODE[j] == direction for j, t in EDGES.t()) > 1 for i in range(6)
    )
    counts = torch.tensor([4, max(int(several), 1)], dtype=torch.float64)
    torch.testing.assert_close(torch.stack(mean), torch.tensor(want, dtype=torch.float64) / counts)
    sum(got).backward()
    assert all(tensor.grad is None for tensor in teacher)
    assert all(bool(tensor.grad.abs().sum() > 0) for tensor in student)


def test_nothing_is_passed_on_without_actions():
    idle = Actions(torch.full((6,), -1), torch.full((6,), -1))
    got = freekd_transfer(shown(4, 0), shown(4, 1), idle, EDGES, direction=1, where=WHERE)
    assert torch.stack(got).tolist() == [0.0, 0.0]


def test_one_neighbour_is_no_structure():
    got = freekd_transfer(
        shown(4, 0),
        shown(4, 1),
        Actions(torch.zeros(6), torch.ones(6)),
        torch.tensor([[1], [0]]),
        direction=0,
        where=torch.ones(6, dtype=torch.bool),
    )
    assert got[1].item() == 0.0


def test_centres_are_compared_with_their_neighbours():
    x = shown(4, 0).hidden.detach()
    want = [[alike(x, i, int(j), "cosine") for j, target in EDGES.t() if target == i] for i in range(6)]
    got = centre_similarity(x, EDGES, "cosine")
    torch.testing.assert_close(got.tolist(), [sum(values) / len(values) if values else 0.0 for values in want])


def test_rewards_are_what_labels_cost_here_and_around():
    phi, psi = shown(4, 0).logits, shown(4, 1).logits
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    cost = [-sum(math.log(softmax(logits[i].tolist())[int(y[i])]) for logits in (phi, psi)) for i in range(6)]
    for known in (None, WHERE):
        want = []
        for i in range(6):
            around = [cost[int(j)] for j, target in EDGES.t() if target == i and (known is None or known[j])]
            want.append(-cost[i] - 0.6 * (sum(around) / len(around) if around else 0.0))
        torch.testing.assert_close(freekd_reward(phi, psi, y, EDGES, 0.6, known).tolist(), want)


def test_policies_climb_towards_what_is_rewarded():
    reward = torch.tensor([1.0, -2.0])
    logits = Actions(torch.zeros(2, requires_grad=True), torch.tensor([0.3, -0.2], requires_grad=True))
    actions = Actions(torch.tensor([1, 1]), torch.tensor([0, 0]))
    objective = freekd_objective(reward, logits, actions)
    objective.backward()
    probability = [torch.sigmoid(x.detach()) for x in logits]
    want = (reward * (probability[0].log() + (1 - probability[1]).log())).mean()
    torch.testing.assert_close(objective.detach(), want)
    for x, action, p in zip(logits, actions, probability, strict=True):
        torch.testing.assert_close(x.grad, reward * (action - p) / 2)


def learner_of(**settings) -> FreeKD:
    torch.manual_seed(5)
    return FreeKD(gcn(1, dropout=0.3), gcn(2, dropout=0.3), graph(), hidden="convs.0", where="train_mask", **settings)


def test_one_half_teaches_the_peers_the_other_the_policies():
    learner = learner_of()
    peers, policies = list(learner.student.parameters()), list(learner.policies.parameters())
    for rewards, taught, others in ((False, peers, policies), (True, policies, peers)):
        step = learner(Round(graph(), rewards))
        learner.zero_grad()
        step.loss.backward()
        assert all(p.grad is None for p in others)
        assert all(p.grad is not None for p in taught)
    parts = {f"{part}_{peer}" for part in ("label", "node", "structure") for peer in ("phi", "psi")}
    first = learner(Round(graph(), rewards=False)).terms
    assert set(first) == parts | {"phi_teaches", "psi_teaches", "structure_passed"}
    assert float(first["phi_teaches"] + first["psi_teaches"]) == 1.0
    assert all(0 <= float(first[share]) <= 1 for share in ("phi_teaches", "psi_teaches", "structure_passed"))
    assert set(learner(Round(graph(), rewards=True)).terms) == {"reward"}
    assert learner.student.training


def test_the_loss_is_the_weighted_sum_of_its_terms():
    step = learner_of(mu=0.7, rho=0.2)(Round(graph(), rewards=False))
    weights = {"label": 1.0, "node": 0.7, "structure": 0.2}
    want = sum(weights[part] * step.terms[f"{part}_{peer}"] for part in weights for peer in ("phi", "psi"))
    torch.testing.assert_close(step.loss.detach(), want)


@pytest.mark.parametrize("confidence", [None, 0.4])
def test_labels_outside_the_mask_are_never_read(confidence):
    data, hidden = graph(), graph()
    hidden.y = torch.where(data.train_mask, data.y, -7)
    first, second = (
        fit(learner_of(confidence=confidence), FreeKDRounds(seen), epochs=4).state_dict() for seen in (data, hidden)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_with_a_confidence_unlabelled_nodes_act_too():
    data = graph()
    labelled, everyone = learner_of(), learner_of(confidence=1e-6)
    labelled(Round(data, rewards=False))
    everyone(Round(data, rewards=False))
    assert torch.equal(labelled._turn.actions.node >= 0, data.train_mask)
    assert bool((everyone._turn.actions.node >= 0).all())
    assert torch.equal(everyone._turn.labels[data.train_mask], data.y[data.train_mask])


def test_policies_learn_who_knows():
    """psi is perfect and fixed, phi clueless: rewards of phi's gain teach the policy to let psi teach."""
    data = graph()
    data.train_mask = torch.ones(30, dtype=torch.bool)

    class Known(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = torch.nn.Parameter(8 * torch.nn.functional.one_hot(data.y, 3).float(), requires_grad=False)

        def forward(self, x):
            return self.logits

    class Table(Known):
        def __init__(self):
            super().__init__()
            self.logits = torch.nn.Parameter(torch.zeros(30, 3))

    options = {"mu": 30.0, "rho": 0.0, "gamma": 0.0, "policy_lr": 0.5, "epochs": 60}
    result = graphkd.distil("freekd", Table(), None, data, peer=Known(), optimizer=partial(SGD, lr=0.5), **options)
    assert result.history[-1]["psi_teaches"] > 0.7 > result.history[0]["psi_teaches"]
    assert torch.equal(result.model.logits.argmax(1), data.y)


def test_the_student_serves_at_its_best_epoch():
    data = graph()
    result = graphkd.distil("freekd", gcn(1), None, data, epochs=8)
    assert type(result.model) is type(gcn())
    best = max(report["accuracy"] for report in result.history)
    assert result.scores["val"]["accuracy"] == best == pytest.approx(accuracy(result.model, data, "val_mask"))


def test_policies_have_a_rate_of_their_own_and_no_decay():
    made = []

    def optimizer(groups):
        made.append(torch.optim.Adam(groups, lr=0.02, weight_decay=0.1))
        return made[-1]

    graphkd.distil("freekd", gcn(), None, graph(), epochs=1, policy_lr=0.003, optimizer=optimizer)
    assert [(group["lr"], group["weight_decay"]) for group in made[0].param_groups] == [(0.02, 0.1), (0.003, 0.0)]


def test_a_batch_without_labels_teaches_nothing():
    data, learner = graph(), learner_of()
    data.train_mask = torch.zeros_like(data.train_mask)
    for rewards in (False, True):
        loss, terms = learner(Round(data, rewards))
        loss.backward()
        assert loss == 0
        assert not {"phi_teaches", "reward"} & set(terms)
    assert all(p.grad is None or not p.grad.any() for p in learner.parameters())


def test_several_batches_are_gone_through_in_rounds():
    batches = [graph(), graph()]
    rounds = list(FreeKDRounds(batches))
    assert [half.rewards for half in rounds] == [False, True, False, True]
    assert rounds[0].batch is not batches[0]
    assert len(FreeKDRounds(batches)) == 4


def test_wrong_use_is_named():
    data = graph()
    with pytest.raises(TypeError, match=r"FreeKD takes what FreeKDRounds\(data\) gives, got Data"):
        learner_of()(data)
    with pytest.raises(RuntimeError, match="give the two rounds of a batch in one process"):
        learner_of()(Round(data, rewards=True))
    with pytest.raises(ValueError, match=r"'confidence' must be in \(0, 1\], got 2"):
        learner_of(confidence=2)
    with pytest.raises(ValueError, match="'reduction' must be one of"):
        learner_of(reduction="max")(Round(data, rewards=False))
    with pytest.raises(ValueError, match="'similarity' must be one of"):
        learner_of(similarity="poly")(Round(data, rewards=False))
