"""Formulas of FreeKD: the losses of two peers at given actions, the rewards, and the objective of the policies.

Peers are phi and psi. A node action is 0 where phi teaches psi, 1 where psi teaches phi, -1 where a node does not act;
a structure action is 1 where the local structure of a node is passed on.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.utils import scatter

from graphkd.kernels import EdgeLayout, edge_kl, edge_layout, segment_log_softmax, similarity_in_layout
from graphkd.losses import kl
from graphkd.losses._checks import choose

Similarity = Literal["cosine", "dot", "rbf", "euclidean", "squared_euclidean"]


class Shown(NamedTuple):
    """Store one peer's class scores (N, C) and the representation (N, d) by which nodes are compared.

    Example::

        >>> shown = Shown(logits=torch.randn(3, 2), hidden=torch.randn(3, 4))
        >>> actions = Actions(node=torch.tensor([1, 1, 0]), structure=torch.ones(3))
        >>> edges, where = torch.tensor([[0, 1, 2], [2, 2, 0]]), torch.ones(3, dtype=torch.bool)
        >>> freekd_transfer(shown, shown, actions, edges, direction=1, where=where)  # peers that agree
        (tensor(0.), tensor(0.))
    """

    logits: Tensor
    hidden: Tensor


class Actions(NamedTuple):
    """Store a node action and a structure action for every node, each (N,)."""

    node: Tensor
    structure: Tensor


def freekd_transfer(
    student: Shown,
    teacher: Shown,
    actions: Actions,
    edge_index: Tensor,
    *,
    direction: int,
    where: Tensor,
    similarity: Similarity = "cosine",
    scale: float = 1.0,
    temperature: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> tuple[Tensor, Tensor]:
    """Compute the node and structure losses of the peer that learns where the action is ``direction``; see ``FreeKD``.

    direction: 1 with phi as the student, 0 with psi. where: a mask (N,) of the nodes whose losses count. The node loss
    is the sum of T^2 KL(teacher_i || student_i) over those with a_i = direction; the structure loss the sum of
    KL(s_i^teacher || s_i^student) over those with structure action 1, s_i = softmax_j scale SIM(h_i, h_j) over the
    in-neighbours j with a_j = direction, duplicate edges counted. "mean" divides the node loss by the number of nodes
    in ``where``, and the structure loss by the number of nodes with two or more such in-neighbours (one neighbour
    teaches nothing), so that its weight does not depend on how many nodes have labelled neighbours. The teacher is a
    constant. O(N C + E d) time. Raises ValueError for an unknown similarity.

    Example::

        >>> phi, psi = (Shown(torch.randn(3, 2, requires_grad=True), torch.randn(3, 4)) for _ in range(2))
        >>> actions = Actions(node=torch.tensor([1, 1, 0]), structure=torch.zeros(3))
        >>> edges, where = torch.tensor([[0, 1, 2], [2, 2, 0]]), torch.ones(3, dtype=torch.bool)
        >>> node, structure = freekd_transfer(phi, psi, actions, edges, direction=1, where=where)
        >>> node.backward()
        >>> phi.logits.grad.any(dim=1), psi.logits.grad  # phi learns where the action is 1
        (tensor([ True,  True, False]), None)
    """
    choose("reduction", reduction, ("mean", "sum"))
    taught = where & (actions.node == direction)
    node = kl(student.logits[taught], teacher.logits[taught].detach(), temperature) * taught.sum()
    chosen = edge_index[:, (where & (actions.structure == 1))[edge_index[1]]]
    layout = edge_layout(neighbourhoods(chosen, actions.node, direction), where.size(0))
    with torch.no_grad():
        local = segment_log_softmax(scale * similarities(teacher.hidden, layout, similarity), layout)
    structure = edge_kl(scale * similarities(student.hidden, layout, similarity), local, layout).sum()
    if reduction == "sum":
        return node, structure
    several = torch.bincount(layout.target.long(), minlength=where.size(0)) > 1
    return node / where.sum().clamp(min=1), structure / several.sum().clamp(min=1)


def neighbourhoods(edge_index: Tensor, node_action: Tensor, direction: int) -> Tensor:
    """Select the edges of M_i = {j in In(i): a_j = direction}, (2, E) -> (2, E')."""
    return edge_index[:, node_action[edge_index[0]] == direction]


def similarities(hidden: Tensor, layout: EdgeLayout, similarity: Similarity) -> Tensor:
    """SIM of the two ends of every edge, in target order: (N, d) -> (E,); distances are negated."""
    choose("similarity", similarity, get_args(Similarity))
    values = similarity_in_layout(hidden, layout, similarity)
    return -values if similarity.endswith("euclidean") else values


def centre_similarity(hidden: Tensor, edge_index: Tensor, similarity: Similarity) -> Tensor:
    """u_i, the mean of SIM(h_i, h_j) over the edges j -> i: (N, d), (2, E) -> (N,); 0 for a node without in-edges."""
    layout = edge_layout(edge_index, hidden.size(0))
    values = similarities(hidden, layout, similarity)
    return scatter(values, layout.target.long(), dim_size=hidden.size(0), reduce="mean")


def freekd_reward(
    phi: Tensor, psi: Tensor, y: Tensor, edge_index: Tensor, gamma: float, known: Tensor | None = None
) -> Tensor:
    """R_i = -c_i - gamma mean_j c_j over the in-neighbours j: logits (N, C) twice, (N,), (2, E) -> (N,).

    c = CE^phi + CE^psi. known: a mask (N,) of the neighbours with a label, by default all. The second term is 0 for a
    node without such neighbours. Duplicate edges count.

    Example::

        >>> logits, y = torch.zeros(2, 2), torch.tensor([0, 1])
        >>> reward = freekd_reward(logits, logits, y, edge_index=torch.tensor([[0], [1]]), gamma=0.5)
        >>> (reward / torch.tensor(2.0).log()).round(decimals=3)  # both peers pay log 2 at every node
        tensor([-2., -3.])
    """
    cost = node_cross_entropy(phi, y) + node_cross_entropy(psi, y)
    source, target = edge_index if known is None else edge_index[:, known[edge_index[0]]]
    return -cost - gamma * scatter(cost[source], target, dim_size=cost.size(0), reduce="mean")


def node_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of every node, (N, C), (N,) -> (N,)."""
    return F.cross_entropy(logits, y.long(), reduction="none")


def freekd_objective(reward: Tensor, logits: Actions, actions: Actions) -> Tensor:
    """(1/B) sum_i R_i (log pi_node(a_i) + log pi_structure(a_i)), to be maximised: three times (B,) -> scalar.

    Both policies take action 1 with probability sigmoid(logit).

    Example::

        >>> logits, actions = Actions(torch.zeros(2), torch.zeros(2)), Actions(torch.tensor([0, 1]), torch.ones(2))
        >>> value = freekd_objective(torch.tensor([1.0, 3.0]), logits, actions)
        >>> round(float(value / torch.tensor(0.5).log()), 3)  # (1 + 3) / 2, times two chances of 1/2
        4.0
    """
    pairs = zip(logits, actions, strict=True)
    log_prob = sum(-F.binary_cross_entropy_with_logits(x, a.to(x.dtype), reduction="none") for x, a in pairs)
    return (reward.detach() * log_prob).sum() / max(reward.size(0), 1)
