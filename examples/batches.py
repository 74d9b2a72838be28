"""Train on a graph that is too large for one batch: sample neighbourhoods, and compute the teacher's answers once.

`torchrun --nproc_per_node 2 examples/batches.py` runs it in two processes, each on its share of the batches.
"""

import tempfile

import torch
from torch_geometric.data import Data
from torch_geometric.nn import MLP, GraphSAGE
from torch_geometric.utils import stochastic_blockmodel_graph

import graphkd
from graphkd.loaders import neighbour_loader
from graphkd.tasks import NodeClassification

# 1. A graph; imagine one of millions of nodes.
torch.manual_seed(0)
y = torch.arange(800) // 200
edge_index = stochastic_blockmodel_graph([200] * 4, torch.full((4, 4), 0.002).fill_diagonal_(0.03))
x = 2 * torch.eye(4, 16)[y] + 0.8 * torch.randn(800, 16)
place = torch.randperm(800)
data = Data(x=x, edge_index=edge_index, y=y)
data.train_mask, data.val_mask, data.test_mask = place < 40, (place >= 40) & (place < 200), place >= 200

# 2. Each batch has 20 labelled nodes, up to 10 neighbours of each, and up to 10 of each of those. Models are evaluated
#    on the whole graph.
task = NodeClassification(evaluate_on=data)
labelled = neighbour_loader(data, [10, 10], data.train_mask, batch_size=20, shuffle=True)
teacher = graphkd.distil("none", GraphSAGE(16, 64, 2, 4), None, labelled, task=task, epochs=20)

# 3. The teacher's answers are computed once and stored. A batch's nodes are looked up there by `n_id`.
with tempfile.TemporaryDirectory() as folder:
    stored = graphkd.Cached(teacher.model, data, path=f"{folder}/teacher", dtype=torch.float16)
    # The student reads no edges: its batches have 200 of all nodes, without neighbours.
    everyone = neighbour_loader(data, [0], None, batch_size=200, shuffle=True)
    student = MLP([16, 32, 4], norm=None)
    alone = graphkd.distil("none", student, None, everyone, task=task, epochs=20)
    distilled = graphkd.distil("kd", student, stored, everyone, task=task, epochs=20)

print("teacher  ", teacher.scores["test"])
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])
