"""Search the settings of one method, then students and methods together: accurate, fast and small ones.

Needs `pip install "graphkd[tune]"`. Searches choose by validation nodes only.
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
teacher = graphkd.distil("none", GCN(16, 64, 2, 4, dropout=0.5), None, data, epochs=60).model


def student(dropout=0.5):
    """Make a student. The search chooses the dropout, because it is an argument."""
    return MLP([16, 32, 4], dropout=dropout, norm=None)


# 1. The settings of one method, with the learning rate, weight decay and dropout. The first trial is the published one.
alone = graphkd.distil("none", student(), None, data, epochs=27)
tuned = graphkd.tune("kd", student, teacher, data, trials=4, seeds=1, finalists=1, epochs=27, progress=False)
distilled = graphkd.distil("kd", student(**tuned.setting.student), teacher, data, **tuned.options)
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"], "by", tuned.setting)

# 2. Students and methods together, within a budget: the Pareto front of accuracy, latency and size.
front = graphkd.compress(
    teacher, data, methods=["kd"], budget=graphkd.Budget(latency_ms=5.0), trials=4, epochs=9, progress=False
)
print(front.table())
