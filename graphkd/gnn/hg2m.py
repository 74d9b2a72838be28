"""HG2M: an MLP learns from a heterogeneous GNN's answers at reliable nodes, and along meta-paths from them.

Liu, Gao, He, Zhao and Yin, "Teaching MLPs to Master Heterogeneous Graph-Structured Knowledge for Efficient and Accurate
Inference", IEEE TKDE 37(10), 2025, arXiv:2411.14035.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.adjacency import edge_index_of
from graphkd.core.by_name import node_types
from graphkd.core.distiller import Distiller, Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, ask
from graphkd.core.view import Batch, Call
from graphkd.gnn.glnn import check_label_weight, student_or_mlp
from graphkd.gnn.hg2m_paths import Taught, meta_path_pairs, pair_features, reliable_edges, reliable_nodes
from graphkd.losses.graphs.neighbour_kl import EdgeTargets, neighbour_kl
from graphkd.losses.response.kd import kl

Path = tuple[str, str, str]
MOST_PAIRS = 1 << 26  # of a meta-path, some gigabytes


@method(
    "hg2m",
    family="gnn",
    paper="Liu et al., TKDE 2025",
    arxiv="2411.14035",
    needs=("edges",),
    cannot={"loader": "its meta-paths join nodes of the whole graph"},
    published={"epochs": 1000, "weight_decay": 0.0},
    student=False,
    space={"label_weight": (0.003, 0.99), "reliable_share": (0.3, 1.0)},
)
def hg2m_method(
    problem: Problem,
    *,
    label_weight: float = 0.0,
    path_weight: float = 1.0,
    reliable_share: float = 0.9,
    least_shared: int = 1,
    paths: Sequence[Path] | None = None,
    layers: int | None = None,
    width: int | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Learn from reliable nodes, and along meta-paths from them; choose it for one type's nodes of a typed graph.

    lambda CE(labelled) + (1 - lambda) (KL_M + path_weight ND), lambda = ``label_weight``: KL_M is the mean KL over
    the ``reliable_nodes`` M, ND the mean over meta-paths of (sum_e score_e KL(t_src || s_dst) + N KL_M) / (E + N). A
    meta-path joins two nodes that share ``least_shared`` groups or more, as papers share authors; ``reliable_edges``
    chooses among these pairs, and their directions. paths: edge types from or to the predicted node type, whose other
    ends are the groups, by default all; in a graph of one type the neighbours are the groups. Pairs are computed once,
    before training. layers, width, dropout: of the MLP that is made if no student is given, by default 1 hidden layer,
    128 and 0.2; it reads features of the predicted type alone. Costs the pairs, once, and O(N C) a step. Raises
    ValueError if no node is reliable, and for a meta-path of more than ``MOST_PAIRS`` pairs, which large groups have.

    The authors publish neither the weight of the meta-paths (their code's default, 0, leaves them out; here 1) nor p,
    ``reliable_share``, for each data set. As in their code ND contains KL_M, so path_weight raises its weight, too.
    Differs from it in this: an exact 0 in a soft label counts as certain, there the node is dropped; scores that are
    all equal are kept, there they divide by 0.

    Example::

        graphkd.distil("hg2m", None, rgcn, data, task=NodeClassification(node_type="paper"))
    """
    student = student_or_mlp(problem, (layers, width, dropout), (1, 128, 0.2))
    told = problem.view_of(problem.teacher)
    with torch.no_grad():
        found = problem.once("paths", lambda: _found(problem, told, path_weight, reliable_share, least_shared, paths))
    taught = [Taught(*each) for each in zip(found["edges"], found["scores"], strict=True)]
    options: dict[str, Any] = {"label_weight": label_weight, "path_weight": path_weight}
    options["call"] = problem.call_of(student)
    trainable = HG2M(student, problem.teacher, problem.supervised(), found["reliable"], taught, **options)
    return problem.train(trainable)


def _found(
    problem: Problem, told: Tensor, weight: float, share: float, least: int, paths: Sequence[Path] | None
) -> dict[str, Any]:
    """Find the reliable nodes, and the edges and scores of each meta-path."""
    if not 0 < share <= 1 or least < 1:
        raise ValueError(f"'reliable_share' must be in (0, 1] and 'least_shared' at least 1, got {share} and {least}")
    known = torch.zeros(len(told), dtype=torch.bool, device=told.device)
    known[problem.labelled_nodes] = True
    probabilities = told.softmax(dim=1)
    rows = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
    reliable = reliable_nodes(probabilities, problem.targets, *rows, share)
    if not len(reliable):
        raise ValueError("no node is reliable: the teacher has no labelled node right, and 'reliable_share' is too low")
    edges, scores = [], []
    for incidence in incidences(problem, paths) if weight else []:
        pairs = meta_path_pairs(incidence, len(told), reliable, least)
        features = pair_features(pairs, _dense(problem.values_of("x")), probabilities)
        each = reliable_edges(pairs, features, problem.targets, rows[0], reliable)
        edges.append(each.edge_index)
        scores.append(each.score)
    return {"reliable": reliable, "edges": edges, "scores": scores}


