"""Clusters of well separated rows are found."""

from __future__ import annotations

import torch

from recsys.models.ncl import clusters


def test_clusters_of_separated_rows():
    torch.manual_seed(0)
    centres = 10 * torch.eye(4, 6)
    label = torch.arange(4).repeat(25)
    found, nearest = clusters(centres[label] + 0.1 * torch.randn(100, 6), 4)
    assert found.shape == (4, 6)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    if nearest.unique().numel() == 4:  # a start may hold two rows of one cluster
        assert all(nearest[label == each].unique().numel() == 1 for each in range(4))
    state = torch.get_rng_state()
    again, _ = clusters(centres[label], 4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(again, clusters(centres[label], 4)[0])


def test_no_more_clusters_than_rows():
    found, nearest = clusters(torch.eye(3), 9)
    assert found.shape == (3, 3)
    assert sorted(nearest.tolist()) == [0, 1, 2]
