"""Splits and labels: every usual form gives the same, or is refused by name, wherever they are read."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd import Distiller
from graphkd.gnn.cpf import PLP
from graphkd.gnn.glnn import GLNNBatches
from graphkd.losses import CE
from graphkd.tasks import GraphClassification, NodeClassification, Regression, accuracy, fidelity, hold_out, predict

NODES, CLASSES = 60, 3
INDICES = torch.arange(40, NODES)
MASK = torch.arange(NODES) >= 40


class Echo(nn.Module):
    """Answers that stand in ``x``."""

    def forward(self, x):
        return x


class Pair(nn.Module):
    """A model that must be called in a way of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(NODES, CLASSES)

    def forward(self, x):
        return self.layer(x), x


def data(**entries: torch.Tensor) -> Data:
    """Nodes told apart by their features, each class every third node."""
    given = {"x": torch.eye(NODES), "y": torch.arange(NODES) % CLASSES, "train_mask": MASK, "test_mask": ~MASK}
    edge_index = torch.stack([torch.arange(NODES), torch.arange(NODES).roll(1)])
    return Data(**{**given, "edge_index": edge_index, **entries})


def student() -> nn.Module:
    torch.manual_seed(0)
    return MLP([NODES, CLASSES], dropout=0.0)


HIDDEN = {"nosmog": ("lins.0", "lins.0"), "ffg2m": ("lins.0", "lins.0")}
BRINGS_ITS_STUDENT = ("cpf_ind", "cpf_tra", "tinygnn")


def run(method: str, given: Data, task: NodeClassification) -> graphkd.core.distilled.Distilled:
    torch.manual_seed(0)
    models = [MLP([NODES, 8, CLASSES], dropout=0.0) for _ in range(2)]
    own = None if method in BRINGS_ITS_STUDENT else models[0]
    teacher = None if method == "none" else models[1]
    options = {"epochs": 2, "progress": False, "hidden": HIDDEN.get(method)}
    return graphkd.distil(method, own, teacher, given, task=task, **options)


