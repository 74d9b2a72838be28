"""A loss gets answers of its kind: logits of classes, or of labels apart; (N,) is (N, 1)."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd import Distiller, Ensemble, Frozen, Loss, fit
from graphkd.core.view import Viewer
from graphkd.losses import (
    AT,
    BCE,
    CC,
    CE,
    DIST,
    DKD,
    GSP,
    HKD,
    KL,
    LSP,
    NCKD,
    PKT,
    RKD,
    SP,
    VCD,
    VID,
    VML,
    VSD,
    AttentiveImitation,
    ConditionalTS,
    ConfidenceWeighted,
    Consistency,
    FeatureDistance,
    FitNet,
    GuardedKL,
    HighFrequency,
    InterRegionAffinity,
    LabelSmoothing,
    LogitMSE,
    LogitsGraph,
    LowFrequency,
    PseudoLabel,
    SoftBCE,
    SoftCE,
    SoftLabelDistance,
    SquaredError,
    TeacherBounded,
    VirtualTeacher,
)
from graphkd.schemes import Exits, Peers, Together, each_other, soft_target
from graphkd.tasks import NodeClassification
from graphkd.tasks.metrics import fidelity
from tests.core.models import gcn, graph

ROWS = 20
EDGES = torch.randint(ROWS, (2, 60), generator=torch.Generator().manual_seed(0))


def shown(width: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(ROWS, width, generator=torch.Generator().manual_seed(seed))


def facts(loss: Loss, width: int) -> dict:
    """Those that a loss needs of a batch."""
    known = {"y": torch.arange(ROWS) % width, "edge_index": EDGES}
    return {name: known[name] for name, needed in loss._known["forward"].items() if needed}


def value(loss: Loss, student, teacher) -> torch.Tensor:
    """A loss on two entries, each standing for as many as it reads."""
    entries = [entry if isinstance(entry, tuple) else (entry,) for entry in (student, teacher)]
    width = entries[0][-1].size(-1) if entries[0][-1].dim() > 1 else 1
    pair = [entry[0] if isinstance(loss.on, str) else entry for entry in entries]
    return loss(*(pair if loss.needs_teacher else pair[:1]), **facts(loss, max(width, 2)))


def several(loss: Loss, entry: torch.Tensor) -> torch.Tensor | tuple:
    """An entry as a loss reads it: a pair where it reads two."""
    if isinstance(loss.on, str):
        return entry
    return (shown(4, 9), entry) if isinstance(loss, (HKD, InterRegionAffinity)) else (entry, entry.clone())


# Losses that soften logits of classes, and those among them that have no teacher.
SOFT = {
    "KL": lambda: KL(4.0),
    "DKD": DKD,
    "NCKD": NCKD,
    "SoftCE": SoftCE,
    "ConditionalTS": ConditionalTS,
    "ConfidenceWeighted": ConfidenceWeighted,
    "Consistency": Consistency,
    "DIST": DIST,
    "GuardedKL": GuardedKL,
    "PseudoLabel": PseudoLabel,
    "SoftLabelDistance": SoftLabelDistance,
    "VSD": VSD,
    "VCD": VCD,
    "VML": VML,
    "HighFrequency": HighFrequency,
    "LowFrequency": LowFrequency,
    "HKD": lambda: HKD(ROWS, 4, 4, 4, negatives=4),
    "LogitsGraph": LogitsGraph,
    "InterRegionAffinity of chances": lambda: InterRegionAffinity("soft"),
}
SUPERVISED = {"CE": CE, "LabelSmoothing": LabelSmoothing, "VirtualTeacher": VirtualTeacher}


# ------------------------------------------------------------- one logit
@pytest.mark.parametrize("make", [*SOFT.values(), *SUPERVISED.values()], ids=[*SOFT, *SUPERVISED])
@pytest.mark.parametrize("form", [lambda x: x, lambda x: x[:, 0]], ids=["(N, 1)", "(N,)"])
def test_one_logit_has_no_classes(make, form):
    loss = make()
    student, teacher = (several(loss, form(shown(1, seed))) for seed in range(2))
    with pytest.raises(ValueError, match=r"must have \d classes at least, got width 1: for one logit .* use SoftBCE"):
        value(loss, student, teacher)


def test_two_classes_leave_nothing_besides_the_labels():
    with pytest.raises(ValueError, match="NCKD: 'student' must have 3 classes at least, got width 2"):
        value(NCKD(), shown(2), shown(2, 1))
    assert value(DKD(), shown(2), shown(2, 1)) > 0


def test_rules_and_figures_of_one_logit_are_refused():
    with pytest.raises(ValueError, match="soft_target: 'teachers' must have 2 classes at least, got width 1"):
        soft_target(torch.randn(3, 5, 1))
    data = graph()
    teacher = Ensemble([MLP([6, 1]), MLP([6, 1])], soft_target)
    with pytest.raises(ValueError, match="soft_target: 'teachers' must have 2 classes at least"):
        Distiller(MLP([6, 1]), teacher, SoftBCE())(data)
    with pytest.raises(ValueError, match="a score for each of two classes at least"):
        fidelity(MLP([6, 1]), MLP([6, 1]), data)


# ------------------------------------------------------------- several labels a row
def multi_label() -> Data:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(ROWS, 8, generator=generator), torch.rand(ROWS, 5, generator=generator) < 0.5
    return Data(x=x, y=y.float(), edge_index=EDGES)


@pytest.mark.parametrize(
    "make", [make for name, make in SOFT.items() if name not in ("HKD", "InterRegionAffinity of chances", "VCD")]
)
def test_classes_that_exclude_each_other_are_not_several_labels(make):
    task = Distiller(MLP([8, 5]), MLP([8, 5]), {"soft": make()})
    with pytest.raises(ValueError, match=r"is for classes that exclude each other, got labels 'y' .* use SoftBCE"):
        task(multi_label())


@pytest.mark.parametrize("make", SUPERVISED.values(), ids=SUPERVISED)
def test_supervised_losses_of_several_labels_name_theirs(make):
    with pytest.raises(ValueError, match=r"is for classes that exclude each other, got labels 'y' .* use BCE"):
        Distiller(MLP([8, 5]), losses=make())(multi_label())


@pytest.mark.parametrize("form", [lambda y: y.bool(), lambda y: y.long(), lambda y: y.masked_fill(y == 0, torch.nan)])
def test_several_labels_in_other_forms(form):
    data = multi_label()
    data.y[0] = 1
    data.y = form(data.y)
    with pytest.raises(ValueError, match="use SoftBCE"):
        Distiller(MLP([8, 5]), MLP([8, 5]), KL())(data)


def test_labels_apart_are_what_bce_and_soft_bce_are_for():
    data = multi_label()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(Distiller(MLP([8, 5]), MLP([8, 5]), BCE() + SoftBCE()), data, epochs=1, progress=False)


def test_one_hot_labels_exclude_each_other():
    data = multi_label()
    data.y = torch.eye(5)[torch.arange(ROWS) % 5]
    assert Distiller(MLP([8, 5]), MLP([8, 5]), KL())(data).loss > 0
    with pytest.raises(ValueError, match=r"for one-hot labels use y.argmax\(1\)"):
        Distiller(MLP([8, 5]), losses=CE())(data)


def test_features_of_the_labels_width_are_no_answers():
    task = Distiller(MLP([8, 5, 5]), MLP([8, 5, 5]), BCE() + FitNet(), taps={"hidden": "lins.0"})
    assert task(multi_label()).loss.isfinite()


def test_peers_and_exits_refuse_several_labels():
    data, models = multi_label(), [MLP([8, 6, 5]) for _ in range(2)]
    with pytest.raises(ValueError, match="KL is for classes that exclude each other"):
        Peers(models, each_other, labels=BCE())(data)
    with pytest.raises(ValueError, match="KL is for classes that exclude each other"):
        Exits(models[0], ["lins.0"], data, labels=BCE())(data)


@pytest.mark.parametrize("name", ["kd", "dml", "takd", "glnn"])
def test_methods_refuse_several_labels(name):
    settings = {"assistants": [MLP([8, 5])]} if name == "takd" else {}
    with pytest.raises(ValueError, match="several labels a row SoftBCE, BCE and a multi-label task"):
        graphkd.distil(name, MLP([8, 5]), MLP([8, 5]), multi_label(), task=NodeClassification(), epochs=1, **settings)


# ------------------------------------------------------------- probabilities
@pytest.mark.parametrize("make", SOFT.values(), ids=SOFT)
@pytest.mark.parametrize("side", ["student", "teacher"])
def test_probabilities_are_no_logits(make, side):
    loss = make()
    logits = {"student": shown(5), "teacher": shown(5, 1)}
    logits[side] = logits[side].softmax(1)
    words = rf"'{side}' must be logits, got probabilities, rows that sum to 1: give their \.log\(\)"
    with pytest.raises(ValueError, match=words):
        value(loss, *(several(loss, entry) for entry in logits.values()))
    logits[side] = logits[side].log()
    assert value(make(), *(several(loss, entry) for entry in logits.values())).isfinite()


@pytest.mark.parametrize("make", SUPERVISED.values(), ids=SUPERVISED)
def test_a_student_that_ends_in_softmax_is_refused(make):
    with pytest.raises(ValueError, match="'student' must be logits, got probabilities"):
        value(make(), shown(5).softmax(1), None)


@pytest.mark.parametrize(
    "chances",
    [
        lambda x: (x / 1e-3).softmax(1),
        lambda x: torch.eye(5)[x.argmax(1)],
        lambda x: x.double().softmax(1),
        lambda x: x.half().softmax(1),
        lambda x: x.bfloat16().softmax(1),
        lambda x: x.softmax(1)[:1],
        lambda x: x.softmax(1).round(decimals=5),
    ],
    ids=["saturated", "one-hot", "float64", "float16", "bfloat16", "one row", "rounded"],
)
def test_probabilities_in_other_forms(chances):
    given = chances(shown(5))
    with pytest.raises(ValueError, match="'teacher' must be logits, got probabilities"):
        KL()(shown(5, 1)[: len(given)].to(given.dtype), given)


def test_other_rows_are_no_probabilities():
    for logits in (shown(5), shown(5).relu(), torch.zeros(ROWS, 5), shown(5).sigmoid(), shown(5)[:0].softmax(1)):
        assert KL()(shown(5, 1)[: len(logits)], logits).isfinite()


def test_they_are_looked_for_in_the_first_batch_that_has_rows():
    loss, looked = KL(), shown(5, 1).softmax(1)
    loss(shown(5)[:0], looked[:0])
    with pytest.raises(ValueError, match="got probabilities"):
        loss(shown(5), looked)
    loss(shown(5), shown(5, 1))
    assert loss(shown(5), looked).isfinite()  # once


def test_a_cached_teacher_that_ends_in_softmax_is_refused():
    data = graph()
    teacher = nn.Sequential(MLP([6, 3]), nn.Softmax(1))
    call = lambda model, batch: model(batch["x"])  # noqa: E731
    for loss in (KL(4.0), SoftLabelDistance(), LowFrequency()):
        with pytest.raises(ValueError, match="'teacher' must be logits, got probabilities"):
            Distiller(gcn(), graphkd.Cached(teacher, data, call=call), loss)(data)


def test_a_member_of_an_ensemble_that_ends_in_softmax_is_refused():
    data, ends = graph(), lambda model, batch: model(batch["x"]).softmax(1)
    with pytest.raises(ValueError, match="'teacher' must be logits, got probabilities"):
        Distiller(gcn(), Ensemble([Frozen(MLP([6, 3]), call=ends)]), KL())(data)

    class Ends(MLP):
        def forward(self, x):
            return super().forward(x).softmax(1)

    with pytest.raises(ValueError, match=r"Together: 'models\[1\]' must be logits, got probabilities"):
        Viewer(Together([MLP([6, 3]), Ends([6, 3])]))(data)


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_labels_apart_are_logits_too(side):
    logits = {"student": shown(5), "teacher": shown(5, 1)}
    logits[side] = logits[side].sigmoid()
    with pytest.raises(
        ValueError, match=rf"'{side}' must be logits, got numbers that are all in \[0, 1\], as a sigmoid"
    ):
        SoftBCE()(**logits)
    logits[side] = logits[side].logit()
    assert SoftBCE()(**logits).isfinite()


def test_a_student_that_ends_in_a_sigmoid_is_refused():
    with pytest.raises(ValueError, match=r"BCE: 'student' must be logits, got numbers that are all in \[0, 1\]"):
        BCE()(shown(1).sigmoid(), y=torch.ones(ROWS))
    assert BCE()(torch.zeros(ROWS, 1), y=torch.ones(ROWS)).isfinite()


def test_a_loss_of_ones_own_says_what_it_softens():
    class Mine(Loss):
        answers = "classes"

        def forward(self, student, teacher):
            return (student.softmax(1) - teacher.softmax(1)).square().sum()

    with pytest.raises(ValueError, match="Mine: 'student' must be logits, got probabilities"):
        Mine()(shown(5).softmax(1), shown(5))
    with pytest.raises(ValueError, match="Mine is for classes that exclude each other"):
        Distiller(MLP([8, 5]), MLP([8, 5]), Mine())(multi_label())


# ------------------------------------------------------------- one number a row
FLAT = {
    "LogitMSE": LogitMSE,
    "SoftBCE": SoftBCE,
    "BCE": BCE,
    "FitNet": FitNet,
    "FeatureDistance": FeatureDistance,
    "RKD": RKD,
    "SP": SP,
    "AT": AT,
    "CC": CC,
    "PKT": PKT,
    "GSP": GSP,
    "LSP": LSP,
    "VID": lambda: VID(1, 1, 4),
    "SquaredError": SquaredError,
    "TeacherBounded": TeacherBounded,
    "AttentiveImitation": AttentiveImitation,
}


@pytest.mark.parametrize("make", FLAT.values(), ids=FLAT)
def test_one_number_a_row_is_a_column(make):
    torch.manual_seed(0)
    loss = make()
    student, teacher, y = shown(1), shown(1, 1), (shown(1, 2) > 0).float()
    known = {"y": y, "edge_index": EDGES}
    given = {name: known[name] for name, needed in loss._known["forward"].items() if needed}
    flat = {name: fact[:, 0] if name == "y" else fact for name, fact in given.items()}
    sides = (student, teacher) if loss.needs_teacher else (student,)
    torch.manual_seed(1)
    want = loss(*sides, **given)
    for flattened in (given, flat):
        torch.manual_seed(1)
        assert loss(*(side[:, 0] for side in sides), **flattened) == want
    torch.manual_seed(1)
    assert loss(*sides, **flat) == want


def test_scores_of_edges_are_distilled():
    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(8, 4)

        def forward(self, x, edge_label_index):
            source, target = self.lin(x)[edge_label_index]
            return (source * target).sum(1)

    data = multi_label()
    data.edge_label_index, data.y = EDGES, (torch.arange(60) % 2).float()
    step = Distiller(Scores(), Scores(), BCE() + SoftBCE() + LogitMSE())(data)
    step.loss.backward()
    assert set(step.terms) == {"bce", "softbce", "logitmse"}


def test_a_flat_hidden_layer_is_compared_through_a_cached_digest():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Flatten(0)
            self.lin = nn.Linear(6, 1)

        def forward(self, x):
            return self.first(self.lin(x))[:, None].expand(-1, 3)

    data, models = graph(), (Flat(), Flat())
    for loss in (RKD(), SP(), LSP(), GSP()):
        seen = [
            float(Distiller(models[0], wrap(models[1]), loss, taps={"hidden": "first"})(data).loss.detach())
            for wrap in (Frozen, graphkd.Cached)
        ]
        assert seen[0] == seen[1]


def test_entries_of_a_loss_of_ones_own_stay_as_they_are():
    class Mine(Loss):
        def forward(self, student, teacher):
            assert student.shape == teacher.shape == (ROWS,)
            return (student - teacher).square().mean()

    assert Mine()(shown(1)[:, 0], shown(1, 1)[:, 0]) > 0
