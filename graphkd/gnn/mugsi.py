"""MuGSI: a student that classifies graphs learns from its teacher at the level of graphs, clusters and walks.

Yao, Sun, Cao, Zhang and Chen, "MuGSI: Distilling GNNs with Multi-Granularity Structural Information for Graph
Classification", The Web Conference 2024, arXiv:2406.19832.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.adjacency import edge_index_of
from graphkd.core.by_name import fill
from graphkd.core.distiller import Distiller, Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, ask
from graphkd.core.view import Batch, Call
from graphkd.gnn.mugsi_student import AttentionPooling, MuGSIStudent
from graphkd.gnn.mugsi_terms import cluster_cosines, graph_vectors, pooled, stacked_clusters, walk_affinity
from graphkd.gnn.walks import walks_from
from graphkd.kernels import edge_layout
from graphkd.losses._layers import Layer, layer_taps
from graphkd.losses.relations.inter_region_affinity import louvain_regions

OWN_LAYERS = ("embed", "pool")  # of a ``MuGSIStudent``


@method(
    "mugsi",
    family="gnn",
    paper="Yao et al., The Web Conference 2024",
    arxiv="2406.19832",
    tasks=("graph_classification",),
    needs=("layers", "edges"),
    published={"epochs": 350, "patience": 60, "lr": 0.008, "weight_decay": 0.0},
    student=False,
)
def mugsi_method(
    problem: Problem,
    *,
    layers: Sequence[Layer],
    soft_weight: float = 1.0,
    graph_weight: float = 0.01,
    cluster_weight: float = 0.01,
    walk_weight: float = 0.0001,
    walks: int = 20,
    walk_length: int = 8,
    width: int | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Match graphs, clusters of nodes and random walks, beside the labels; choose it for an MLP that classifies graphs.

    CE + soft_weight KL(teacher || student) + graph_weight ``graph_vectors`` (the student's after a linear map) +
    cluster_weight ``cluster_cosines`` of node rows summed over each Louvain cluster + walk_weight ``walk_affinity`` of
    ``walks`` random walks of ``walk_length`` steps per graph, drawn anew at every step from random nodes; graphs
    without edges have no walks. Weights are those of the authors' README. layers: the path of a layer with a row per
    node and of one with a row per graph, each the same in both models or a (student, teacher) pair. If no student is
    given, a ``MuGSIStudent`` of ``width`` 64 and ``dropout`` 0 is made, whose layers need not be given. If a student's
    graph layer is an ``AttentionPooling``, it pools clusters, too. A step costs a pass of the teacher,
    O(walks walk_length d) per graph and O(R d^2) for R clusters; Louvain runs once per graph.

    Differs from the authors' code in this: epochs are chosen on validation graphs, theirs on the test fold; their
    learning rate is multiplied by 0.6 after 30 epochs without improvement, here pass a ``scheduler``; walks whose
    softmax underflows count by its logarithm, theirs drop the graph; clusters of a batch are pooled together, so a
    BatchNorm in the gate treats them as one batch; clusters are drawn with a seed.

    Example::

        graphkd.distil("mugsi", None, gin, loader, task=task, layers=("convs.2", "pool"))
    """
    student, taps = _student(problem, layers, {"width": width, "dropout": dropout})
    weights = {"soft": soft_weight, "graph": graph_weight, "cluster": cluster_weight, "walk": walk_weight}
    trainable = MuGSI(
        student,
        problem.teacher,
        problem.supervised(),
        problem.soft(),
        taps=taps,
        widths=_widths(problem, student, taps),
        weights=weights,
        walks=walks,
        walk_length=walk_length,
        call=problem.call_of(student),
    )
    return problem.train(trainable)


