"""Compare methods on your own graph before you choose one.

`graphkd.methods()` lists all methods: the tasks that each serves, what it needs, its hyper-parameters.
"""

import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCN, MLP
from torch_geometric.utils import stochastic_blockmodel_graph

import graphkd

torch.manual_seed(0)
y = torch.arange(800) // 200
edge_index = stochastic_blockmodel_graph([200] * 4, torch.full((4, 4), 0.002).fill_diagonal_(0.03))
x = 2 * torch.eye(4, 16)[y] + 0.8 * torch.randn(800, 16)
place = torch.randperm(800)
data = Data(x=x, edge_index=edge_index, y=y)
data.train_mask, data.val_mask, data.test_mask = place < 20, (place >= 20) & (place < 200), place >= 200

# 1. Methods that need only a student, a teacher and data are the cheapest to try; others need hidden layers, edges, ...
rows = graphkd.methods(task="node_classification")
plain = [row.name for row in rows if not row.needs and row.teacher]
print(f"{len(rows)} methods serve this task, {len(plain)} of them need nothing more")

# 2. A teacher, a student, and three seeds, since one seed proves nothing. The printed means are in %.
teacher = graphkd.distil("none", GCN(16, 64, 2, 4, dropout=0.5), None, data, epochs=60).model
student = MLP([16, 32, 4], dropout=0.5, norm=None)
hidden = ("lins.0", "convs.0")  # the layers that relation losses compare: the student's, the teacher's
for name, needs in {"none": {}, "kd": {}, "glnn": {}, "rkd": {"hidden": hidden}, "gsp": {"hidden": hidden}}.items():
    scores = []
    for seed in range(3):
        result = graphkd.distil(name, student, teacher, data, seed=seed, epochs=40, **needs)
        scores.append(result.scores["val"]["accuracy"])  # choose on validation nodes, report on test nodes
    label = "alone" if name == "none" else name
    print(f"{label:9} {100 * sum(scores) / 3:.1f} on validation nodes")
