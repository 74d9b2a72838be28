"""RL-KD: what the policy sees and learns from, and that it comes to prefer the teacher that helps."""

from __future__ import annotations

import math

import pytest
import torch

from graphkd import Frozen, fit
from graphkd.core.batches import changed
from graphkd.losses import cross_entropy, kl
from graphkd.schemes import TeacherChoice, TeacherPolicy, policy_loss, teacher_states
from graphkd.schemes.teachers.rl_kd import listened
from tests.core.models import CLASSES, gcn, graph
from tests.core.models import NODES as NODES_OF_GRAPH
from tests.kernels.graphs import normal
from tests.losses.example import LABELS, NODES, STUDENT, TEACHER, assert_value, softmax
from tests.schemes.runs import resumes, takes_a_loader

TEACHERS = torch.stack([TEACHER, STUDENT.flip(0)])


def test_teacher_states():
    features = normal(5, 2, dtype=torch.float64, seed=3)
    got = teacher_states(features, TEACHERS, LABELS)
    assert got.shape == (5, 2, 2 + 3 + 1)
    for i in NODES:
        for k in range(2):
            p = softmax(TEACHERS[k, i])
            want = [*features[i].tolist(), *p, -math.log(p[int(LABELS[i])])]
            assert got[i, k].tolist() == pytest.approx(want)


def test_policy_loss():
    logits, reward = normal(5, 2, dtype=torch.float64, seed=4), normal(5, 1, dtype=torch.float64, seed=5)[:, 0]
    actions = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 1], [1, 0]])
    total = 0.0
    for i in NODES:
        for k in range(2):
            chance = 1 / (1 + math.exp(-float(logits[i, k])))
            total -= float(reward[i]) * math.log(chance if actions[i, k] else 1 - chance) / 5
    assert_value(policy_loss(logits, actions, reward), total)


def test_the_policy_is_one_of_each_teacher():
    policy = TeacherPolicy(2, 3).double().requires_grad_(False)
    state = normal(4, 6, dtype=torch.float64, seed=6).view(4, 2, 3)
    got = policy(state)
    for i in range(4):
        for k in range(2):
            want = sum(float(policy.weight[k, d] * state[i, k, d]) for d in range(3)) + float(policy.bias[k])
            assert float(got[i, k]) == pytest.approx(want)


def made(where="train_mask", **settings):
    return TeacherChoice(gcn(1), [gcn(2), gcn(3)], CLASSES, NODES_OF_GRAPH, where=where, **settings)


def test_all_teach_while_it_is_warming_up():
    data, task = graph(), made(warm=2, weight=0.3)
    step = task(data)
    assert float(step.terms["teachers"]) == 1
    logits = task.student(data.x, data.edge_index)
    each = torch.stack([Frozen(gcn(seed))(data)["logits"] for seed in (2, 3)])
    mean = (each / 4).softmax(dim=2).mean(dim=0).log() * 4
    rows, others = data.train_mask, ~data.train_mask
    want = 0.7 * cross_entropy(logits[rows], data.y[rows]) + 0.3 * (
        kl(logits[rows], mean[rows], 4.0) + kl(logits[others], mean[others], 4.0)
    )
    torch.testing.assert_close(step.loss, want)


def errors(logits, data):
    rows = data.train_mask
    return torch.nn.functional.cross_entropy(logits[rows], data.y[rows], reduction="none").detach()


def logits_of(task, data):
    return task.student(data.x, data.edge_index).detach()


def two_steps(task, data):
    """What the student said at the first step and after it has changed, what the policy did, and the second step."""
    torch.manual_seed(0)
    first, before = task(data), logits_of(task, data)
    assert "reward" not in first.terms
    assert all(grad is None for grad in torch.autograd.grad(first.loss, task.policy.parameters(), allow_unused=True))
    actions = task.actions[data.train_mask].clone()
    with torch.no_grad():
        for parameter in task.student.parameters():
            parameter.mul_(1.1)
    return before, logits_of(task, data), actions, task(data)


def distances(task, data, logits, actions):
    """T^2 KL of each labelled row from the mean of the chosen teachers, of all where none was."""
    found = []
    for row, chosen in zip(data.train_mask.nonzero()[:, 0].tolist(), actions.tolist(), strict=True):
        some = [k for k in range(2) if chosen[k]] or [0, 1]
        answers = [(Frozen(gcn(2 + k))(data)["logits"][row] / 4).softmax(0) for k in some]
        mean, own = sum(answers) / len(answers), (logits[row] / 4).log_softmax(0)
        found.append(16 * float((mean * (mean.log() - own)).sum()))
    return torch.tensor(found)


