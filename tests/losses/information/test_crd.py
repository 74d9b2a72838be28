"""CRD and what CRCD has of it: contrast with memories, and how memories are kept."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F

from graphkd.losses import CRCD, CRD, crcd, crcd_log_normaliser, crd, crd_log_normaliser
from tests.losses.behaviour import Behaviour, Case
from tests.losses.example import STUDENT, WIDE_TEACHER, approx, unit
from tests.losses.information.memories import (
    HELD,
    INDEX,
    KINDS,
    TAU,
    batches,
    each_kind,
    estimation,
    facts,
    mean_exp,
    memory,
    remembering,
)
from tests.losses.negatives import check_counts_are_ids
from tests.losses.scene import OTHER_WIDTH

FLOATS = (torch.float64, torch.float32)


@each_kind
def test_estimation(kind):
    function, normaliser, scores = KINDS[kind]
    want = scores(STUDENT, memory(0))
    log_z = normaliser(STUDENT, memory(0), INDEX, TAU)
    torch.testing.assert_close(log_z, approx(math.log(mean_exp(want) * HELD)), rtol=1e-9, atol=0)
    got = function(STUDENT, memory(0), INDEX, approx(5.0).log(), TAU)
    torch.testing.assert_close(got, approx(estimation(want, 5.0)), rtol=1e-9, atol=0)


@each_kind
def test_both_sides_and_their_memories(kind):
    """The first batch sets Z, the second keeps it; rows seen are mixed in after the loss."""
    torch.manual_seed(0)
    loss = kind(HELD, 3, 5, 4, negatives=3, temperature=TAU, momentum=0.25).double()
    scores = KINDS[kind][2]
    facts = {"n_id": INDEX[:, 0], "negatives": INDEX[:, 1:]}
    z = None
    for student, teacher in ((STUDENT, WIDE_TEACHER), (-STUDENT, WIDE_TEACHER.flip(0))):
        memories = loss.student_memory.clone(), loss.teacher_memory.clone()
        rows = [[unit(row) for row in head(x).detach()] for head, x in zip(loss.heads, (student, teacher), strict=True)]
        both = scores(rows[0], memories[1]), scores(rows[1], memories[0])
        z = [mean_exp(one) * HELD for one in both] if z is None else z
        want = sum(estimation(one, value) for one, value in zip(both, z, strict=True))
        got = loss(student, teacher, **facts).detach()
        torch.testing.assert_close(got, approx(want), rtol=1e-8, atol=0)
        for side, held in enumerate((loss.student_memory, loss.teacher_memory)):
            for i, k in enumerate(INDEX[:, 0]):
                mixed = [0.25 * float(m) + 0.75 * u for m, u in zip(memories[side][k], rows[side][i], strict=True)]
                torch.testing.assert_close(held[k], approx(unit(mixed)))
            untouched = [k for k in range(HELD) if k not in INDEX[:, 0]]
            assert torch.equal(held[untouched], memories[side][untouched])


@each_kind
def test_small_numbers_and_a_z_that_is_known(kind):
    """The student's Z is given, the teacher's is that of the batch."""
    torch.manual_seed(0)
    knobs = {} if kind is CRD else {"relation_eps": 0.05}
    loss = kind(HELD, 3, 5, 4, negatives=3, temperature=TAU, eps=0.01, **knobs).double()
    loss.log_normaliser[0] = math.log(30.0)
    memories = loss.teacher_memory.clone(), loss.student_memory.clone()
    heads = zip(loss.heads, (STUDENT, WIDE_TEACHER), strict=True)
    rows = [[unit(row) for row in head(x).detach()] for head, x in heads]
    scores = partial(KINDS[kind][2], **({} if kind is CRD else {"eps": 0.05}))
    first, second = (scores(one, held) for one, held in zip(rows, memories, strict=True))
    want = estimation(first, 30.0, eps=0.01) + estimation(second, mean_exp(second) * HELD, eps=0.01)
    got = loss(STUDENT, WIDE_TEACHER, n_id=INDEX[:, 0], negatives=INDEX[:, 1:]).detach()
    torch.testing.assert_close(got, approx(want), rtol=1e-8, atol=0)
    assert loss.log_normaliser.exp().tolist() == pytest.approx([30.0, mean_exp(second) * HELD])


def test_a_sharp_temperature():
    """In float32 the sums of exponentials would leave its range."""
    for kind in (crd, crcd):
        normaliser = {crd: crd_log_normaliser, crcd: crcd_log_normaliser}[kind]
        want, got = (normaliser(STUDENT.to(dtype), memory(0).to(dtype), INDEX, 0.005) for dtype in FLOATS)
        torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=0)
        student = F.normalize(STUDENT, dim=1).float().requires_grad_()
        value = kind(student, memory(0).float(), INDEX, got, 0.005)
        assert value.isfinite()
        assert torch.autograd.grad(value, student)[0].isfinite().all()


@each_kind
def test_a_checkpoint_keeps_memories_and_z(kind):
    torch.manual_seed(0)
    loss, twin = (kind(6, 3, 5, 4, negatives=3) for _ in range(2))
    for student, teacher, ids in batches():
        loss(student, teacher, n_id=ids)
    twin.load_state_dict(loss.state_dict())
    assert {"student_memory", "teacher_memory", "log_normaliser"} <= set(loss.state_dict())
    for student, teacher, ids in batches(2):
        values = []
        for one in (loss, twin):
            torch.manual_seed(2)
            values.append(one(student, teacher, n_id=ids))
        assert torch.equal(*values)
    assert torch.equal(loss.student_memory, twin.student_memory)
    fresh = kind(6, 3, 5, 4, negatives=3)
    loss.load_state_dict(fresh.state_dict())  # back to the start: Z is set anew
    assert loss(student, teacher, n_id=ids).isfinite()
    assert loss.log_normaliser.isfinite().all()


@each_kind
def test_evaluation_changes_nothing(kind):
    loss = kind(6, 3, 5, 4, negatives=3).eval()
    before = {name: tensor.clone() for name, tensor in loss.state_dict().items()}
    for student, teacher, ids in batches():
        assert loss(student, teacher, n_id=ids).isfinite()
    assert all(torch.equal(tensor, before[name]) for name, tensor in loss.state_dict().items())


@each_kind
def test_gradients_survive_the_memory_s_update(kind):
    """What was read is what is differentiated, though the memory has moved on before the backward pass."""
    torch.manual_seed(0)
    loss = kind(6, 3, 5, 4, negatives=3, momentum=0.0)
    still = kind(6, 3, 5, 4, negatives=3).eval()
    still.load_state_dict(loss.state_dict())
    gradients = []
    for one in (loss, still):
        student, teacher, ids = next(batches())
        torch.manual_seed(2)
        one(student.requires_grad_(), teacher, n_id=ids).backward()
        gradients.append(student.grad)
    torch.testing.assert_close(*gradients)
    assert not torch.equal(loss.student_memory, still.student_memory)


@pytest.mark.parametrize("kept", [1 << 24, 16])
@pytest.mark.parametrize("known", [False, True])
def test_drawn_negatives_are_given_ones(kept, known, monkeypatch):
    """By counts, in one part or several, what the same ids give: the value, gradients, Z and memories."""
    torch.manual_seed(0)
    loss = CRD(HELD, 3, 5, 4, negatives=20, temperature=TAU, eps=0.01).double()
    if known:
        loss.log_normaliser.fill_(1.5)
    ids = INDEX[:, 0]

    def run(one, negatives):
        return one(STUDENT, WIDE_TEACHER, n_id=ids, negatives=negatives)

    check_counts_are_ids(loss, ids, run, monkeypatch, kept)


def test_few_negatives_of_many_nodes_are_gathered():
    loss = CRD(200, 3, 5, 4, negatives=3)
    torch.manual_seed(0)
    value = loss.eval()(torch.ones(5, 3), torch.ones(5, 5), n_id=torch.arange(5))
    assert value.isfinite()


@torch.no_grad()
def test_a_sample_of_the_rows():
    torch.manual_seed(0)
    loss = remembering(CRD, max_samples=2)
    whole = remembering(CRD)
    whole.load_state_dict(loss.state_dict())
    student, teacher = torch.randn(6, 3), torch.randn(6, 5)
    facts = {"n_id": torch.arange(6), "negatives": (torch.arange(6)[:, None] + torch.tensor([1, 2, 4])) % 6}
    pairs = {
        round(float(whole(student[rows], teacher[rows], **{name: fact[rows] for name, fact in facts.items()})), 4)
        for rows in ([i, j] for i in range(6) for j in range(i))
    }
    assert all(round(float(loss(student, teacher, **facts)), 4) in pairs for _ in range(10))


def test_crcd_begins_with_unit_vectors():
    torch.testing.assert_close(CRCD(7, 3, 5, 4).student_memory.norm(dim=1), torch.ones(7))
    assert CRD(1000, 3, 5, 12).student_memory.abs().max() <= 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_nodes": 1}, "'num_nodes' must be 2 at least, for negatives, got 1"),
        ({"negatives": 0}, "'negatives' must be positive, got 0"),
        ({"temperature": 0.0}, r"'temperature' must be positive, got 0\.0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        CRD(**{"num_nodes": 6, "student_width": 3, "teacher_width": 5} | options)


def test_rows_must_be_known():
    loss = CRD(8, 3, 5, 4, negatives=3)
    student, teacher, ids = next(batches())
    with pytest.raises(ValueError, match="'n_id' must say which of the 8 nodes the 4 rows are, got None"):
        loss(student, teacher)
    with pytest.raises(ValueError, match=r"'n_id' must hold the node of each of the 4 rows, got shape \(3,\)"):
        loss(student, teacher, n_id=ids[:3])
    with pytest.raises(ValueError, match="'index' must hold a positive and one negative at least, got 1 columns"):
        loss(student, teacher, n_id=ids, negatives=ids[:, None][:, :0])


class TestCRD(Behaviour):
    cases: ClassVar = {
        "CRD": Case(partial(remembering, CRD), widths=(3, 5), facts=facts, refused_width=OTHER_WIDTH),
    }
