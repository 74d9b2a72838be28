"""A loss reads the rows that it should: labelled ones, seeds of a sampled batch, and what ``where`` says of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GAT, MLP, GraphSAGE

import graphkd
from graphkd import Cached, Distiller, Loss, fit
from graphkd.losses import BCE, CE, DKD, GCRD, GKD, GSP, HKD, KL, LSP, NCKD, FitNet, LabelSmoothing, SupervisedPKT
from graphkd.tasks.metrics import accuracy
from tests.core.models import Labels, gcn, graph

ROWS = 10


def sampled(**entries) -> Data:
    """Two seeds with their neighbours 2 to 9, whose own neighbours were not sampled."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.stack([torch.arange(2, ROWS), torch.arange(2, ROWS) % 2])
    x, y = torch.randn(ROWS, 6, generator=generator), torch.arange(ROWS) % 3
    return Data(x=x, edge_index=edges, y=y, batch_size=2, **entries)


def views(width: int = 3) -> tuple[dict, dict]:
    generator = torch.Generator().manual_seed(1)
    shown = [torch.randn(ROWS, width, generator=generator) for _ in range(4)]
    return {"logits": shown[0], "hidden": shown[1]}, {"logits": shown[2], "hidden": shown[3]}


def measured(loss, batch, shown=None):
    student, teacher = shown or views()
    return loss.measure(student, loss.digest_view(teacher, batch) if loss.needs_teacher else None, batch)


def at(rows, shown=None):
    """The same entries, of some rows."""
    return tuple({name: rows_[rows] for name, rows_ in side.items()} for side in (shown or views()))


# ------------------------------------------------------------- sampled batches
@pytest.mark.parametrize("loss", [KL, CE, GSP, FitNet, GCRD], ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("asked", [{}, {"where": None}, {"where": "seed"}], ids=str)
def test_losses_of_rows_read_the_seeds(loss, asked):
    batch = sampled()
    whole = Data(y=batch.y[:2])
    assert measured(loss(**asked), batch) == measured(loss(), whole, at(slice(2)))
    assert measured(loss(where="all"), batch) == measured(loss(), Data(y=batch.y))


def test_losses_of_edges_read_the_sub_graph():
    batch, (student, teacher) = sampled(), views()
    want = LSP()(student["hidden"], teacher["hidden"], edge_index=batch.edge_index)
    assert measured(LSP(), batch) == want
    torch.manual_seed(0)
    convolved = GCRD(3, 3, 4, graph=True)
    assert measured(convolved, batch) == convolved(student["hidden"], teacher["hidden"], edge_index=batch.edge_index)
    assert measured(HKD(ROWS, 3, 3, 4, neighbours=None, negatives=4), batch).isfinite()


def test_outer_rows_are_not_taught():
    batch, student, teacher = sampled(), MLP([6, 3]), GraphSAGE(6, 8, 2, 3)
    task = Distiller(student, teacher, KL())
    with torch.no_grad():
        s, t = student(batch.x)[:2], task.teacher(batch)["logits"][:2]
    torch.testing.assert_close(task(batch).loss, KL()(s, t))


def test_labels_are_those_of_the_seeds():
    batch = sampled()
    batch.y[2:] = -1
    assert measured(CE(), batch) == CE()(views()[0]["logits"][:2], y=batch.y[:2])


def test_a_cached_teacher_teaches_the_seeds_of_other_batches():
    data, student, teacher = graph(), gcn(1), gcn(2)
    batch = Data(x=data.x[5:15], edge_index=torch.zeros(2, 0, dtype=torch.long), n_id=torch.arange(5, 15), batch_size=3)
    task = Distiller(student, Cached(teacher, data), KL())
    with torch.no_grad():
        want = KL()(student(batch.x, batch.edge_index)[:3], teacher.eval()(data.x, data.edge_index)[5:8])
    torch.testing.assert_close(task(batch).loss, want)


def test_a_cached_digest_follows_the_seeds():
    data = sampled()
    task = Distiller(MLP([6, 3]), Cached(GraphSAGE(6, 8, 2, 3), data), GSP(on="logits"))
    seen = []
    for count in (2, 5, 2):
        data.batch_size = count
        seen.append(float(task(data).loss.detach()))
        fresh = Distiller(task.student, task.teacher, GSP(on="logits"))
        assert seen[-1] == float(fresh(data).loss.detach())
    assert seen[0] == seen[2] != seen[1]


def shadow() -> tuple[Batch, torch.Tensor]:
    """Three roots, each with its sub-graph, as ``ShaDowKHopSampler`` gives them: labels are of roots alone."""
    roots = torch.tensor([1, 4, 6])
    batch = Batch(batch=torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2, 2]), ptr=torch.tensor([0, 4, 6, 10]))
    batch.x, batch.y, batch.root_n_id = torch.randn(ROWS, 6), torch.tensor([2, 0, 1]), roots
    batch.train_mask = torch.tensor([False, True] * 5)
    return batch, roots


