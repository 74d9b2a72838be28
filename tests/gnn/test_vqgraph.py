"""VQGraph: the codebook, the rebuilt adjacency and the tokens by their plain forms; the two stages."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import graphkd
from graphkd.gnn.vqgraph import TokenMLP, VQGraph, VQGraphBatches, token_kl, token_scores
from graphkd.gnn.vqgraph_tokeniser import Codebook, Convolution, Tokeniser, adjacency_error, looped
from tests.core.models import CLASSES, FEATURES, NODES, gcn, graph


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_codes_move_to_the_rows_that_took_them():
    book, rows = Codebook(4, 3, decay=0.9).double(), normal(7, 3)
    book.codes.copy_(normal(4, 3, seed=1))
    codes, size = book.codes.clone(), book.size.clone()
    found = book.train()(rows)
    for i, row in enumerate(rows):
        cosines = [float(row @ code / row.norm() / code.norm()) for code in codes]
        assert found.scores[i].tolist() == pytest.approx(cosines)
        assert int(found.place[i]) == max(range(4), key=cosines.__getitem__)
        torch.testing.assert_close(found.codes[i], codes[found.place[i]])
    for k in range(4):
        own = [row / row.norm() for row, index in zip(rows, found.place, strict=True) if index == k]
        target = torch.stack(own).mean(0) if own else codes[k]
        torch.testing.assert_close(book.codes[k], 0.9 * codes[k] + 0.1 * target / target.norm())
        assert float(book.size[k]) == pytest.approx(0.9 * float(size[k]) + 0.1 * len(own))
    want = 0.25 * (codes[found.place] - rows).square().mean()
    assert float(found.commitment) == pytest.approx(float(want))
    before = book.codes.clone()
    book.eval()(rows)
    assert torch.equal(book.codes, before)


def test_the_gradient_goes_straight_through():
    rows = normal(5, 3).requires_grad_()
    Codebook(4, 3).double().eval()(rows).codes.sum().backward()
    torch.testing.assert_close(rows.grad, torch.ones_like(rows))


def test_the_adjacency_is_rebuilt_without_it():
    """Each code once or several times, duplicate edges and loops."""
    codes, index = normal(6, 4), torch.tensor([0, 1, 2, 2, 3, 5, 1, 5])
    edges = torch.tensor([[0, 1, 1, 2, 3, 7, 4, 0], [0, 1, 1, 3, 2, 0, 5, 7]])
    one, other = (codes.clone().requires_grad_() for _ in range(2))
    got = adjacency_error(one[index], edges, index)
    y = other[index]
    gram = y @ y.t()
    adjacency = torch.zeros(8, 8, dtype=torch.float64).index_put_(tuple(edges), torch.ones(8).double(), accumulate=True)
    want = (adjacency - (gram - gram.min()) / (gram.max() - gram.min())).square().mean().sqrt()
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(got, one), torch.autograd.grad(want, other))


def test_one_code_for_all_is_no_division_by_zero():
    y = torch.ones(3, 2, requires_grad=True)
    value = adjacency_error(y, torch.tensor([[0], [1]]), torch.zeros(3, dtype=torch.long))
    value.backward()
    assert value.isfinite()
    assert y.grad.isfinite().all()


def test_the_convolution():
    torch.manual_seed(0)
    conv, x = Convolution(3, 2).double(), normal(4, 3)
    edges = looped(torch.tensor([[0, 1, 2, 2], [1, 0, 1, 2]]), 4)
    matrix = torch.zeros(4, 4, dtype=torch.float64)
    matrix[edges[1], edges[0]] = 1
    into, out = matrix.sum(1), matrix.sum(0)
    want = torch.diag(into.rsqrt()) @ matrix @ torch.diag(out.rsqrt()) @ x @ conv.weight + conv.bias
    torch.testing.assert_close(conv(x, edges), want)


def test_distances_to_codes():
    hidden, weight, bias, codes = normal(5, 3), normal(7, 3, seed=1), normal(7, seed=2), normal(4, 7, seed=3)
    want = -torch.cdist(hidden @ weight.t() + bias, codes)
    torch.testing.assert_close(token_scores(hidden, weight, bias, codes), want)


def test_divergence_of_tokens():
    s, t = normal(5, 4), normal(5, 4, seed=1)
    p, q = (t / 3).softmax(1), (s / 3).log_softmax(1)
    assert float(token_kl(s, t, 3.0)) == pytest.approx(float(9 * (p * (p.log() - q)).sum(1).mean()))
    assert float(token_kl(s, t, 3.0, released=True)) == pytest.approx(float(9 * (p.exp() * (p - q)).sum(1).mean()))


def test_tokens_of_a_node_are_compared_with_its_own():
    data, book = graph(), Codebook(6, FEATURES)
    local, told = torch.randn(NODES, FEATURES), torch.randn(NODES, CLASSES)
    student = TokenMLP(FEATURES, 5, CLASSES)
    trainable = VQGraph(student, book, token_weight=2.0)
    batches = list(VQGraphBatches(data.x, data.y, data.train_mask, 20, told=told, local=local))
    assert [bool(batch["token"].all()) for batch in batches] == [True, *[False] * (len(batches) - 1)]
    step = trainable(batches[0])
    rows = batches[0]["n_id"]
    tokens = student.tokens(student.hidden(data.x[rows]))
    cosine = F.cosine_similarity(local[rows][:, None], book.codes, dim=2)
    want = token_kl(-torch.cdist(tokens, book.codes), cosine)
    assert float(step.loss.detach()) == pytest.approx(2 * float(want.detach()), rel=1e-4)
    assert {"label", "teacher"} >= trainable(batches[-1]).terms.keys()
    assert not any(parameter is book for parameter in trainable.modules())


def test_two_stages():
    options = {"codes": 12, "teacher_width": 7, "width": 5, "epochs": 2, "progress": False}
    result = graphkd.distil("vqgraph", None, None, graph(), **options)
    assert list(dict.fromkeys(report["stage"] for report in result.history)) == ["teacher", "student"]
    assert isinstance(result.model, TokenMLP)
    assert result.model(graph().x).shape == (NODES, CLASSES)
    assert {"label", "commit", "node", "edge"} <= result.history[0].keys()


def test_a_tokeniser_learns():
    data = graph()
    torch.manual_seed(0)
    model = Tokeniser(FEATURES, 16, CLASSES, 30, dropout=0.0)
    assert model(data.x, data.edge_index).shape == (NODES, CLASSES)
    seen = model.look(data.x, looped(data.edge_index, NODES))
    assert all(value.isfinite() for value in (seen.node, seen.edge, seen.quantised.commitment))


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match=r"'codes' must be at least 1 and 'decay' in \[0, 1\], got 0 and 0.8"):
        graphkd.distil("vqgraph", None, None, graph(), epochs=1, codes=0)
    with pytest.raises(ValueError, match="'temperature' must be positive, got 0"):
        graphkd.distil("vqgraph", None, gcn(1), graph(), epochs=1, codes=5, temperature=0.0)
