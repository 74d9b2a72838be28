"""Features that are mostly zeros: what they give, what they leave alone, and when a model gets them."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, vmap
from torch_geometric.nn import GAT, GCN, MLP, SAGEConv

from graphkd import Distiller, Frozen, distil, fit
from graphkd.core.sparse_features import SparseFeatures, features_as, sparse_features
from graphkd.core.view import Viewer
from graphkd.losses import CE, KL

NODES, WIDTH = 300, 250


def features(dtype=torch.float64, share=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(NODES, WIDTH, generator=generator, dtype=dtype) + 0.5
    return torch.where(torch.rand(NODES, WIDTH, generator=generator) < share, x, 0)


def edges(seed=0):
    return torch.randint(NODES, (2, 900), generator=torch.Generator().manual_seed(seed))


MODELS = {
    "mlp": lambda: MLP([WIDTH, 8, 3], norm=None, dropout=0.0),
    "mlp, batch norm": lambda: MLP([WIDTH, 8, 3], dropout=0.0),
    "gcn": lambda: GCN(WIDTH, 8, 2, 3),
    "gat": lambda: GAT(WIDTH, 8, 2, 3, heads=2),
    "sage": lambda: Sage(),
    "products": lambda: Products(),
    "norm first": lambda: nn.Sequential(nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, 3)),
}


class Sage(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = SAGEConv(WIDTH, 3)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


class Products(nn.Module):
    """Every form of a product, and operations that need the matrix."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, 3))

    def forward(self, x):
        w = self.weight
        assert x.shape == (NODES, WIDTH)
        assert (x.dim(), x.size(1), len(x), x.is_sparse) == (2, WIDTH, NODES, False)
        both = x @ w + torch.mm(x, w) + x.matmul(w) + torch.matmul(x, w) + x.mm(w) + torch.addmm(w[:1], x, w)
        return both + x.sum(dim=1, keepdim=True) + (x * 2)[:, :3] + x[torch.arange(NODES)].relu()[:, 3:6]


def asked(model, x):
    return model(x, edges()) if isinstance(model, (GCN, GAT, Sage)) else model(x)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gives_what_it_gives_on_the_matrix(name):
    """Value and gradients, of second order too, to 1e-9."""
    torch.manual_seed(0)
    model, x = MODELS[name]().double(), features()
    parameters = list(model.parameters())
    found = []
    for rows in (sparse_features(x), x):
        value = asked(model, rows)
        slopes = torch.autograd.grad(value.square().sum(), parameters, create_graph=True)
        twice = torch.autograd.grad(sum(s.square().sum() for s in slopes), parameters, allow_unused=True)
        assert type(value) is torch.Tensor
        found.append([value, *slopes, *(slope for slope in twice if slope is not None)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_products_alone_do_not_build_the_matrix():
    """The control: dropout builds none, and what is no product does."""
    x = sparse_features(features())
    weight = torch.randn(WIDTH, 4, dtype=torch.float64)
    dropped = F.dropout(x, 0.5)
    assert isinstance(dropped, SparseFeatures)
    F.linear(dropped, weight.t(), weight[0])
    assert dropped.plain is None
    assert isinstance(dropped + 0, torch.Tensor)
    assert dropped.plain is not None


def test_dropout_of_entries_has_the_law_of_dropout():
    """An entry is 0 with probability p, else divided by 1 - p; a zero stays 0; in eval mode nothing happens."""
    x, p, draws = features(torch.float32), 0.8, 200
    rows = sparse_features(x)
    torch.manual_seed(0)
    found = torch.stack([F.dropout(rows, p) + 0 for _ in range(draws)])
    assert not found[:, x == 0].any()
    entries = found[:, x != 0]
    left = entries != 0
    torch.testing.assert_close(entries[left], (x[x != 0] / (1 - p)).expand(draws, -1)[left])
    share, deviation = float(left.float().mean()), (p * (1 - p) / left.numel()) ** 0.5
    assert abs(share - (1 - p)) < 5 * deviation
    assert F.dropout(rows, p, training=False) is rows
    torch.manual_seed(0)
    model = nn.Sequential(nn.Dropout(p), nn.Linear(WIDTH, 2))
    one, other = (torch.stack([model(each) for _ in range(400)]).mean(0) for each in (rows, x))
    assert (one - other).abs().max() < 0.5 * (other - model.eval()(x)).abs().max() + 0.2


@given(
    st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 9), st.sampled_from(["dense", "coo", "csr"])
)
def test_any_matrix_in_any_layout(rows, columns, share, seed, layout):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, columns, generator=generator, dtype=torch.float64)
    x = torch.where(torch.rand(rows, columns, generator=generator) < share, x, 0)
    stored = {"dense": x, "coo": x.to_sparse_coo(), "csr": x.to_sparse_csr()}[layout]
    weight = torch.randn(3, columns, generator=generator, dtype=torch.float64, requires_grad=True)
    with features_as("sparse" if layout == "dense" else "auto"):
        found = F.linear(F.dropout(sparse_features(stored), 0.0), weight)
    torch.testing.assert_close(found, F.linear(x, weight))
    torch.testing.assert_close(*(torch.autograd.grad(v.sum(), weight)[0] for v in (found, F.linear(x, weight))))