def test_rows_of_a_batch_with_roots_are_the_roots():
    batch, roots = shadow()
    student, _ = views()
    assert measured(CE(where=None), batch) == CE()(student["logits"][roots], y=batch.y)
    pooled = {"logits": student["logits"][roots]}, {}
    assert measured(CE(where=None), batch, pooled) == CE()(student["logits"][roots], y=batch.y)


@pytest.mark.parametrize("pooled", [False, True])
def test_masks_of_nodes_select_among_roots(pooled):
    batch, roots = shadow()
    student, _ = views()
    shown = {"logits": student["logits"][roots]} if pooled else student
    got = measured(CE(where=("seed", "train_mask")), batch, (shown, {}))
    assert got == CE()(student["logits"][[1]], y=torch.tensor([2]))


def test_scores_of_edges_are_no_rows_of_seeds():
    batch = sampled()
    batch.y = (torch.arange(8) % 2).float()
    scores = {"logits": torch.randn(8)}
    assert measured(BCE(), batch, (scores, {})) == BCE()(scores["logits"], y=batch.y)
    with pytest.raises(ValueError, match="where='seed' selects seeds among 10 nodes, got an entry of 8 rows"):
        measured(BCE(where="seed"), batch, (scores, {}))


def test_a_model_may_answer_for_seeds_alone():
    batch = sampled()
    batch.y = batch.y[:2]
    alone = {"logits": views()[0]["logits"][:2]}
    assert measured(CE(), batch, (alone, {})) == CE()(alone["logits"], y=batch.y)
    batch.y, batch.train_mask = torch.arange(ROWS) % 3, torch.tensor([False, True] * 5)
    got = measured(CE(where=("seed", "train_mask")), batch, (alone, {}))
    assert got == CE()(alone["logits"][1:], y=torch.tensor([1]))


def test_graphs_of_a_batch_are_no_seeds():
    batch = Batch.from_data_list([Data(x=torch.randn(5, 6), y=torch.tensor([i % 3])) for i in range(ROWS)])
    assert measured(CE(), batch) == CE()(views()[0]["logits"], y=batch.y)
    with pytest.raises(ValueError, match="where='seed' is for sampled batches, got a batch of graphs"):
        measured(CE(where="seed"), batch)


def test_seeds_must_be_counted():
    with pytest.raises(KeyError, match=r"where='seed' needs \['batch_size'\] from the batch"):
        measured(KL(where="seed"), {"y": torch.zeros(ROWS)})
    with pytest.raises(ValueError, match="where='seed' needs one 'batch_size', got"):
        measured(KL(where="seed"), {"batch_size": torch.tensor([1, 2])})


# ------------------------------------------------------------- what where may be
MASK = torch.tensor([True, False, True, True, False, True, False, False, True, True])


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        (("seed", "train_mask"), [0, 2, 3]),
        (("train_mask", "seed"), [0, 2, 3]),
        (["seed", "train_mask"], [0, 2, 3]),
        (("seed", "~train_mask"), [1, 4]),
        (("train_mask", "known"), [0, 3]),
        (("~train_mask", "known"), [1, 4]),
        (("seed", "ids"), [4, 4, 0]),
        (("ids", "~train_mask"), [4, 4, 7]),
        (("ids", "others"), [4, 4, 7]),
        (("train_mask",), [0, 2, 3, 5, 8, 9]),
        (("all", "train_mask"), [0, 2, 3, 5, 8, 9]),
        (("all", "seed"), [0, 1, 2, 3, 4]),
    ],
    ids=str,
)
def test_several_names_are_the_rows_in_all_of_them(where, rows):
    batch = {
        "train_mask": MASK,
        "known": torch.tensor([True, True, False, True, True] + 5 * [False]),
        "ids": torch.tensor([4, 4, 0, 7]),
        "others": torch.tensor([7, 4]),
        "y": torch.arange(ROWS) % 3,
        "batch_size": 5,
    }
    got = measured(CE(where=where), batch)
    assert got == pytest.approx(float(CE()(views()[0]["logits"][rows], y=batch["y"][rows])))
    assert measured(KL(where=where), batch) == pytest.approx(float(measured(KL(), {}, at(rows))))


