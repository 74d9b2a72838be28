"""Zachary's karate club, the smallest graph; it needs no download."""

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from datasets.splits import per_class_split

__all__ = ["karate"]


def karate(seed: int = 0) -> Data:
    """Load 34 members of a club that split in two: 2 training and 2 validation nodes per class, rest test.

    From networkx (Zachary, "An Information Flow Model for Conflict and Fission in Small Groups", 1977); the
    class is the club a member joined (0 "Mr. Hi", 1 "Officer"), the features are one-hot identities.

    Args:
        seed: of the split.

    Shapes:
        34 nodes, 34 features, 2 classes.
    """
    import networkx  # type: ignore[import-untyped]  # only this dataset needs it

    graph = networkx.karate_club_graph()
    labels = np.array([int(graph.nodes[node]["club"] == "Officer") for node in range(len(graph))])
    return Data(
        x=torch.eye(len(graph)),
        edge_index=to_undirected(torch.tensor(list(graph.edges)).T),
        y=torch.from_numpy(labels),
        **per_class_split(labels, train=2, val=2, seed=seed).masks(),
    )