def test_what_is_dense_small_half_trained_or_computed_stays_as_it_is():
    x = features()
    assert isinstance(sparse_features(x), SparseFeatures)
    for other in (features(share=0.2), x[:9], x.bfloat16(), x.clone().requires_grad_(), x[0], [x], None):
        assert sparse_features(other) is other
    with torch.autocast("cpu"):
        assert sparse_features(x) is x
    with features_as("dense"):
        assert sparse_features(x) is x
    with pytest.raises(ValueError, match=r"'features' must be one of \('auto', 'dense', 'sparse'\), got 'fast'"):
        features_as("fast").__enter__()


def test_features_that_a_model_comes_to_train_have_a_gradient():
    x = features()
    rows = sparse_features(x)
    rows.requires_grad_()
    weight = torch.randn(4, WIDTH, dtype=torch.float64)
    F.linear(rows, weight).sum().backward()
    torch.testing.assert_close(x.grad, weight.sum(0).expand(NODES, -1))  # at zeros too


def test_a_matrix_that_was_written_to_is_read_anew():
    x = features()
    weight = torch.randn(4, WIDTH, dtype=torch.float64)
    first = F.linear(sparse_features(x), weight)
    x[0, :5] = 7
    torch.testing.assert_close(F.linear(sparse_features(x), weight), F.linear(x, weight))
    assert not torch.equal(first[0], F.linear(x, weight)[0])


def test_copies_and_function_transforms_have_the_matrix():
    x, layer = features(), nn.Linear(WIDTH, 2).double()
    rows = sparse_features(x)
    for other in (copy.deepcopy(rows), pickle.loads(pickle.dumps(rows)), rows.clone(), rows.detach()):
        assert type(other) is torch.Tensor
        assert torch.equal(other, x)
    named = dict(layer.named_parameters())
    one, other = (grad(lambda p, r=r: functional_call(layer, p, (r,)).square().sum())(named) for r in (rows, x))
    torch.testing.assert_close(one["weight"], other["weight"])
    weights = torch.randn(5, 3, WIDTH, dtype=torch.float64)
    torch.testing.assert_close(vmap(lambda w: F.linear(rows, w))(weights), vmap(lambda w: F.linear(x, w))(weights))


# ---------------------------------------------------------------- models
class Sees(nn.Module):
    """Notes what its forward is given, and shows it."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(WIDTH, 3).double(), []

    def forward(self, x):
        self.seen.append(type(x))
        return {"logits": self.layer(x), "same": x}


def test_student_and_teacher_get_them_and_views_have_plain_tensors(caplog):
    x = features()
    with caplog.at_level(logging.INFO):
        view = Viewer(model := Sees())({"x": x})
        Frozen(taught := Sees())({"x": x})
    assert model.seen == taught.seen == [SparseFeatures]
    assert type(view["same"]) is torch.Tensor
    assert [record.message for record in caplog.records] == [
        f"{100 * int(x.count_nonzero()) / x.numel():.1f} % of {NODES} x {WIDTH} features are not 0, and first layers "
        "multiply these alone; features='dense' of distil, or call=lambda model, batch: ..., leaves them as they are"
    ]
    Viewer(model, call=lambda model, batch: model(batch["x"]))({"x": x})
    with features_as("dense"):
        Viewer(model)({"x": x})
    assert model.seen[1:] == [torch.Tensor, torch.Tensor]


def test_a_compiled_model_gets_the_matrix():
    model = Sees()
    Viewer(torch.compile(model, backend="eager"))({"x": features()})
    assert SparseFeatures not in model.seen


def batch():
    generator = torch.Generator().manual_seed(1)
    return {"x": features(), "y": torch.randint(3, (NODES,), generator=generator), "edge_index": edges(),
            "train_mask": torch.arange(NODES) < 100, "val_mask": torch.arange(NODES) >= 200}  # fmt: skip


@pytest.mark.parametrize("mode", ["auto", "dense"])
def test_training_comes_to_the_same_weights(mode):
    """Without dropout, to rounding: the control is the plain first layer."""
    torch.manual_seed(0)
    student, teacher = (MLP([WIDTH, width, 3], norm=None, dropout=0.0).double() for width in (8, 16))
    plain = copy.deepcopy(student)
    losses = CE(where="train_mask") + KL()
    with features_as(mode):
        fit(Distiller(student, teacher, losses), batch(), epochs=5)
    by_hand = (lambda model, batch: model(batch["x"]),) * 2
    fit(Distiller(plain, teacher, losses, call=by_hand), batch(), epochs=5)
    for one, other in zip(student.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_distil_is_told_of_features():
    seen = []

    class Student(Sees):
        def forward(self, x):
            found = super().forward(x)
            seen.append(self.seen[-1])
            return found["logits"]

    for mode, kind in (("auto", SparseFeatures), ("dense", torch.Tensor)):
        seen.clear()
        distil("none", Student(), None, batch(), epochs=2, features=mode)
        assert set(seen) == {kind}
    with pytest.raises(ValueError, match="'features' must be one of"):
        distil("none", Student(), None, batch(), epochs=2, features="fast")
