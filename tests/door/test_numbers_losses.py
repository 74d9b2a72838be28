"""Rows of zeros, equal rows, half precision, large numbers and no rows: every loss stays within bounds.

All cases of ``tests.losses.behaviour`` are run, of which each public loss has one. What is asked for is a bound, not
that numbers are finite: a gradient of 1e11 is finite and ends a run.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from graphkd.losses import (
    AB,
    AT,
    CC,
    CIRKD,
    CMPC,
    CMPM,
    CRD,
    DIST,
    FT,
    GCRD,
    GSP,
    IRG,
    KD4MTL,
    KL,
    LSP,
    NST,
    PKT,
    QMI,
    RSD,
    SP,
    VSD,
    CIRKDMemory,
    DarkRank,
    FitNet,
    HiddenCosine,
    InfoNCE,
    InterRegionAffinity,
    IRGEdgeTransform,
    IRGTransform,
    ITRDCorrelation,
    LogitMSE,
    LogitsGraph,
    SoftBCE,
    attention_transfer,
    cross_entropy,
    gcrd,
    imitation_weights,
    soft_label_distance,
)
from tests.kernels.graphs import EXAMPLE
from tests.losses.behaviour import every_case
from tests.losses.scene import Scene, evaluate, made, slope

CASES = every_case()
HALF = (torch.float16, torch.bfloat16)
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def largest(x):
    return float(x.abs().max()) if x.numel() else 0.0


def scene_of(case, dtype=torch.float32, **changed):
    """A case's example with other rows."""
    scene = Scene.of(case, dtype=dtype)
    student = changed.pop("student", scene.student).detach().clone().requires_grad_()
    return replace(scene, student=student, **changed)


def pulled(case, **changed):
    """Largest entry of the gradient; finite."""
    found = slope(made(case, torch.float32), scene_of(case, **changed))
    assert found.isfinite().all()
    return largest(found)


def with_first(x, size):
    """The first row times a size."""
    return torch.cat([size * x[:1], x[1:]])


# ---------------------------------------------------------------- rows of zeros
@each_case
@pytest.mark.parametrize("sides", [("student",), ("teacher",), ("student", "teacher")], ids="-".join)
def test_a_row_of_zeros_pulls_no_more_than_a_small_one(case, sides):
    """Four times, since what does not divide by lengths may pull a little more at 0 than beside it."""
    scene = Scene.of(case, dtype=torch.float32)

    def at(size):
        return pulled(case, **{side: with_first(getattr(scene, side).detach(), size) for side in sides})

    assert at(0.0) <= 4 * max(at(1e-3), at(1.0))


@each_case
def test_no_row_but_zeros_pulls_no_more_than_small_ones(case):
    student = Scene.of(case, dtype=torch.float32).student.detach()
    assert pulled(case, student=0 * student) <= 2 * max(pulled(case, student=1e-3 * student), pulled(case))


THREE = torch.tensor([[1.0, 0.2], [0.1, 1], [0.5, 0.5]])


