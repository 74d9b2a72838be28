"""Distil among clients that keep their data: each has some nodes, and the server sees only weights or answers.

The rounds run in one process here, client after client. The guide shows the same with TLS between machines.
"""

import torch
from torch_geometric.data import Data
from torch_geometric.nn import MLP

import graphkd
from graphkd import Clients

torch.manual_seed(0)


def part(nodes):
    """Make one client's nodes, of four classes, with a few labels; a graph would have its `edge_index` too."""
    y, place = torch.arange(nodes) % 4, torch.randperm(nodes)
    masks = {"train_mask": place < 12, "val_mask": (place >= 12) & (place < 40), "test_mask": place >= 40}
    return Data(x=2 * torch.eye(4, 16)[y] + 1.2 * torch.randn(nodes, 16), y=y, **masks)


# 1. Three clients, and public nodes without labels that all may see.
clients = Clients([part(120), part(120), part(120)])
public = Data(x=part(120).x)

# 2. "alone" trains each client on its own data. "fedavg" averages their weights. "feddf" does so too, and then distils
#    the clients' answers on public nodes into the averaged model.
student = MLP([16, 32, 4], norm=None)
alone = graphkd.distil("alone", student, None, clients, rounds=5, local_epochs=10)
averaged = graphkd.distil("fedavg", student, None, clients, rounds=5, local_epochs=10)
distilled = graphkd.distil("feddf", student, None, clients, public=public, rounds=5, local_epochs=10, distil_epochs=10)
print("alone    ", alone.scores["test"])
print("averaged ", averaged.scores["test"])
print("distilled", distilled.scores["test"])
