"""A small MLP by numpy whose first layer multiplies only what is not 0 in a row: bags of words, one-hot codes."""

from __future__ import annotations

import numpy as np

from graphkd.serving.chains import LINEAR, Array
from graphkd.serving.numpy_mlp import NumpyMLP


class SparseInput:
    """Run a ``NumpyMLP`` on rows that are mostly zeros.

    x W is summed from the rows of W at the entries of x that are not 0: O(d) an entry in place of O(F d) a row, F + its
    entries to find them. Answers are those of the runner up to rounding.

    Args:
        runner: whose first step is a linear layer.

    Raises:
        ValueError: the first step is another.

    Example::

        answers = SparseInput(NumpyMLP.of(student))(features[ids])  # (B, F) -> (B, C), numpy in and out
    """

    def __init__(self, runner: NumpyMLP) -> None:
        first, *self.rest = runner.steps
        if first.kind != LINEAR or first.one is None or first.other is None:
            raise ValueError(f"'runner' must begin with a linear layer, got {runner!r}")
        self.weight, self.bias = first.one, first.other

    def __call__(self, x: Array) -> Array:
        """(B, F) -> (B, C)."""
        hidden = np.empty((len(x), self.weight.shape[1]), self.weight.dtype)
        for place, row in enumerate(x):
            found = row.nonzero()[0]
            np.add(row[found] @ self.weight[found], self.bias, out=hidden[place])
        for step in self.rest:
            hidden = step(hidden)
        return hidden
