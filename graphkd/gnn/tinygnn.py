"""TinyGNN: a shallow network whose nodes also look at their peers, taught by a deep one.

Yan, Wang, Guo and Lou, "TinyGNN: Learning Efficient Graph Neural Networks", KDD 2020. There is no public code: who the
peers are, the form of their attention and the weights of the loss are our reading, with the alternatives as arguments.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix, identity
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.gnn._derived import kept
from graphkd.kernels import EdgeLayout, edge_dot, edge_layout, edge_spmm, segment_log_softmax
from graphkd.losses._checks import choose
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL

Peers = Literal["siblings", "adjacent_siblings", "neighbours"]


@method(
    "tinygnn",
    family="gnn",
    paper="Yan et al., KDD 2020",
    needs=("edges",),
    cannot={"student": "it brings a shallow student that attends to peers, TinyGNN"},
    published={"patience": 50},
    space={"soft_weight": (0.03, 0.99), "dropout": (0.02, 0.9)},
)
def tinygnn_method(
    problem: Problem,
    *,
    soft_weight: float = 0.7,
    temperature: float = 2.0,
    width: int = 64,
    layers: int = 1,
    dropout: float = 0.5,
    heads: int = 1,
    peers: Peers = "siblings",
    fan_out: int | None = None,
) -> nn.Module:
    """Train a shallow GNN that looks at peers on labels and soft labels; choose it where a deep GNN's hops are dear.

    The student is a ``TinyGNN`` of ``layers`` layers, ``width`` and ``dropout``, with attention of ``heads`` heads to
    ``peers`` (bounded by ``fan_out``, see ``peer_index``) before each layer; the loss is ``neighbour_distillation``.
    The student serves new nodes with their edges. O(P width + E width) a step for P pairs of peers, which are found
    once per graph. The paper has no code: the docstrings of these name our choices.
    """
    options: dict[str, Any] = {"layers": layers, "dropout": dropout, "heads": heads, "peers": peers, "fan_out": fan_out}
    student = problem.made(lambda: TinyGNN(problem.features, width, problem.classes, **options))
    losses = neighbour_distillation(soft_weight, temperature, labelled=problem.labelled)
    return problem.train(problem.distiller(student, problem.teacher, losses))


def sample_in_edges(
    edge_index: Tensor, fan_out: int, num_nodes: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """Draw at most ``fan_out`` edges into every node, uniformly without replacement: (2, E) -> (2, E').

    Raises ValueError for ``fan_out`` below 1.

    Example::

        >>> sample_in_edges(torch.tensor([[0, 1, 2, 3], [3, 3, 3, 0]]), fan_out=2, num_nodes=4)[1]
        tensor([0, 3, 3])
    """
    if fan_out < 1:
        raise ValueError(f"'fan_out' must be at least 1, got {fan_out}")
    order = torch.randperm(edge_index.size(1), device=edge_index.device, generator=generator)
    order = order[edge_index[1, order].argsort(stable=True)]
    target = edge_index[1, order]
    first = torch.searchsorted(target, torch.arange(num_nodes, device=target.device))
    rank = torch.arange(target.size(0), device=target.device) - first[target]
    return edge_index[:, order[rank < fan_out]]


def peer_index(edge_index: Tensor, num_nodes: int, peers: Peers = "siblings", *, fan_out: int | None = None) -> Tensor:
    """List the pairs that attend: (2, E) -> (2, P), row 0 a peer, row 1 the node; each pair once, nodes themselves too.

    "siblings": nodes with an edge into a common target, up to sum_v deg(v)^2 pairs; "adjacent_siblings": siblings with
    an edge into the node; "neighbours": all nodes with an edge into the node. ``fan_out`` first draws at most that many
    edges into each node, with a fixed seed, which bounds the pairs by N fan_out^2. Self-loops make no peers. Raises
    ValueError for other ``peers``.

    Example::

        >>> peer_index(torch.tensor([[0, 1], [2, 2]]), num_nodes=3)  # nodes 0 and 1 have an edge into node 2
        tensor([[0, 1, 0, 1, 2],
                [0, 0, 1, 1, 2]])
    """
    choose("peers", peers, get_args(Peers))
    if fan_out is not None:
        generator = torch.Generator(edge_index.device).manual_seed(0)
        edge_index = sample_in_edges(edge_index, fan_out, num_nodes, generator=generator)
    source, target = edge_index[:, edge_index[0] != edge_index[1]].cpu().numpy()
    entering = csr_matrix((np.ones(source.size), (target, source)), (num_nodes, num_nodes))
    pattern = entering if peers == "neighbours" else entering.T @ entering
    if peers == "adjacent_siblings":
        pattern = pattern.multiply(entering)
    node, peer = (pattern + identity(num_nodes)).nonzero()
    return torch.from_numpy(np.stack([peer, node])).to(edge_index)


@kept
def _peer_layout(edge_index: Tensor, num_nodes: int, peers: Peers, fan_out: int | None) -> EdgeLayout:
    return edge_layout(peer_index(edge_index, num_nodes, peers, fan_out=fan_out), num_nodes)


class PAM(nn.Module):
    """Attend from every node to its peers and itself (peer-aware module), which one GNN layer does not connect.

    out_i = sum_j softmax_j(W_q x_i . W_k x_j / sqrt(d_k)) W_v x_j over ``peer_index`` (with ``peers`` and ``fan_out``),
    computed once per graph. width, out: of input and output; key_width: d_k of each of ``heads`` heads, by default
    out / heads; their outputs are concatenated. ``scale=False`` leaves sqrt(d_k) out, ``residual`` adds x_i. Raises
    ValueError unless heads divide ``out`` and, with ``residual``, width and out are equal. O(P d) time, O(P + N d)
    memory for P pairs.

    Example::

        >>> attention, alike = PAM(width=8, out=4, peers="neighbours"), torch.ones(48, 8)
        >>> torch.allclose(attention(alike, data.edge_index), attention.value(alike), atol=1e-6)  # weights sum to 1
        True
    """

    def __init__(
        self,
        width: int,
        out: int,
        *,
        key_width: int | None = None,
        heads: int = 1,
        peers: Peers = "siblings",
        fan_out: int | None = None,
        scale: bool = True,
        residual: bool = False,
    ) -> None:
        super().__init__()
        choose("peers", peers, get_args(Peers))
        if out % heads:
            raise ValueError(f"'out' must be a multiple of 'heads', got {out} and {heads}")
        if residual and width != out:
            raise ValueError(f"'residual' needs equal widths, got {width} and {out}")
        key_width = out // heads if key_width is None else key_width
        self.query, self.key = (nn.Linear(width, heads * key_width, bias=False) for _ in range(2))
        self.value = nn.Linear(width, out, bias=False)
        self.heads, self.peers, self.fan_out, self.residual = heads, peers, fan_out, residual
        self.factor = key_width**-0.5 if scale else 1.0

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, width), (2, E) -> (N, out)."""
        layout = _peer_layout(edge_index, x.size(0), self.peers, self.fan_out)
        parts = (linear(x).chunk(self.heads, dim=1) for linear in (self.query, self.key, self.value))
        found = [
            edge_spmm(segment_log_softmax(self.factor * edge_dot(query, key, layout), layout).exp(), value, layout)
            for query, key, value in zip(*parts, strict=True)
        ]
        joined = torch.cat(found, dim=1)
        return x + joined if self.residual else joined


class TinyGNN(nn.Module):
    """Classify nodes by a few graph attention layers with a ``PAM`` before each; options go to ``PAM``.

    In each layer x <- GATConv(dropout(ELU(PAM(x)))), with an ELU and dropout between layers.

    Example::

        >>> student = TinyGNN(features=8, hidden=16, classes=3, layers=1, peers="siblings").eval()
        >>> tuple(student(data.x, data.edge_index).shape)
        (48, 3)
    """

    def __init__(
        self, features: int, hidden: int, classes: int, *, layers: int = 1, dropout: float = 0.5, **options: Any
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"'layers' must be at least 1, got {layers}")
        self.pams = nn.ModuleList(PAM(hidden if number else features, hidden, **options) for number in range(layers))
        outs = [hidden] * (layers - 1) + [classes]
        self.convs = nn.ModuleList(GATConv(hidden, out) for out in outs)
        self.dropout = dropout

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, F), (2, E) -> (N, C) logits."""
        for number, (pam, conv) in enumerate(zip(self.pams, self.convs, strict=True)):
            if number:
                x = F.dropout(F.elu(x), self.dropout, self.training)
            x = conv(F.dropout(F.elu(pam(x, edge_index)), self.dropout, self.training), edge_index)
        return x


def neighbour_distillation(
    soft_weight: float = 0.7, temperature: float = 2.0, *, labelled: str, taught: str | None = None
) -> dict[str, Loss]:
    """Weigh (1 - lambda) CE on the rows ``labelled`` + lambda T^2 KL(teacher || student) on ``taught``, by default all.

    lambda = ``soft_weight``. Our choices: lambda weighs the soft targets, and the default values of lambda and T.
    labelled, taught: names of masks in the batch. Raises ValueError for lambda outside [0, 1].

    Example::

        >>> losses = neighbour_distillation(soft_weight=0.7, temperature=2.0, labelled="train_mask")
        >>> distiller = graphkd.Distiller(teacher, graphkd.Frozen(teacher), losses)
        >>> round(float(distiller(data).terms["teacher"]), 3)  # a student that equals the teacher
        0.0
    """
    if not 0 <= soft_weight <= 1:
        raise ValueError(f"'soft_weight' must be in [0, 1], got {soft_weight}")
    return {"label": (1 - soft_weight) * CE(where=labelled), "teacher": soft_weight * KL(temperature, where=taught)}
