"""Ship a student: save it with its card, load it elsewhere, compare its latency with the teacher's.

A student without edges needs only the features of a node. The teacher first has to find the node's neighbourhood.
"""

import tempfile
from pathlib import Path

import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN, MLP
from torch_geometric.utils import stochastic_blockmodel_graph

import graphkd
from graphkd.serving import NumpyMLP, latency

torch.manual_seed(0)
y = torch.arange(800) // 200
edge_index = stochastic_blockmodel_graph([200] * 4, torch.full((4, 4), 0.002).fill_diagonal_(0.03))
x = 2 * torch.eye(4, 16)[y] + 0.8 * torch.randn(800, 16)
place = torch.randperm(800)
data = Data(x=x, edge_index=edge_index, y=y)
data.train_mask, data.val_mask, data.test_mask = place < 20, (place >= 20) & (place < 200), place >= 200

teacher = graphkd.distil("none", GCN(16, 64, 2, 4, dropout=0.5), None, data, epochs=60)
student = MLP([16, 32, 4], dropout=0.5, norm=None)
alone = graphkd.distil("none", student, None, data, epochs=60)
distilled = graphkd.distil("glnn", student, teacher.model, data, epochs=60)
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])

# 1. A folder with the weights (safetensors, no code) and the card: method, settings, seed, data, versions, scores.
with tempfile.TemporaryDirectory() as folder:
    distilled.save(folder)
    print(sorted(path.name for path in Path(folder).iterdir()))
    loaded = graphkd.Distilled.load(folder, MLP([16, 32, 4], dropout=0.5, norm=None))

# 2. Milliseconds from a node's id to its class probabilities. `fetch=2`: both hops of the neighbourhood are looked up.
nodes = data.test_mask.nonzero().flatten()
answering = {
    "teacher": latency(teacher.model, data, nodes, fetch=2, queries=250),
    "student": latency(loaded.model, data, nodes, queries=250),
    "student by numpy": latency(NumpyMLP.of(loaded.model), data, nodes, queries=250),  # serves without torch
}
for name, found in answering.items():
    print(f"{name:16} {found.p50:.3f} ms")