def _dense(x: Tensor) -> Tensor:
    return x if x.layout == torch.strided else x.to_dense()


def incidences(problem: Problem, paths: Sequence[Path] | None = None) -> list[Tensor]:
    """List each meta-path as (node, group) pairs, (2, M): the edges of a type with predicted nodes at one end."""
    graph: Any = problem.first
    if not node_types(graph):
        if paths is not None:
            raise ValueError(f"'paths' are edge types of a heterogeneous graph, this one has one type, got {paths}")
        edge_index = edge_index_of(graph["edge_index"])
        _check_pairs("from a node to its neighbours", edge_index[1])
        return [edge_index]
    kind = getattr(problem.task, "node_type", None)
    known = [tuple(each) for each in graph.edge_types if kind in (each[0], each[2])]
    wrong = [each for each in paths or () if tuple(each) not in known]
    if wrong or not known:
        raise ValueError(f"'paths' must be edge types from or to {kind!r}, of {known}, got {wrong}")
    found: dict[bytes, Tensor] = {}  # a type and its reverse join the same nodes
    for each in paths or known:
        edge_index = edge_index_of(graph[tuple(each)]["edge_index"])
        own = edge_index if each[0] == kind else edge_index.flip(0)
        groups = int(own[1].max()) + 1 if own.numel() else 1
        _check_pairs(tuple(each), own[1])
        key = (own[0] * groups + own[1]).sort().values.cpu().numpy().tobytes()
        found.setdefault(key, own)
    return list(found.values())


def _check_pairs(path: Any, group: Tensor) -> None:
    """Raise ValueError for groups so large that the pairs of their members would not fit into memory."""
    sizes = torch.bincount(group).double()
    pairs = int((sizes * (sizes - 1) / 2).sum())
    if pairs > MOST_PAIRS:
        raise ValueError(
            f"the meta-path {path} joins up to {pairs:,} pairs of nodes, its largest group {int(sizes.max()):,} nodes; "
            f"more than {MOST_PAIRS:,} do not fit: give 'paths' without it, or a graph without its largest groups"
        )


class HG2M(Distiller):
    """HG2M on a batch of all nodes; terms ``label``, ``nodes``, ``paths``.

    reliable: ids of the nodes M; taught: the scored edges of each meta-path. For the weights see ``hg2m``.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen,
        label: Loss,
        reliable: Tensor,
        taught: Sequence[Taught],
        *,
        label_weight: float = 0.0,
        path_weight: float = 1.0,
        call: Call | None = None,
    ) -> None:
        check_label_weight(label_weight)
        super().__init__(student, teacher, {"label": label}, call=call)
        self.reliable, self.taught = reliable, list(taught)
        self.label_weight, self.path_weight = label_weight, path_weight
        self._targets: list[EdgeTargets] | None = None

    def forward(self, batch: Batch) -> Step:
        """Compare the student's answers with the labels, the reliable nodes' answers and those along meta-paths."""
        assert self.teacher is not None
        view, told = self._viewer(batch), ask(self.teacher, batch)["logits"]
        label = self.losses[0]
        assert isinstance(label, Loss)
        nodes, paths = self.soft(view["logits"], told)
        rest = 1 - self.label_weight
        terms = {"nodes": (rest, nodes)} | ({} if paths is None else {"paths": (rest * self.path_weight, paths)})
        value = label.measure(view, None, batch)
        terms |= {} if value is None else {"label": (self.label_weight, value)}
        return Step(self.weighed(terms), {name: term.detach() for name, (_, term) in terms.items()})

    def soft(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute KL_M, and ND if there are meta-paths: (N, C), (N, C) -> scalars."""
        rows = student.size(0)
        nodes = kl(student[self.reliable], teacher[self.reliable])
        if not self.taught:
            return nodes, None
        if self._targets is None:  # targets never change
            totals = [each.edge_index.size(1) + rows for each in self.taught]
            self._targets = [
                EdgeTargets.of(teacher, each.edge_index.flip(0), each.score, total=total)
                for each, total in zip(self.taught, totals, strict=True)
            ]
        parts = [neighbour_kl(student, each) + rows / float(each.total) * nodes for each in self._targets]
        return nodes, torch.stack(parts).mean()