@pytest.mark.parametrize(
    "loss",
    [
        GSP(),
        GSP("poly"),
        CC(),
        CC("bilinear"),
        DarkRank(),
        HiddenCosine(),
        DIST(),
        SP(),
        PKT(),
        PKT.survey(),
        CIRKD(),
        GCRD(),
        InfoNCE(),
        FitNet(normalise=True),
        CMPM(),
        NST(),
        IRG(),
        KD4MTL(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_one_isolated_node_without_features(loss):
    pulls = []
    for size in (0.0, 1e-3):
        student = torch.tensor([[size, 0.0], [1, 0.5], [0.3, 1]], requires_grad=True)
        loss(student, THREE).backward()
        pulls.append(largest(student.grad))
    assert pulls[0] <= 1.01 * pulls[1]


@pytest.mark.parametrize("kernel", ["cosine", "poly", "euclidean", "rbf"])
def test_one_isolated_node_beside_its_neighbours(kernel):
    edge_index, loss, pulls = torch.tensor([[0, 1, 2, 0, 1], [1, 0, 1, 0, 2]]), LSP.efficient_gnns(kernel), []
    for size in (0.0, 1e-3):
        student = torch.tensor([[size, 0.0], [1, 0.5], [0.3, 1]], requires_grad=True)
        loss(student, THREE, edge_index=edge_index).backward()
        pulls.append(largest(student.grad))
    assert pulls[0] <= 1.01 * pulls[1]


def test_zero_rows_of_potentials_have_no_gradient():
    student = torch.tensor([[0.0, 0.0], [1, 0.5], [0.3, 1]], requires_grad=True)
    QMI()(student, THREE, y=torch.tensor([0, 0, 1])).backward()
    assert not student.grad[0].any()
    assert student.grad[1].any()


def test_the_published_length_of_gcrd_is_there_when_asked_for():
    student = torch.tensor([[0.0, 0.0], [1, 0.5], [0.3, 1]], requires_grad=True)
    values = [gcrd(student, THREE, eps=eps) for eps in (0.0, 1e-12)]
    torch.testing.assert_close(values[0], values[1])
    guarded, published = (torch.autograd.grad(value, student)[0] for value in values)
    torch.testing.assert_close(guarded[1:], published[1:])
    assert not guarded[0].any()
    assert largest(published[0]) > 1e10


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5, 2.0])
def test_a_dead_unit_has_no_slope_whatever_the_power(power):
    student = torch.tensor([[0.0, 2.0], [1.0, 0.0]], requires_grad=True)
    attention_transfer(student, torch.randn(2, 3), power).backward()
    assert student.grad.isfinite().all()
    assert not student.grad[[0, 1], [0, 1]].any()


# ---------------------------------------------------------------- equal rows
@each_case
@pytest.mark.parametrize("offset", [0.1, 100.0])
def test_equal_rows_pull_as_ordinary_ones(case, offset):
    """Of a collapsed student, and of one that starts at a constant."""
    student = Scene.of(case, dtype=torch.float32).student.detach()
    usual = max(pulled(case), pulled(case, student=1.37 * student + offset), 1e-3)
    assert pulled(case, student=(1.37 * student[:1] + offset).expand_as(student)) <= 100 * usual
    assert pulled(case, student=torch.full_like(student, 1 + offset)) <= 100 * usual


@each_case
def test_a_collapsed_teacher_pulls_as_an_ordinary_one(case):
    scene = Scene.of(case, dtype=torch.float32)
    teacher = scene.teacher[:1].expand_as(scene.teacher).contiguous()
    assert pulled(case, teacher=teacher) <= 100 * max(pulled(case), 1e-3)
    equal = scene.student.detach()[:1].expand_as(scene.student)
    assert pulled(case, teacher=teacher, student=equal) <= 100 * max(pulled(case), 1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_constant_correlates_with_nothing(dtype):
    """DIST's correlation of a constant is 0, with gradient 0: here of all rows and columns."""
    student, teacher = torch.ones(6, 4, dtype=dtype, requires_grad=True), torch.randn(6, 4).to(dtype)
    value = DIST()(student, teacher)
    value.backward()
    assert value == 2
    assert not student.grad.any()


def test_constant_channels_are_not_correlated():
    student, teacher = torch.randn(6, 3), torch.randn(6, 3)
    student[:, 1] = 0.1
    student.requires_grad_()
    ITRDCorrelation()(student, teacher).backward()
    assert not student.grad[:, 1].any()
    assert 0 < largest(student.grad) < 10


@pytest.mark.parametrize("value", [1.37, 60.1, 1e3])
@pytest.mark.parametrize("literal", [False, True])
def test_regions_of_equal_rows_have_no_spread(value, literal):
    student = torch.full((7, 4), value)
    student[:, 2] *= 1.1
    student.requires_grad_()
    loss = InterRegionAffinity("given", literal=literal)
    y = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    found = loss(student, torch.randn(7, 5), regions=y)
    found.backward()
    assert found <= 4 / 3
    assert largest(student.grad) <= 1


@pytest.mark.parametrize("scale", ["max", "mean", "none"])
@pytest.mark.parametrize("constant", [True, False])
def test_a_collapsed_layer_moves_no_edge(scale, constant):
    torch.manual_seed(0)
    teacher = torch.randn(6, 3), torch.randn(6, 3)
    for layers in ((torch.full((6, 3), 1.37), teacher[1]), (teacher[0], torch.full((6, 3), 60.1))):
        student = [layer.clone().requires_grad_() for layer in layers]
        IRGEdgeTransform(scale, constant=constant)(tuple(student), teacher).backward()
        usual = [layer.clone().requires_grad_() for layer in (torch.randn(6, 3), torch.randn(6, 3))]
        IRGEdgeTransform(scale, constant=constant)(tuple(usual), teacher).backward()
        assert max(largest(x.grad) for x in student) <= 100 * max(largest(x.grad) for x in usual)


def test_equal_errors_of_a_teacher_earn_equal_weights():
    """Up to rounding, of which the range is no range."""
    teacher, y = torch.tensor([[1.1], [2.1], [3.1], [1e3 + 0.1]]), torch.tensor([[1.0], [2.0], [3.0], [1e3]])
    assert torch.equal(imitation_weights(teacher[:3], y[:3], clamp=False), torch.ones(3))


# ---------------------------------------------------------------- half precision
@each_case
@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_is_float32_to_its_rounding(case, dtype):
    """Of the same numbers, at ordinary sizes and with a row of zeros; with a loss's own layers in half precision."""
    rounding = {torch.float16: 4e-3, torch.bfloat16: 3e-2}[dtype]
    for scale, first in ((60.0, 1.0), (1.0, 0.0)):
        scene = Scene.of(case, dtype=torch.float32)
        sides = [(scale * with_first(x.detach(), first)).to(dtype) for x in (scene.student, scene.teacher)]
        narrow, wide = made(case, torch.float32).to(dtype), made(case, torch.float32).to(dtype).float()
        half = scene_of(case, dtype, student=sides[0], teacher=sides[1])
        full = scene_of(case, student=sides[0].float(), teacher=sides[1].float())
        got, want = evaluate(narrow, half).float(), evaluate(wide, full)
        torch.testing.assert_close(got, want, rtol=rounding, atol=rounding)
        (pull,), (usual,) = torch.autograd.grad(got, half.student), torch.autograd.grad(want, full.student)
        shown = usual.abs() < torch.finfo(dtype).max / 2
        assert pull[shown].isfinite().all()
        assert largest((pull.float() - usual)[shown]) <= 20 * rounding * max(largest(usual[shown]), 1e-3)


@each_case
def test_autocast_to_float16(case):
    loss, scene = made(case, torch.float32), scene_of(case)
    scene = replace(scene, student=scene.student.detach().requires_grad_())
    want = evaluate(loss, scene).detach()
    with torch.autocast("cpu", torch.float16):
        got = evaluate(loss, scene)
    (pull,) = torch.autograd.grad(got, scene.student)
    assert pull.isfinite().all()
    torch.testing.assert_close(got.detach().float(), want, rtol=0.02, atol=1e-4)


def test_attention_of_large_activations_in_float16():
    torch.manual_seed(0)
    student, teacher = (60 * torch.randn(64, 8).half() for _ in range(2))
    torch.testing.assert_close(AT()(student, teacher), AT()(student.float(), teacher.float()), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    "loss", [HiddenCosine(), FitNet(normalise=True), DIST(), ITRDCorrelation()], ids=lambda loss: type(loss).__name__
)
def test_a_dead_row_in_float16(loss):
    torch.manual_seed(0)
    dead, teacher = torch.randn(4, 3).half(), torch.randn(4, 3).half()
    dead[0] = 0
    torch.testing.assert_close(loss(dead, teacher), loss(dead.float(), teacher.float()), rtol=1e-3, atol=1e-4)


def test_errors_of_ten_thousand_in_float16():
    student, teacher = torch.full((4, 3), 1e4).half(), torch.zeros(4, 3).half()
    torch.testing.assert_close(LogitMSE()(student, teacher), torch.tensor(1.5e8))


def test_sums_of_many_rows_in_float16():
    """Each term fits, their sum does not."""
    student, y = torch.full((20_000, 2), 4.0).half(), torch.zeros(20_000, dtype=torch.long)
    student[:, 0] = -4
    torch.testing.assert_close(cross_entropy(student, y), cross_entropy(student.float(), y))


# ---------------------------------------------------------------- large numbers
LARGE = {name: case for name, case in CASES.items() if "CC_cubic" not in name}  # whose value is beyond float32 there


@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE)
def test_a_thousand_times_ordinary_rows(case):
    """No value and no gradient is lost to overflow."""
    scene = Scene.of(case, dtype=torch.float32)
    for student, teacher in ((1e3, 1.0), (1e3, 1e3)):
        rows = {"student": student * scene.student.detach(), "teacher": teacher * scene.teacher}
        assert evaluate(made(case, torch.float32), scene_of(case, **rows)).isfinite()
        pulled(case, **rows)


def test_a_code_of_large_logits():
    torch.manual_seed(0)
    student, teacher = (1e3 * torch.randn(4, 3)).requires_grad_(), torch.randn(4, 3)
    value = VSD(form="code")(student, teacher)
    torch.testing.assert_close(value.double(), VSD(form="code")(student.double(), teacher.double()), rtol=1e-5, atol=0)
    (pull,) = torch.autograd.grad(value, student)
    assert largest(pull) <= 1


@pytest.mark.parametrize("gap", [1.0, 20.0, 40.0, 200.0])
def test_the_logarithm_of_what_is_left_of_one(gap):
    """Of 1 - p where p is near 1, from logits: the float64 value, in float32 too."""
    one, other = torch.tensor([[gap / 2, -gap / 2, 0]]), torch.tensor([[-gap / 2, gap / 2, 0]])
    got = soft_label_distance(one, other, "bce")
    torch.testing.assert_close(
        got.double(), soft_label_distance(one.double(), other.double(), "bce"), rtol=1e-6, atol=0
    )
    if gap >= 20:
        torch.testing.assert_close(got, torch.tensor(2 * gap / 3 - gap / 6), rtol=0.05, atol=0)


@pytest.mark.parametrize("scale", [1e-5, 1e3, 1e5])
@pytest.mark.parametrize("power", [0.5, 2.0, 4.0])
def test_attention_does_not_see_a_scale(scale, power):
    torch.manual_seed(0)
    student, teacher = torch.randn(6, 3), torch.randn(6, 5)
    want = attention_transfer(student, teacher, power)
    torch.testing.assert_close(attention_transfer(scale * student, teacher, power), want, rtol=1e-4, atol=1e-7)


# ---------------------------------------------------------------- no rows
@each_case
@pytest.mark.parametrize(("dtype", "digested"), [(torch.float32, True), (torch.float16, False)])
def test_no_rows_are_a_loss_of_0(case, dtype, digested):
    """That can be differentiated, leaves layers of the loss where they were, and is over before the next batch."""
    scene = Scene.of(case, dtype=dtype)
    loss, facts = made(case, dtype), {}
    for name, fact in scene.batch.items():
        facts[name] = fact[:0] if fact.dim() and fact.size(0) == EXAMPLE.num_nodes else fact
    if "edge_index" in facts:
        facts["edge_index"] = torch.zeros(2, 0, dtype=torch.long)
    student = scene.student.detach()[:0].requires_grad_()
    value = evaluate(loss, Scene(student, scene.teacher[:0], facts), digested=digested)
    assert value == 0
    value.backward()
    assert student.grad is not None
    assert not any(largest(p.grad) for p in loss.parameters() if p.grad is not None)
    assert evaluate(loss, scene).isfinite()


@pytest.mark.parametrize("loss", [KL(), SoftBCE(), LogitsGraph(), DIST()], ids=lambda loss: type(loss).__name__)
def test_answers_of_no_rows(loss):
    student = torch.zeros(0, 3, requires_grad=True)
    loss(student, torch.zeros(0, 3)).backward()
    assert student.grad.shape == (0, 3)


@pytest.mark.parametrize(
    "loss",
    [AB(3, 5), GCRD(3, 5, 4), GCRD(3, 5, 4, graph=True), CIRKDMemory(9, 3, 5)],
    ids=["AB", "GCRD", "GCRD_graph", "CIRKDMemory"],
)
def test_one_row_is_a_batch(loss):
    """Batch norm has no statistics of one row: it takes the running ones."""
    student, known = torch.randn(1, 3, requires_grad=True), set(loss._known["forward"])
    facts = {"edge_index": torch.zeros(2, 0, dtype=torch.long), "n_id": torch.tensor([4])}
    loss(student, torch.randn(1, 5), **{name: fact for name, fact in facts.items() if name in known}).backward()
    assert student.grad.isfinite().all()
    assert largest(student.grad) < 1e3


def test_layers_say_which_side_is_of_another_width():
    for loss in (CRD(9, 3, 5), RSD(3), FT(3, 5), CMPC(2, 3)):
        facts = {"y": torch.zeros(4, dtype=torch.long), "n_id": torch.arange(4)}
        known = {name: fact for name, fact in facts.items() if name in loss._known["forward"]}
        with pytest.raises(ValueError, match=r"'(student|teacher|weight)' must be as wide as"):
            loss(torch.randn(4, 6), torch.randn(4, 6), **known)


def test_one_object_that_moves_alone_is_compared():
    """Its movement over the largest, its own, is 1, like the teacher's."""
    layers = torch.randn(1, 3, requires_grad=True), torch.randn(1, 3)
    value = IRGTransform()(layers, (torch.randn(1, 4), torch.randn(1, 4)))
    value.backward()
    assert value == 0
    assert not layers[0].grad.any()