@pytest.mark.parametrize(
    "where",
    ["seed&train_mask", "", "~", "~seed", ("~all",), (), (lambda batch: batch.train_mask), ("seed", 3), "a b", 7],
)
def test_anything_else_is_refused_when_it_is_written(where):
    with pytest.raises(ValueError, match=r"'where' must be the name of a mask or of row ids .* got"):
        CE(where=where)


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        (torch.arange(ROWS) % 2, TypeError, "all 0 or 1, as torch.int64: use .bool"),
        ((torch.arange(ROWS) % 2).to(torch.uint8), TypeError, "got .*torch.uint8: use .bool"),
        ((torch.arange(ROWS) % 2).float(), TypeError, "got .*torch.float32: use .bool"),
        (torch.ones(ROWS, 10, dtype=torch.bool), ValueError, r"\(10, 10\): choose one of the splits"),
        (torch.tensor([3, 12]), ValueError, r"'m' must hold .*ids from 0 to 9, got 3 to 12"),
        (torch.tensor([3, -1]), ValueError, r"'m' must hold .*ids from 0 to 9, got -1 to 3"),
        (torch.ones(4, dtype=torch.bool), ValueError, "'m' must be a mask of 10 rows, got 4"),
    ],
)
@pytest.mark.parametrize("where", ["m", "~m", ("seed", "m")])
def test_masks_of_other_forms_are_refused_by_name(where, mask, error, words):
    with pytest.raises(error, match=words):
        measured(KL(where=where), {"m": mask, "batch_size": 2})


def test_only_a_mask_can_be_negated():
    with pytest.raises(TypeError, match=r"where='~m' must negate a boolean mask, got ids as torch\.int64: give a mask"):
        measured(KL(where="~m"), {"m": torch.tensor([3, 1])})


def test_a_mask_written_to_in_place_selects_the_new_rows():
    batch = {"m": MASK.clone()}
    loss = KL(where="m")
    assert measured(loss, batch) == measured(KL(), {}, at(MASK))
    batch["m"].logical_not_()
    assert measured(loss, batch) == pytest.approx(float(measured(KL(), {}, at(~MASK))))


# ------------------------------------------------------------- labels outside of the split
class Own(Loss):
    """A supervised loss that says nothing of rows."""

    def forward(self, student, *, y):
        return F.cross_entropy(student, y)


SUPERVISED = {
    "CE": (CE, {}),
    "LabelSmoothing": (LabelSmoothing, {}),
    "BCE": (BCE, {"y": torch.ones(30, 3)}),
    "SupervisedPKT": (lambda: SupervisedPKT(on="logits"), {}),
    "own": (Own, {}),
    "own, of rows": (Labels, {}),
    "DKD": (DKD, {}),
    "NCKD": (NCKD, {}),
    "GKD of classes": (lambda: GKD(mask="intra", on="logits"), {}),
}


@pytest.mark.parametrize(("loss", "entries"), SUPERVISED.values(), ids=SUPERVISED)
def test_labels_outside_of_the_training_mask_are_refused(loss, entries):
    data = graph()
    for name, entry in entries.items():
        data[name] = entry
    task = Distiller(gcn(1), gcn(2), loss())
    words = r"reads the labels of 20 rows outside of 'train_mask'.*: give where='train_mask', or where='all' if this is"
    with pytest.raises(ValueError, match=words):
        task(data)
    data.train_mask[:] = True
    assert task(data).loss.isfinite()
    data.train_mask[4] = False
    with pytest.raises(ValueError, match="labels of 1 rows outside"):
        task(data)


@pytest.mark.parametrize("where", [None, "all", "train_mask", "test_mask", ("train_mask", "val_mask")], ids=str)
def test_what_is_said_on_purpose_is_done(where):
    assert Distiller(gcn(1), losses=CE(where=where))(graph()).loss.isfinite()


def test_soft_targets_read_no_labels():
    assert Distiller(gcn(1), gcn(2), KL() + GSP(on="logits") + GKD(on="logits"))(graph()).loss.isfinite()


