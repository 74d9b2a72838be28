from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import MLP
from torch_geometric.utils import subgraph

import graphkd
from graphkd import Cached, Distiller, Frozen, fit
from graphkd.gnn import GLNNBatches, glnn_distiller
from graphkd.losses import CE
from graphkd.tasks import hold_out, predict
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph


def mlp(seed: int = 0) -> MLP:
    torch.manual_seed(seed)
    return MLP([FEATURES, 64, CLASSES], norm=None, dropout=0.0)


def test_an_epoch_is_whole_shuffled_batches_of_labelled_rows_then_of_all():
    x, y, labelled = torch.arange(10.0)[:, None], torch.arange(10), torch.tensor([8, 1, 5])
    torch.manual_seed(0)
    batches = list(GLNNBatches(x, y, labelled, batch_size=4))
    assert [batch["n_id"].size(0) for batch in batches] == [3, 4, 4]  # of ten rows two are left out
    assert sorted(batches[0]["n_id"].tolist()) == [1, 5, 8]
    assert [bool(batch["labelled"].all()) for batch in batches] == [True, False, False]
    seen = torch.cat([batch["n_id"] for batch in batches[1:]])
    assert seen.unique().size(0) == 8
    for batch in batches:
        assert torch.equal(batch["x"][:, 0].long(), batch["n_id"])
        assert torch.equal(batch["y"], batch["n_id"])
        assert torch.equal(batch["taught"], ~batch["labelled"])


def test_each_batch_makes_one_weighted_term():
    data, student, teacher = graph(), mlp(), gcn(1)
    task = glnn_distiller(student, Cached(teacher, data), 0.3)
    first, second = list(GLNNBatches(data.x, data.y, data.train_mask.nonzero().squeeze(1)))
    label, taught = task(first), task(second)
    want = torch.nn.functional.cross_entropy(student(first["x"]), first["y"])
    torch.testing.assert_close(label, (0.3 * want, {"label": want.detach()}))
    p = teacher.eval()(data.x, data.edge_index)[second["n_id"]].log_softmax(1)
    q = student(second["x"]).log_softmax(1)
    want = (p.exp() * (p - q)).sum(1).mean()
    torch.testing.assert_close(taught.loss, 0.7 * want)
    assert list(taught.terms) == ["teacher"]


def test_the_student_learns_what_the_teacher_says():
    data = graph()
    del data.val_mask  # the last epoch, which is not the best on random labels
    teacher = fit(Distiller(gcn(1), losses=CE(where="train_mask")), data, epochs=50)
    untrained = mlp()
    taught = predict(teacher, data)

    def agreement(model):
        return float((predict(model, data) == taught).float().mean())

    before = agreement(untrained)
    trained = graphkd.distil("glnn", untrained, teacher, data).model
    assert agreement(trained) > max(before, 0.8)


def test_a_teacher_may_be_given_ready():
    data = graph()
    soft = Frozen(gcn(1), call=lambda model, batch: model(batch["x"], batch["edge_index"]))
    plain = graphkd.distil("glnn", mlp(), gcn(1), data, epochs=2).model
    ready = graphkd.distil("glnn", mlp(), soft, data, epochs=2).model
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), ready.parameters(), strict=True))


def test_a_loader_teaches_the_nodes_that_it_answers_for():
    """Two neighbour-sampled batches: their seeds are taught, as if they were all that there is."""
    data = graph()
    seeds = torch.arange(0, NODES, 3)
    others = torch.arange(1, NODES, 3)
    loader = []
    for own in (seeds[:5], seeds[5:]):
        n_id = torch.cat([own, others])
        rows = {name: data[name][n_id] for name in ("x", "y", "train_mask")}
        edges, _ = subgraph(n_id, data.edge_index, relabel_nodes=False, num_nodes=NODES)
        place = torch.full((NODES,), -1).scatter(0, n_id, torch.arange(n_id.numel()))
        loader.append({**rows, "edge_index": place[edges], "n_id": n_id, "batch_size": own.numel()})
    seen: list[torch.Tensor] = []

    class Watched(type(mlp())):
        def forward(self, x):
            if self.training:
                seen.append(x)
            return super().forward(x)

    torch.manual_seed(0)
    student = Watched([FEATURES, 8, CLASSES], norm=None)
    result = graphkd.distil("glnn", student, gcn(1), loader, epochs=1, batch_size=4)
    assert result.model is not student
    own = {tuple(row) for row in data.x[seeds].tolist()}
    assert {tuple(row) for batch in seen for row in batch.tolist()} <= own
    assert [batch.size(0) for batch in seen[-2:]] == [4, 4]


def test_without_a_student_the_published_mlp_is_made():
    made = graphkd.distil("glnn", None, gcn(1), graph(), epochs=1).model
    assert [tuple(lin.weight.shape) for lin in made.lins] == [(128, FEATURES), (CLASSES, 128)]


def test_the_inductive_setting_removes_nodes_and_their_edges():
    data = graph()
    seen, held = hold_out(data, share=0.3, seed=4)
    assert int(held.sum()) == 3
    assert bool(data.test_mask[held].all())
    assert seen.num_nodes == 27
    assert torch.equal(seen.x, data.x[~held])
    assert seen.edge_index.max() < 27
    keep = ~held[data.edge_index].any(dim=0)
    assert seen.edge_index.size(1) == int(keep.sum())
    assert torch.equal(hold_out(data, share=0.3, seed=4)[1], held)
    assert not torch.equal(hold_out(data, share=0.3, seed=5)[1], held)


def test_wrong_arguments_are_named():
    data = graph()
    with pytest.raises(ValueError, match=r"'label_weight' must be in \[0, 1\], got 2"):
        graphkd.distil("glnn", mlp(), gcn(), data, label_weight=2)
    with pytest.raises(ValueError, match="'batch_size' must be at least 1, got 0"):
        graphkd.distil("glnn", mlp(), gcn(), data, batch_size=0)
    with pytest.raises(ValueError, match=r"reads features alone, GCN.forward also needs \['edge_index'\]"):
        graphkd.distil("glnn", gcn(), gcn(), data)
    with pytest.raises(ValueError, match=r"'share' must be in \(0, 1\), got 1.5"):
        hold_out(data, share=1.5)


def test_predict_restores_the_mode():
    data, model = graph(), gcn(0, dropout=0.9).train()
    assert torch.equal(predict(model, data), model.eval()(data.x, data.edge_index).argmax(1))
    model.train()
    predict(model, data)
    assert model.training
