"""Classify whole graphs: a wide, deep model trained on many graphs teaches a narrow one that has few, some mislabelled.

A batch holds many graphs; the model answers one row for each. The same works for `GraphRegression`.
"""

import torch
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GIN, global_mean_pool

import graphkd
from graphkd.tasks import GraphClassification


class Pooled(torch.nn.Module):
    """Average the answers of a graph neural network over the nodes of each graph."""

    def __init__(self, width, layers):
        super().__init__()
        self.gnn = GIN(4, width, layers, 3)

    def forward(self, x, edge_index, batch):
        """(N, 4), (2, E), (N,) -> (graphs, 3); the arguments are filled by name from the batch."""
        return global_mean_pool(self.gnn(x, edge_index), batch)


# 1. Graphs of 12 nodes; the class shifts their features a little. A third of the student's 60 graphs are mislabelled.
torch.manual_seed(0)
graphs = []
for number in range(600):
    kind = number % 3
    x, edges = torch.rand(12, 4) + 0.3 * torch.eye(3, 4)[kind], torch.randint(12, (2, 30))
    wrong = number < 60 and number % 9 < 3
    graphs.append(Data(x=x, edge_index=edges, y=torch.tensor([(kind + wrong) % 3])))
parts = graphs[:60], graphs[60:300], graphs[300:400], graphs[400:]
few, many, val, test = (DataLoader(part, 30, shuffle=True) for part in parts)

# 2. Validation and test graphs belong to the task; the training graphs are the data.
task = GraphClassification(val=val, test=test)
teacher = graphkd.distil("none", Pooled(32, 3), None, many, task=task, epochs=30)
student = Pooled(8, 2)
alone = graphkd.distil("none", student, None, few, task=task, epochs=100)
distilled = graphkd.distil("kd", student, teacher.model, few, task=task, epochs=100)

print("teacher  ", teacher.scores["test"])
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])