def _student(problem: Problem, layers: Sequence[Layer], shape: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """Return the student and the taps of both sides."""
    found = [pair if isinstance(pair, tuple) else (pair, pair) for pair in layer_taps("mugsi", layers).values()]
    asked = {name: value for name, value in shape.items() if value is not None}
    if problem.student is not None:
        if asked:
            raise ValueError(
                f"'width' and 'dropout' shape the student that is made where none is given, got {asked} and a "
                f"{type(problem.student).__name__}: give student=None, or leave them out"
            )
        return problem.student, dict(zip(("nodes", "graphs"), found, strict=True))
    pairs = [(own, other) for own, (_, other) in zip(OWN_LAYERS, found, strict=True)]
    student = problem.made(lambda: MuGSIStudent(problem.features, problem.classes, **asked))
    return student, dict(zip(("nodes", "graphs"), pairs, strict=True))


def _widths(problem: Problem, student: nn.Module, taps: dict[str, tuple[str, str]]) -> tuple[int, int]:
    """Return the widths of both graph layers."""
    found = []
    for side, model in enumerate((student, problem.teacher)):
        with shown(model, problem.call_of(model), taps["graphs"][side]) as show:
            found.append(int(show(problem.first)["hidden"].size(1)))
    return found[0], found[1]


class MuGSI(Distiller):
    """MuGSI on PyG's batches of graphs; terms ``label``, ``soft``, ``graph``, ``cluster``, ``walk``; see ``mugsi``.

    label, soft: losses of the logits. taps: (student, teacher) pairs of paths for ``nodes`` and ``graphs``. widths: of
    the graph layers of student and teacher. weights: of ``soft``, ``graph``, ``cluster`` and ``walk``. Raises
    ValueError for ``walks`` or ``walk_length`` below 1.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen,
        label: Loss,
        soft: Loss,
        *,
        taps: dict[str, tuple[str, str]],
        widths: tuple[int, int],
        weights: dict[str, float],
        walks: int = 20,
        walk_length: int = 8,
        call: Call | None = None,
    ) -> None:
        super().__init__(student, teacher, {"label": label, "soft": soft}, taps=dict(taps), call=call)
        if walks < 1 or walk_length < 1:
            raise ValueError(f"'walks' and 'walk_length' must be at least 1, got {walks} and {walk_length}")
        self.head = nn.Linear(*widths)
        self.term_weights, self.walks, self.walk_length = {"label": 1.0, **weights}, walks, walk_length
        own = student.get_submodule(taps["graphs"][0])
        self._pool = [own.gate if isinstance(own, AttentionPooling) else None]  # in a list: no module of this one's
        self._clusters: dict[bytes, Tensor] = {}

    def forward(self, batch: Batch) -> Step:
        """Compare student and teacher on a batch at every granularity."""
        assert self.teacher is not None
        view, taught = self._viewer(batch), ask(self.teacher, batch, self._paths)
        terms: dict[str, tuple[float, Tensor]] = {}
        for name, loss in zip(self.names, self.losses, strict=True):
            assert isinstance(loss, Loss)
            value = loss.measure(view, loss.digest_view(taught, batch) if loss.needs_teacher else None, batch)
            if value is not None:
                terms[name] = (self.term_weights[name], value)
        graphs = view["graphs"].size(0)
        index, edge_index = _members(batch, view["nodes"].size(0))
        values = {
            "graph": graph_vectors(self.head(view["graphs"]), taught["graphs"]),
            "cluster": self._cluster(view["nodes"], taught["nodes"], index, edge_index, graphs),
            "walk": self._walk(view["nodes"], taught["nodes"], index, edge_index, graphs),
        }
        terms |= {name: (self.term_weights[name], value) for name, value in values.items()}
        return Step(self.weighed(terms), {name: value.detach() for name, (_, value) in terms.items()})

    def _cluster(self, student: Tensor, teacher: Tensor, index: Tensor, edge_index: Tensor, graphs: int) -> Tensor:
        cluster, graph = stacked_clusters(self.clusters(index, edge_index, graphs), index, graphs)
        count = graph.size(0)
        return cluster_cosines(
            pooled(student, cluster, count, self._pool[0]), pooled(teacher, cluster, count), graph, graphs
        )

    def _walk(self, student: Tensor, teacher: Tensor, index: Tensor, edge_index: Tensor, graphs: int) -> Tensor:
        walks = self.walks_of(index, edge_index, graphs)
        options: dict[str, Any] = {"per_graph": self.walks}
        return walk_affinity(student, teacher, walks, index[walks[:, 0]], graphs, **options)

    @torch.no_grad()
    def walks_of(self, index: Tensor, edge_index: Tensor, graphs: int) -> Tensor:
        """Draw walks from random nodes of each graph that has an edge: (W, P + 1) rows of the batch."""
        counts = torch.bincount(index, minlength=graphs)
        first = counts.cumsum(0) - counts
        joined = index[edge_index[0]].unique()
        graph = joined.repeat_interleave(self.walks)
        chance = torch.rand(graph.shape, dtype=torch.float64, device=graph.device)
        starts = first[graph] + (chance * counts[graph]).long()
        return walks_from(starts, edge_layout(edge_index, index.size(0)), self.walk_length + 1)

    @torch.no_grad()
    def clusters(self, index: Tensor, edge_index: Tensor, graphs: int) -> Tensor:
        """Number the Louvain clusters of each graph's nodes from 0 in each graph: (n,); computed once per graph."""
        counts = torch.bincount(index, minlength=graphs).tolist()
        owner = index[edge_index[0]]
        by_graph = edge_index[:, owner.argsort(stable=True)].cpu()
        sizes = torch.bincount(owner, minlength=graphs).tolist()
        found, first = [], 0
        for nodes, edges in zip(counts, by_graph.split(sizes, dim=1), strict=True):
            local = (edges - first).contiguous()
            key = hashlib.sha256(local.numpy().tobytes() + nodes.to_bytes(8, "little")).digest()
            if key not in self._clusters:
                self._clusters[key] = louvain_regions(local, nodes)
            found.append(self._clusters[key])
            first += nodes
        return torch.cat(found).to(index.device)


def _members(batch: Batch, nodes: int) -> tuple[Tensor, Tensor]:
    """Return the graph of each node, sorted as in PyG's batches, and the edges."""
    known = fill(("edge_index", "batch"), batch, "MuGSI")
    if known["batch"].size(0) != nodes:
        raise ValueError(
            f"the first of 'layers' must have a row for each of the {known['batch'].size(0)} nodes, got {nodes}: give "
            "the path of a layer before pooling"
        )
    return known["batch"], edge_index_of(known["edge_index"])