def test_seeds_are_held_to_the_training_mask():
    batch = sampled(train_mask=torch.tensor([True, True] + 8 * [False]))
    assert measured(CE(), batch) == CE()(views()[0]["logits"][:2], y=batch.y[:2])
    batch.train_mask[1] = False
    with pytest.raises(ValueError, match=r"1 rows outside of 'train_mask'.*give where=\('seed', 'train_mask'\)"):
        measured(CE(), batch)
    batch, _ = shadow()
    with pytest.raises(ValueError, match=r"2 rows outside of 'train_mask'"):
        measured(CE(), batch)


def test_the_training_split_may_be_ids():
    data = graph()
    data.train_mask = data.train_mask.nonzero()[:, 0]
    with pytest.raises(ValueError, match="20 rows outside of 'train_mask'"):
        Distiller(gcn(1), losses=CE())(data)


def test_several_splits_ask_for_one():
    data = graph()
    data.train_mask = data.train_mask[:, None].expand(30, 10)
    with pytest.raises(ValueError, match=r"'train_mask' has 10 splits"):
        Distiller(gcn(1), losses=CE())(data)


def test_a_mask_of_nodes_says_nothing_of_labels_of_graphs():
    batch = Batch.from_data_list(
        [Data(x=torch.randn(5, 6), y=torch.tensor([i % 3]), train_mask=torch.rand(5) < 0.5) for i in range(ROWS)]
    )
    assert measured(CE(), batch).isfinite()


def test_test_labels_that_are_noise_are_not_learnt():
    half = torch.arange(60) < 30
    torch.manual_seed(0)
    data = Data(x=torch.eye(60), y=torch.randint(0, 3, (60,)), train_mask=half, test_mask=~half)
    with pytest.raises(ValueError, match="30 rows outside of 'train_mask'"):
        fit(Distiller(MLP([60, 3]), losses=CE()), data, epochs=1)
    student = fit(Distiller(MLP([60, 3]), losses=CE(where="train_mask")), data, epochs=50)
    assert accuracy(student, data) < 0.6


def test_a_loss_given_to_distil_is_held_to_the_mask_too():
    with pytest.raises(ValueError, match="CE reads the labels of 20 rows outside"):
        graphkd.distil(CE() + KL(), gcn(1), gcn(2), graph(), epochs=1)


# ------------------------------------------------------------- forms of labels
@pytest.mark.parametrize(
    "form", [lambda y: y[:, None], lambda y: y.float(), lambda y: y.int(), lambda y: y.to(torch.uint8)]
)
@pytest.mark.parametrize("loss", [CE, LabelSmoothing, DKD, SupervisedPKT], ids=lambda loss: loss.__name__)
def test_class_ids_in_other_forms_are_read(form, loss):
    y = torch.arange(ROWS) % 3
    assert measured(loss(), {"y": form(y)}) == measured(loss(), {"y": y})


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.tensor([-1.0, *range(9)]) % 3 - 1, "are unlabelled, -1 or NaN, give where="),
        (torch.tensor([torch.nan] + 9 * [1.0]), "1 of the 10 rows that are read are unlabelled"),
        (torch.eye(3)[torch.arange(ROWS) % 3], r"for one-hot labels use y.argmax\(1\)"),
        (torch.full((ROWS,), 0.5), "'y' must hold class ids, got torch.float32 numbers that are not whole"),
        (torch.arange(ROWS), r"'y' must hold labels in \[0, 3\), got labels from 0 to 9"),
    ],
)
def test_what_are_no_class_ids_is_refused_by_name(y, words):
    with pytest.raises(ValueError, match=words):
        measured(CE(), {"y": y})


def test_unlabelled_rows_that_are_not_read_do_no_harm():
    y = torch.arange(ROWS) % 3
    unknown = torch.where(MASK, y, -1)
    assert measured(CE(where="m"), {"y": unknown, "m": MASK}) == measured(CE(where="m"), {"y": y, "m": MASK})


def test_a_gat_on_a_sampled_batch_learns_from_its_seeds():
    batch = sampled(train_mask=torch.ones(ROWS, dtype=torch.bool), edge_attr=torch.randn(8, 2))
    step = Distiller(GAT(6, 4, 2, 3, edge_dim=2), GAT(6, 8, 2, 3, edge_dim=2), CE() + KL(4.0) + LSP(on="logits"))(batch)
    step.loss.backward()
    assert set(step.terms) == {"ce", "kl", "lsp"}
