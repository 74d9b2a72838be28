"""Predict links: a graph neural network teaches an MLP to score pairs of nodes by their features.

The score of a pair is the inner product of the embeddings of its two nodes. Pairs that are not edges are drawn anew for
each epoch.
"""

import torch
from torch_geometric import seed_everything
from torch_geometric.data import Data
from torch_geometric.nn import MLP, GraphSAGE
from torch_geometric.transforms import RandomLinkSplit
from torch_geometric.utils import stochastic_blockmodel_graph

import graphkd
from graphkd.tasks import LinkPrediction

# 1. A graph of four communities, and its edges in three parts: to train, to validate, to test.
seed_everything(0)  # the split also uses numpy's random numbers
group = torch.arange(200) // 50
edge_index = stochastic_blockmodel_graph([50] * 4, torch.full((4, 4), 0.01).fill_diagonal_(0.15))
data = Data(x=torch.nn.functional.one_hot(group, 16) + 0.7 * torch.randn(200, 16), edge_index=edge_index)
train, val, test = RandomLinkSplit(is_undirected=True, add_negative_train_samples=False)(data)

# 2. "llp" matches the teacher's ranking of neighbours and other nodes, for each node; "kd" would match scores of pairs.
task = LinkPrediction(val=val, test=test)
teacher = graphkd.distil("none", GraphSAGE(16, 64, 2, 64), None, train, task=task, epochs=60)
student = MLP([16, 32, 32], norm=None)
alone = graphkd.distil("none", student, None, train, task=task, epochs=60)
distilled = graphkd.distil("llp", student, teacher.model, train, task=task, epochs=60)

print("teacher  ", teacher.scores["test"])
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])