@pytest.mark.parametrize("method", ["none", "kd", "glnn", "nosmog", "cpf_ind", "cpf_tra", "tinygnn", "ffg2m", "ban"])
@pytest.mark.parametrize("form", ["ids", "ids of 32 bits", "column"])
def test_a_split_in_another_form_gives_the_same_student(method, form):
    masks = {"train_mask": MASK, "val_mask": torch.arange(NODES) < 10, "test_mask": ~MASK}
    forms = {
        "ids": lambda mask: mask.nonzero()[:, 0],
        "ids of 32 bits": lambda mask: mask.nonzero()[:, 0].int(),
        "column": lambda mask: torch.stack([~mask, mask], dim=1),
    }
    other = {name: forms[form](mask) for name, mask in masks.items()}
    one = run(method, data(**masks), NodeClassification())
    two = run(method, data(**other), NodeClassification(split=1 if form == "column" else None))
    assert one.scores == two.scores
    pairs = zip(one.model.state_dict().values(), two.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_ids_train_the_nodes_that_they_name():
    found = {}
    for name, split in (("ids", INDICES), ("mask", MASK)):
        given = data(train_mask=split)
        result = graphkd.distil("glnn", student(), student(), given, label_weight=1.0, epochs=60, progress=False)
        found[name] = predict(result.model, given) == given.y
    assert torch.equal(found["ids"], found["mask"])
    assert found["ids"][INDICES].all()


WRONG = {
    "several splits": (torch.rand(NODES, 10) < 0.5, ValueError, r"'train_mask'.*\(60, 10\).*choose one"),
    "0 and 1 as integers": (MASK.long(), TypeError, r"numbers that are all 0 or 1, as torch\.int64: use \.bool\(\)"),
    "0 and 1 as bytes": (
        MASK.to(torch.uint8),
        TypeError,
        r"boolean mask or node ids, got torch\.uint8: use \.bool\(\)",
    ),
    "0 and 1 as floats": (MASK.float(), TypeError, r"boolean mask or node ids, got torch\.float32: use \.bool\(\)"),
    "too short": (MASK[:50], ValueError, r"'train_mask' must be a mask of 60 rows, got 50"),
    "a negative id": (torch.tensor([3, -1]), ValueError, r"'train_mask' must hold node ids from 0 to 59, got -1 to 3"),
    "an id too large": (
        torch.tensor([3, 60]),
        ValueError,
        r"'train_mask' must hold node ids from 0 to 59, got 3 to 60",
    ),
}


@pytest.mark.parametrize(
    "where", ["distil", "glnn", "nosmog", "loss", "accuracy", "fidelity", "hold_out", "regression"]
)
@pytest.mark.parametrize("form", WRONG)
def test_other_forms_are_refused_by_name(form, where):
    split, error, words = WRONG[form]
    name = {"accuracy": "test_mask", "fidelity": "test_mask", "hold_out": "test_mask"}.get(where, "train_mask")
    given = data(**{name: split})
    doing = {
        "distil": lambda: graphkd.distil("kd", student(), student(), given, epochs=1),
        "glnn": lambda: graphkd.distil("glnn", student(), student(), given, epochs=1),
        "nosmog": lambda: graphkd.distil("nosmog", student(), student(), given, hidden="lins.0", epochs=1),
        "loss": lambda: Distiller(student(), losses=CE(where="train_mask"))(given),
        "accuracy": lambda: accuracy(student(), given),
        "fidelity": lambda: fidelity(student(), student(), given),
        "hold_out": lambda: hold_out(given, share=0.5),
        "regression": lambda: Regression().prepare(given),
    }[where]
    with pytest.raises(error, match=words.replace("'train_mask'", f"'{name}'")):
        doing()


def test_a_negated_mask_must_be_a_mask():
    given = data(train_mask=INDICES)
    with pytest.raises(TypeError, match="must negate a boolean mask"):
        Distiller(student(), losses=CE(where="~train_mask"))(given)


def test_ids_of_the_whole_graph_are_found_in_its_sampled_parts():
    whole = data(train_mask=INDICES, n_id=torch.arange(NODES))
    part = Data(x=whole.x[30:50], y=whole.y[30:50], train_mask=INDICES, n_id=torch.arange(30, 50), batch_size=15)
    ready = NodeClassification().prepare([part])
    assert next(iter(ready))["train_mask"].tolist() == [False] * 10 + [True] * 10


LABELS = {
    "column": lambda y: y[:, None],
    "floats": lambda y: y.float(),
    "column of floats": lambda y: y.double()[:, None],
    "32 bits": lambda y: y.int(),
    "bytes": lambda y: y.to(torch.uint8),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_in_another_form_measure_the_same(form):
    y = torch.arange(4)
    given = Data(x=torch.eye(4), y=LABELS[form](y), test_mask=torch.ones(4, dtype=torch.bool))
    assert accuracy(Echo(), given) == 1.0
    assert NodeClassification().score(Echo(), NodeClassification().prepare(given.update({"train_mask": y >= 0}))) == {
        "accuracy": 1.0
    }


@pytest.mark.parametrize("form", LABELS)
@pytest.mark.parametrize("method", ["none", "glnn", "ban"])
def test_labels_in_another_form_train_the_same(form, method):
    found = []
    for y in (data().y, LABELS[form](data().y)):
        given = (student(), None if method == "none" else student(), data(y=y))
        result = graphkd.distil(method, *given, epochs=3, progress=False)
        found.append((result.scores, torch.cat([p.detach().flatten() for p in result.model.parameters()])))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.eye(NODES)[:, :CLASSES], r"'y' must hold one class id a row, .*got \(60, 3\): for one-hot"),
        (torch.rand(NODES), r"'y' must hold class ids, got torch\.float32 numbers that are not whole"),
        (torch.zeros(NODES - 1, dtype=torch.long), "must hold a label for each of 60 nodes, got 59"),
        (torch.full((NODES,), -1), "'train_mask' selects nodes whose 'y' is negative or NaN"),
        (torch.full((NODES,), float("nan")), "'train_mask' selects nodes whose 'y' is negative or NaN"),
    ],
)
def test_labels_that_are_no_class_ids_are_refused(labels, words):
    with pytest.raises(ValueError, match=words):
        graphkd.distil("none", student(), None, data(y=labels), epochs=1)


