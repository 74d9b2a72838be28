"""The two datasets that come with another package: digits and the karate club."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.digits import digits, nearest
from datasets.karate import karate


def test_digits():
    data = digits()
    assert data.x.shape == (1797, 64)
    assert data.x.min() == 0
    assert data.x.max() == 1
    assert data.y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    degrees = data.edge_index[1].bincount(minlength=1797)
    assert degrees.min() == 10
    same = data.y[data.edge_index[0]] == data.y[data.edge_index[1]]
    assert same.float().mean() > 0.9


def test_digits_edges_are_those_of_scikit_learn():
    """Where the tenth neighbour is unique, scikit-learn finds the same ten."""
    from sklearn.datasets import load_digits
    from sklearn.neighbors import NearestNeighbors

    pixels = load_digits().data
    distances, found = NearestNeighbors(n_neighbors=11, algorithm="brute").fit(pixels).kneighbors()
    unique = distances[:, 10] - distances[:, 9] > 1e-6
    assert unique.mean() > 0.9
    expected = np.sort(found[unique, :10], axis=1)
    assert (np.sort(nearest(pixels, 10)[unique], axis=1) == expected).all()


@settings(deadline=None, max_examples=50)
@given(data=st.data(), count=st.integers(1, 12), width=st.integers(1, 3))
def test_nearest_equals_the_definition(data, count, width):
    values = st.lists(st.integers(-3, 3), min_size=width, max_size=width)
    points = np.array(data.draw(st.lists(values, min_size=count, max_size=count)), dtype=float)
    k = data.draw(st.integers(0, count - 1))
    for node, found in enumerate(nearest(points, k).tolist()):
        others = [other for other in range(count) if other != node]
        others.sort(key=lambda other: (((points[node] - points[other]) ** 2).sum(), other))
        assert found == others[:k]


@pytest.mark.parametrize("k", [-1, 4])
def test_nearest_needs_enough_points(k):
    with pytest.raises(ValueError, match=f"k must be between 0 and 3 for 4 points, got {k}"):
        nearest(np.zeros((4, 2)), k)


def test_karate():
    data = karate()
    assert torch.equal(data.x, torch.eye(34))
    assert data.edge_index.shape == (2, 156)
    assert data.y.bincount().tolist() == [17, 17]
    assert data.y[0] == 0  # Mr. Hi himself
    assert data.y[33] == 1  # the officer
