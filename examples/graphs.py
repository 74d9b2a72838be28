"""Classify whole graphs: a wide, deep model teaches a narrow, shallow one.

A batch holds many graphs; the model answers one row for each. The same works for `GraphRegression`.
"""

import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GIN, global_add_pool

import graphkd
from graphkd.tasks import GraphClassification


class Pooled(torch.nn.Module):
    """Sum what a graph neural network says of the nodes of each graph."""

    def __init__(self, width, layers):
        super().__init__()
        self.gnn = GIN(4, width, layers, 3)

    def forward(self, x, edge_index, batch):
        """(N, 4), (2, E), (N,) -> (graphs, 3); the arguments are filled by name from the batch."""
        return global_add_pool(self.gnn(x, edge_index), batch)


# 1. 300 graphs of 12 nodes; the class says how dense a graph is. Some training labels are wrong.
torch.manual_seed(0)
graphs = []
for number in range(300):
    kind = number % 3
    edges = torch.randint(12, (2, 14 + 5 * kind + int(torch.randint(4, ()))))
    wrong = number < 120 and number % 4 == 0
    graphs.append(Data(x=torch.rand(12, 4), edge_index=edges, y=torch.tensor([(kind + wrong) % 3])))
train, val, test = (DataLoader(part, 30, shuffle=True) for part in (graphs[:120], graphs[120:200], graphs[200:]))

# 2. The task holds the validation and test graphs; `train` is the data.
task = GraphClassification(val=val, test=test)
teacher = graphkd.distil("none", Pooled(64, 3), None, train, task=task, epochs=30)
student = Pooled(4, 2)
alone = graphkd.distil("none", student, None, train, task=task, epochs=15)
distilled = graphkd.distil("kd", student, teacher.model, train, task=task, epochs=15)

print("teacher  ", teacher.scores["test"])
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])
