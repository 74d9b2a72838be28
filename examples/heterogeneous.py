"""Use a graph with several types of nodes: classify papers, which are connected by their authors.

The teacher reads both types and the edges between them; the student reads the features of papers alone.
"""

import torch
from torch_geometric.data import HeteroData
from torch_geometric.nn import MLP, GraphSAGE, to_hetero
from torch_geometric.transforms import ToUndirected

import graphkd
from graphkd.tasks import NodeClassification

# 1. 400 papers of three fields. An author writes in one field, and has no informative features.
torch.manual_seed(0)
field = torch.arange(400) % 3
author = 3 * torch.randint(20, (400,)) + field
data = HeteroData()
data["paper"].x, data["paper"].y = 2 * torch.eye(3, 16)[field] + torch.randn(400, 16), field
data["author"].x = torch.randn(60, 8)
data["author", "writes", "paper"].edge_index = torch.stack([author, torch.arange(400)])
data = ToUndirected()(data)

# 2. Twenty papers have labels. Masks belong to the node type that is classified, and the task names that type.
place = torch.randperm(400)
data["paper"].train_mask = place < 20
data["paper"].val_mask, data["paper"].test_mask = (place >= 20) & (place < 120), place >= 120
task = NodeClassification(node_type="paper")

# 3. `to_hetero` turns a model of one node type into one of all types. Layers with input width -1 take their widths from
#    the first batch.
model = to_hetero(GraphSAGE((-1, -1), 32, 2, 3), data.metadata())
teacher = graphkd.distil("none", model, None, data, task=task, epochs=60)
student = MLP([16, 32, 3], norm=None)
alone = graphkd.distil("none", student, None, data, task=task, epochs=60)
distilled = graphkd.distil("kd", student, teacher.model, data, task=task, epochs=60)

print("teacher  ", teacher.scores["test"])
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])