@pytest.mark.parametrize("reward", ["labels", "objective", "validation"])
def test_the_policy_learns_when_rows_come_again(reward):
    data, score = graph(), iter([0.3, 0.7])
    task = made(warm=0, reward=reward, balance=2.0, score=lambda: next(score))
    if reward == "validation":
        task.set_epoch(0, 2)
        task.set_epoch(1, 2)
    before, now, actions, second = two_steps(task, data)
    gains, got = errors(before, data) - errors(now, data), -errors(now, data)
    if reward != "labels":
        known, every = distances(task, data, now, actions), torch.ones_like(actions)
        gains, got = gains + distances(task, data, before, every) - known, got - known
    gains = gains - gains.mean() + (2 * 0.4 if reward == "validation" else 0)
    rows, teachers = data.train_mask, torch.stack([Frozen(gcn(seed))(data)["logits"] for seed in (2, 3)])
    state = teacher_states(before[rows], teachers[:, rows], data.y[rows])
    want = torch.autograd.grad(policy_loss(task.policy(state), actions, gains), task.policy.weight)
    torch.testing.assert_close(torch.autograd.grad(second.loss, task.policy.weight), want, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.terms["reward"], got.mean())


def test_a_row_that_listened_to_nobody_is_compared_with_all():
    actions = torch.tensor([[True, False], [False, False], [True, True], [False, True], [False, False]])
    got = listened(STUDENT, TEACHERS, actions, 2.0)
    for i in NODES:
        some = [k for k in range(2) if actions[i, k]] or [0, 1]
        p = [sum(softmax(TEACHERS[k, i], 2.0)[c] for k in some) / len(some) for c in range(3)]
        q = softmax(STUDENT[i], 2.0)
        want = 4 * sum(one * math.log(one / other) for one, other in zip(p, q, strict=True))
        assert float(got[i]) == pytest.approx(want)


def test_rows_without_a_label_listen_to_those_that_are_chosen_more_often():
    data, task = graph(), made(warm=0)
    with torch.no_grad():
        task.policy.weight.zero_()
        task.policy.bias.copy_(torch.tensor([50.0, -50.0]))
    step, others = task(data), ~data.train_mask
    want = kl(logits_of(task, data)[others], Frozen(gcn(2))(data)["logits"][others], 4.0)
    torch.testing.assert_close(step.terms["rest"], want)


def test_a_reward_of_validation_asks_for_a_score():
    with pytest.raises(ValueError, match="reward='validation' asks for 'score'"):
        made(reward="validation")


def test_batches_have_turns_of_their_own():
    """The policy has acted about the rows of the first batch alone, and learns of nothing else at the second."""
    data, task = graph(), made(warm=0)
    one, other = (changed(data, n_id=torch.arange(NODES_OF_GRAPH), half=data.train_mask.clone()) for _ in range(2))
    one.half[15:], other.half[:15] = False, False
    task.where = "half"
    task(one)
    assert torch.equal(task.acted, one.half)
    assert "reward" not in task(other).terms
    assert torch.equal(task.acted, data.train_mask)
    assert "reward" in task(one).terms


def test_a_batch_without_labelled_rows():
    data, task = graph(), made(warm=0)
    task(data)
    none = task(changed(data, train_mask=torch.zeros_like(data.train_mask)))
    assert none.loss.isfinite()
    assert "reward" not in none.terms


def test_a_student_is_trained_and_the_teachers_are_not():
    data, seen = graph(), []
    task = made(warm=3)
    before = task._teachers(data)["logits"].clone()
    weight = task.policy.weight.detach().clone()
    found = fit(task, data, epochs=20, log=seen.append)
    assert found is task.student
    assert torch.equal(task._teachers(data)["logits"], before)
    assert not torch.equal(task.policy.weight, weight)
    assert seen[-1]["labels"] < seen[0]["labels"]
    assert not any("convs" in name for name in task.state_dict() if not name.startswith("student"))
    task.double()
    assert task._teachers.members[0].model.convs[0].lin.weight.dtype == torch.float64


@pytest.mark.parametrize("reward", ["labels", "validation"])
def test_a_broken_run_goes_on_with_what_the_policy_did(reward, tmp_path):
    resumes("rl_kd", tmp_path, warm=0, epochs=4, reward=reward)


def test_a_loader_is_enough():
    takes_a_loader("rl_kd", warm=0, epochs=4)
