"""What is kept of a tensor."""

from __future__ import annotations

import gc
import weakref

import torch

from graphkd.gnn._derived import kept, with_self_loops


def test_a_thing_is_made_once_until_the_tensor_is_written_to():
    made = []

    @kept
    def total(x, factor):
        made.append(1)
        return factor * float(x.sum())

    x = torch.ones(3)
    assert [total(x, 2), total(x, 2), total(x, 3)] == [6, 6, 9]
    assert len(made) == 2
    x[0] = 5
    assert total(x, 3) == 21
    gone = weakref.ref(x)
    del x
    gc.collect()
    assert gone() is None


def test_loops_are_added_where_there_are_none():
    edges = torch.tensor([[0, 1, 1, 2], [1, 1, 0, 2]])
    assert with_self_loops(edges, 4).tolist() == [[0, 1, 1, 2, 0, 3], [1, 1, 0, 2, 0, 3]]
    assert with_self_loops(torch.empty(2, 0, dtype=torch.long), 2).tolist() == [[0, 1], [0, 1]]
