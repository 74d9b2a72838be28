"""Run a small MLP by numpy, its first layer only on non-zero entries: for bags of words and one-hot codes."""

from __future__ import annotations

import numpy as np

from graphkd.serving.chains import LINEAR, Array
from graphkd.serving.numpy_mlp import NumpyMLP


class SparseInput:
    """Run a ``NumpyMLP`` on rows that are mostly zeros.

    x W is the sum of the rows of W at the non-zero entries of x: O(d) per entry instead of O(F d) per row; finding the
    entries costs O(F) per row. Answers are those of the runner up to rounding.

    Args:
        runner: its first step must be a linear layer.

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
