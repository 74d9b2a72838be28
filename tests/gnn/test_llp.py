"""LLP: contexts, terms and what is refused; the losses have tests of their own."""

from __future__ import annotations

import pytest
import torch

import graphkd
from graphkd import Frozen
from graphkd.gnn.llp import LLP
from graphkd.gnn.llp_predictor import LinkPredictor
from graphkd.losses import kl
from graphkd.losses.relations.context_rank import context_rank
from graphkd.tasks import LinkPrediction
from tests.methods.other_tasks import KINDS
from tests.methods.scene import FEATURES, gcn


def given(**changes):
    found = {**KINDS["link_prediction"](), **changes}
    found.pop("hidden")
    return found


def student(width: int = 8) -> LinkPredictor:
    torch.manual_seed(3)
    return LinkPredictor(FEATURES, width, dropout=0.0)


def trainable(model, teacher, **options) -> LLP:
    task = LinkPrediction()
    call = task.call(None)
    return LLP(model, Frozen(teacher, call=call), task.supervised(), call=call, **options)


def batch():
    found = given()
    return next(iter(found["task"].prepare(found["data"])))


def test_the_terms_of_a_step():
    data, own, teacher = batch(), student(), gcn(1, 12, dropout=0.0, out=8)
    weights = {"label_weight": 0.3, "distribution_weight": 2.0, "rank_weight": 0.7}
    weights |= {"node_weight": 0.2, "score_weight": 1.1}
    made = trainable(own, teacher, **weights, temperature=0.5, hops=2, walks=2, random_rate=1, margin=0.05)
    torch.manual_seed(0)
    context = made.context(data)
    torch.manual_seed(0)
    step = made(data)
    h, t = own.encode(data.x), teacher.eval()(data.x, data.edge_index)
    pairs = data.edge_label_index
    s_pairs, t_pairs = own.decode(h, pairs).sigmoid(), (t[pairs[0]] * t[pairs[1]]).sum(1).sigmoid()
    rows = [[own.predictor(h[row[0]] * h[j]).sigmoid() for j in row[1:]] for row in context]
    s = torch.stack([torch.stack(row).squeeze() for row in rows])
    u = torch.stack([torch.stack([(t[row[0]] * t[j]).sum().sigmoid() for j in row[1:]]) for row in context])
    want = {
        "label": torch.nn.functional.binary_cross_entropy(s_pairs, data.y[:, 0]),
        "distribution": kl(s, u, 0.5),
        "rank": context_rank(s, u, 0.05),
        "node": 1 - torch.cosine_similarity(h[context[:, 0]], t[context[:, 0]]).mean(),
        "score": (s_pairs - t_pairs).square().mean(),
    }
    for name, value in want.items():
        assert float(step.terms[name]) == pytest.approx(float(value.detach()), rel=1e-4, abs=1e-7), name
    total = sum(weight * want[name.removesuffix("_weight")] for name, weight in weights.items())
    assert float(step.loss.detach()) == pytest.approx(float(total.detach()), rel=1e-4)


def test_contexts_are_walks_and_random_nodes():
    data = batch()
    made = trainable(student(), gcn(1, 12, out=8), hops=2, walks=3, random_rate=2)
    context = made.context(data)
    assert context.shape == (data.num_nodes, 1 + 6 * 3)
    assert context[:, 0].sort().values.tolist() == list(range(data.num_nodes))
    joined = set(map(tuple, data.edge_index.t().tolist()))
    has_edge = set(data.edge_index[0].tolist())
    for row in context.tolist():
        for walk in (row[1:3], row[3:5], row[5:7]):
            for i, j in zip([row[0], *walk], walk, strict=False):
                assert (i, j) in joined or (i == j and i not in has_edge)
    assert trainable(student(), gcn(1, 12, out=8), anchors=5).context(data).size(0) == 5


def test_a_student_that_is_made_serves_links():
    found = given(student=None)
    data, teacher = found.pop("data"), found.pop("teacher")
    result = graphkd.distil("llp", found.pop("student"), teacher, data, **found, width=6, epochs=2, progress=False)
    assert isinstance(result.model, LinkPredictor)
    assert set(result.scores) == {"val", "test"}


def test_what_is_wrong_is_named():
    found = given()
    data, teacher, task = found["data"], found["teacher"], found["task"]
    run = lambda model, **options: graphkd.distil("llp", model, teacher, data, task=task, epochs=1, **options)  # noqa: E731
    with pytest.raises(ValueError, match="shape the model that is made where no student is given"):
        run(student(), width=5)
    with pytest.raises(ValueError, match=r"\['hops', 'walks', 'anchors'\] must be at least 1"):
        run(student(), hops=0)
    with pytest.raises(ValueError, match="'node_weight' compares embeddings: both models must show 'node', of one"):
        run(student(5), node_weight=1.0)
