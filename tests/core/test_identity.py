"""Tensors and models that are known again while they live and nobody writes into them; else it is their content."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn
from torch_geometric import EdgeIndex

from graphkd.core.identity import Mark, Marks, ModelMark, Once, same_content

TENSORS = {
    "a matrix": lambda: torch.randn(200, 3),
    "a row": lambda: torch.arange(5),
    "flags": lambda: torch.arange(100) % 2 == 0,
    "half": lambda: torch.randn(9, 9).bfloat16(),
    "transposed": lambda: torch.randn(40, 30).T,
    "a column": lambda: torch.randn(40, 30)[:, 3],
    "expanded": lambda: torch.randn(40, 1).expand(40, 7),
    "nothing": lambda: torch.zeros(0, 3),
    "one number": lambda: torch.tensor(3.0),
    "sparse": lambda: torch.eye(9).to_sparse(),
    "rows of a sparse one": lambda: torch.eye(9).to_sparse_csr(),
    "columns of a sparse one": lambda: torch.eye(9).to_sparse_csc(),
    "edges": lambda: EdgeIndex(torch.randint(9, (2, 30))),
    "a parameter": lambda: nn.Parameter(torch.randn(4, 4)),
}


@pytest.mark.parametrize("make", TENSORS.values(), ids=TENSORS)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_tensor_is_known_again_and_no_other(make):
    tensor = make()
    mark = Mark(tensor)
    assert mark.holds(tensor)
    assert not mark.holds(tensor.detach())
    assert not mark.holds(tensor.clone())


WRITES = {
    "by an operation": lambda x: x.add_(1),
    "by index": lambda x: x.__setitem__(3, 7.0),
    "through a view": lambda x: x[2:4].zero_(),
    "behind torch": lambda x: x.data.add_(1),
    "by numpy": lambda x: x.numpy().__setitem__(slice(None), 2.0),
    "other data": lambda x: setattr(x, "data", torch.ones(200, 3)),
    "another form": lambda x: x.resize_(100, 6),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_tensor_that_was_written_to_is_another(write):
    x = torch.randn(200, 3)
    mark, once, made = Mark(x), Once(), []
    once(x, "sum", lambda: made.append(1))
    write(x)
    assert not mark.holds(x)
    for _ in range(2):
        once(x, "sum", lambda: made.append(1))
    assert len(made) == 2


def test_transposed_and_strided_tensors_are_looked_into():
    for x in (torch.randn(40, 30).T, torch.randn(40, 30)[:, ::2], torch.randn(40, 30)[:, 3]):
        mark = Mark(x)
        x.data.zero_()
        assert not mark.holds(x)


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_sparse_tensor_that_was_written_to_is_another(layout):
    for write in (lambda values: values.mul_(2), lambda values: values.data.mul_(2)):
        x = torch.eye(9).to_sparse(layout=layout)
        mark = Mark(x)
        write(x._values() if layout == torch.sparse_coo else x.values())
        assert not mark.holds(x)


def test_a_mark_keeps_no_tensor_alive():
    x = torch.randn(1000)
    mark, marks, once, died = Mark(x), Marks({"x": x, "nested": [x]}), Once(), weakref.ref(x)
    once(x, "sum", x.size)
    del x
    gc.collect()
    assert died() is None
    assert not mark.holds(torch.randn(1000))
    assert not marks.holds({"x": torch.randn(1000), "nested": []})


def test_a_look_does_not_change_what_a_tensor_can_do():
    x = torch.randn(6)
    Mark(x)
    assert x.resize_(100).numel() == 100


def test_values_are_known_again_whatever_holds_them():
    x, y, text = torch.randn(3), torch.randn(2), ["a", "b"]
    values = {"x": x, "pair": (x, y), "named": {"y": y}, "count": 3, "text": text}
    marks = Marks(values)
    assert marks.holds(dict(values))
    assert marks.holds({**values, "named": {"y": y}, "count": 1 + 2, "text": ["a", "b"]})
    others = [{"count": 4}, {"pair": (y, x)}, {"pair": (x,)}, {"named": {"z": y}}, {"text": ["a"]}, {"more": 1}]
    assert not any(marks.holds({**values, **other}) for other in others)
    y.add_(1)
    assert not marks.holds(values)


CHANGES = {
    "a weight": lambda model: model[0].weight.data.mul_(2),
    "a buffer": lambda model: model[1].running_mean.add_(1),
    "another weight": lambda model: setattr(model[0], "weight", nn.Parameter(torch.zeros(4, 3))),
    "another module": lambda model: model.__setitem__(0, nn.Linear(3, 4)),
    "one more": lambda model: model.append(nn.ReLU()),
    "a number": lambda model: setattr(model[1], "eps", 0.1),
    "a flag": lambda model: setattr(model[2], "inplace", True),
    "a new number": lambda model: setattr(model[2], "k", 3),
    "one less": lambda model: delattr(model[0], "in_features"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_model_that_was_changed_is_another(change):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
    mark = ModelMark(model)
    model.eval().train()
    model._private = 3 if hasattr(model, "_private") else None
    del model._private
    assert mark.holds(model)
    assert not mark.holds(copy.deepcopy(model))
    change(model)
    assert not mark.holds(model)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_content_is_form_and_entries():
    x = torch.tensor([[1.0, float("nan")], [0.0, 2.0]])
    dense = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    edges = torch.tensor([[0, 1], [1, 0]])
    same = [
        (x, x.clone()),
        (dense.to_sparse(), dense.to_sparse_csr()),
        (dense.to_sparse_csc(), dense.to_sparse_csr()),
        (EdgeIndex(edges), edges.clone()),
        ({"a": [x, 1]}, {"a": [x.clone(), 1]}),
        ("text", "text"),
    ]
    other = [
        (x, x.nan_to_num()),
        (x, x.T),
        (dense, dense.double()),
        (dense, dense.to_sparse()),
        (dense.to_sparse(), 2 * dense.to_sparse()),
        (x.view(torch.int32), x),
        ({"a": [x, 1]}, {"a": [x, 2]}),
        ({"a": x}, {"b": x}),
        (1, "1"),
        (None, x),
    ]
    assert all(same_content(one, two) and same_content(two, one) for one, two in same)
    assert not any(same_content(one, two) or same_content(two, one) for one, two in other)


def test_what_knows_tensors_can_be_copied_and_what_keeps_results_pickled():
    x, once = torch.randn(3), Once()
    once(x, "sum", x.sum)
    assert copy.deepcopy(Mark(x)).holds(x)
    for other in (copy.deepcopy(once), pickle.loads(pickle.dumps(once))):
        assert other(x, "sum", lambda: 7) == 7