def test_unlabelled_nodes_outside_the_split_are_let_in():
    y = torch.where(MASK, data().y, -1)
    given = data(y=y)
    del given.test_mask
    known = data()
    del known.test_mask
    one, two = (graphkd.distil("none", student(), None, each, epochs=2, progress=False) for each in (given, known))
    pairs = zip(one.model.parameters(), two.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(ValueError, match="'train_mask' selects 20 rows without a label, of 20"):
        accuracy(student(), data(y=torch.full((NODES,), float("nan"))), "train_mask")


@pytest.mark.parametrize("measure", [accuracy, lambda model, given: fidelity(model, model, given)])
def test_a_split_without_nodes_is_not_measured(measure):
    given = data(test_mask=torch.zeros(NODES, dtype=torch.bool))
    with pytest.raises(ValueError, match="'test_mask' must select at least one node, it selects none"):
        measure(student(), given)


def test_a_training_split_without_nodes_is_refused():
    with pytest.raises(ValueError, match="'train_mask' must select at least one node"):
        graphkd.distil("none", student(), None, data(train_mask=torch.zeros(NODES, dtype=torch.bool)), epochs=1)


def test_nothing_held_out_is_refused():
    with pytest.raises(ValueError, match=r"a 'share' of 0\.001 of 40 test nodes is none: give a larger one"):
        hold_out(data(), share=0.001)


@pytest.mark.parametrize("layout", ["to_sparse_coo", "to_sparse_csr", "to_sparse_csc"])
def test_hold_out_keeps_features_in_a_sparse_layout(layout):
    want, held = hold_out(data(), share=0.5, seed=3)
    given = data()
    given.x = getattr(given.x, layout)()
    found, also = hold_out(given, share=0.5, seed=3)
    assert torch.equal(also, held)
    assert torch.equal(found.x.to_dense(), want.x)
    assert found.x.layout != torch.strided
    assert set(found.keys()) == set(want.keys())
    assert all(torch.equal(found[name], value) for name, value in want if name != "x")


@pytest.mark.parametrize("form", ["ids", "split"])
def test_hold_out_reads_every_form(form):
    want, held = hold_out(data(), share=0.5, seed=3)
    other = torch.arange(40) if form == "ids" else torch.stack([MASK, ~MASK], dim=1)
    train = MASK if form == "ids" else torch.stack([~MASK, MASK], dim=1)
    given = data(test_mask=other, train_mask=train)
    found, also = hold_out(given, share=0.5, seed=3, split=None if form == "ids" else 1)
    assert torch.equal(held, also)
    assert torch.equal(want.test_mask, found.test_mask)
    assert torch.equal(want.train_mask, found.train_mask)
    assert given.test_mask is other


def test_answers_that_are_not_finite_are_not_measured():
    given = Data(x=torch.full((4, 3), float("nan")), y=torch.zeros(4).long(), test_mask=torch.ones(4).bool())
    for measure in (lambda: accuracy(Echo(), given), lambda: fidelity(Echo(), Echo(), given)):
        with pytest.raises(ValueError, match="the model's answers must be finite, got 12 NaN or infinite of 12"):
            measure()


def test_one_logit_is_no_choice_between_classes():
    given = data(test_mask=MASK)
    for measure in (lambda m: accuracy(m, given), lambda m: fidelity(m, m, given)):
        with pytest.raises(ValueError, match=r"a score for each of two classes at least, \(N, C\), got \(60, 1\)"):
            measure(MLP([NODES, 1]))


def test_a_model_that_pools_all_graphs_is_refused():
    class Pooled(nn.Module):
        def forward(self, x):
            return x.mean(dim=0, keepdim=True)

    batch = {"x": torch.randn(8, 3), "y": torch.zeros(4).long()}
    with pytest.raises(
        ValueError, match="the model must answer each of 4 graphs, got 1 rows: pool its nodes by 'batch'"
    ):
        GraphClassification(test=[batch]).score(Pooled(), None)


def test_fidelity_of_models_with_a_call_of_their_own():
    given, model = data(), Pair()
    call = lambda model, batch: model(batch.x)[0]  # noqa: E731
    same = fidelity(model, model, given, call=call)
    assert same.agreement == 1.0
    assert same.kl == pytest.approx(0.0, abs=1e-12)
    by_pair = fidelity(student(), model, given, call=(None, call))
    by_teacher = fidelity(student(), graphkd.Frozen(model, call=call), given)
    assert by_pair == by_teacher
    assert fidelity(student(), graphkd.Cached(model, given, call=call), given) == by_teacher


def test_modes_of_all_parts_are_restored():
    model = MLP([NODES, 8, CLASSES], dropout=0.5)
    model.train()
    model.norms.eval()
    modes = [part.training for part in model.modules()]
    accuracy(model, data())
    assert [part.training for part in model.modules()] == modes


def test_parts_of_methods_read_every_form():
    given = data()
    assert torch.equal(GLNNBatches(given.x, given.y, MASK).labelled, INDICES)
    assert torch.equal(PLP(NODES, CLASSES, given.y, INDICES).known, MASK)
    for wrong in (MASK.to(torch.uint8), MASK.float(), MASK.long()):
        with pytest.raises(TypeError, match="'known' must be a boolean mask or node ids"):
            PLP(NODES, CLASSES, given.y, wrong)
        with pytest.raises(TypeError, match="'labelled' must be a boolean mask or node ids"):
            GLNNBatches(given.x, given.y, wrong)
