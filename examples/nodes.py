"""Compress a graph neural network into an MLP, which answers without looking at any edge.

Few nodes have labels. The teacher reads the graph, so that it also classifies nodes without labels well. The student
learns the teacher's answers on every node, labelled or not, and afterwards needs only the features of a node.
"""

import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN, MLP
from torch_geometric.utils import stochastic_blockmodel_graph

import graphkd

# 1. A graph: four communities of 200 nodes, and noisy features that hint at the community.
torch.manual_seed(0)
y = torch.arange(800) // 200
edge_index = stochastic_blockmodel_graph([200] * 4, torch.full((4, 4), 0.002).fill_diagonal_(0.03))
x = 2 * torch.eye(4, 16)[y] + 0.8 * torch.randn(800, 16)
place = torch.randperm(800)
data = Data(x=x, edge_index=edge_index, y=y)
data.train_mask, data.val_mask, data.test_mask = place < 20, (place >= 20) & (place < 200), place >= 200

# 2. A teacher. "none" trains a model on the labels alone; None stands for "no teacher".
teacher = graphkd.distil("none", GCN(16, 64, 2, 4, dropout=0.5), None, data, epochs=60)

# 3. The student alone, then the same student by "glnn": labels where there are any, soft targets on all nodes.
student = MLP([16, 32, 4], dropout=0.5, norm=None)
alone = graphkd.distil("none", student, None, data, epochs=60)
distilled = graphkd.distil("glnn", student, teacher.model, data, epochs=60)

# 4. `distil` trains a copy, so that both started from the same weights.
print("teacher  ", teacher.scores["test"])
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])
