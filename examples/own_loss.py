"""Write your own loss: make the two ends of every edge as similar as they are for the teacher."""

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.nn import GCN, MLP
from torch_geometric.utils import stochastic_blockmodel_graph

import graphkd
from graphkd import Loss
from graphkd.kernels import edge_similarity
from graphkd.losses import CE, KL


class EdgeAgreement(Loss):
    """Match the similarity of the two ends of each edge. `edge_index` is read from the batch by its name."""

    on = "hidden"  # compare the layers that `hidden=` names, instead of the logits

    def forward(self, student, teacher, *, edge_index):
        """(N, d_s), (N, d_t), (2, E) -> scalar; the widths may differ."""
        return F.mse_loss(edge_similarity(student, edge_index), edge_similarity(teacher, edge_index))


torch.manual_seed(0)
y = torch.arange(800) // 200
edge_index = stochastic_blockmodel_graph([200] * 4, torch.full((4, 4), 0.002).fill_diagonal_(0.03))
x = 2 * torch.eye(4, 16)[y] + 0.8 * torch.randn(800, 16)
place = torch.randperm(800)
data = Data(x=x, edge_index=edge_index, y=y)
data.train_mask, data.val_mask, data.test_mask = place < 20, (place >= 20) & (place < 200), place >= 200

teacher = graphkd.distil("none", GCN(16, 64, 2, 4, dropout=0.5), None, data, epochs=60).model
student = MLP([16, 32, 4], dropout=0.5, norm=None)
alone = graphkd.distil("none", student, None, data, epochs=60)

# A sum of losses is an objective: here the labels, soft targets of all nodes, and the loss above, with their weights.
objective = CE(where="train_mask") + 4.0 * KL(2.0) + 1.0 * EdgeAgreement()
distilled = graphkd.distil(objective, student, teacher, data, hidden=("lins.0", "convs.0"), epochs=60)
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])
