"""The inputs of the kernels' benchmark, and every way to compute an op on them: ours, the plain form, PyG's."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.utils import scatter, softmax

from graphkd.kernels import (
    EdgeLayout,
    edge_dot,
    edge_kl,
    edge_layout,
    edge_similarity,
    edge_spmm,
    edges,
    infonce,
    segment_log_softmax,
    squared_distance_divergence,
)
from graphkd.kernels.pairs import pair_divergence_reference
from graphkd.kernels.segments import edge_kl_reference, segment_log_softmax_reference
from graphkd.kernels.similarity import EdgeKernel
from graphkd.losses.information import gcrd
from graphkd.losses.structure import GlobalKernel, LocalStructure, gsp, local_structure, lsp

OURS = "aten"
_TEMPERATURE = 0.075
_NODE_BY_NODE = 2 * 10**9  # N E steps: each node's gradient is a vector of all edges


class Size(NamedTuple):
    """Nodes, edges (0: the op has none), width of the student's and of the teacher's features (0: none)."""

    nodes: int
    edges: int = 0
    student: int = 64
    teacher: int = 256


class Provider(NamedTuple):
    """One way to compute an op, about how much memory forward and backward take, and why it must not be run."""

    forward: Callable[[], Tensor]
    gigabytes: float = 0.0
    unfit: str = ""

    def refusal(self, limit_gb: float) -> str:
        """Why it is not run; empty if it is."""
        if self.gigabytes > limit_gb:
            return f"not run: needs about {self.gigabytes:,.3g} GB, --limit-gb is {limit_gb:g}"
        return self.unfit and f"not run: {self.unfit}"


class Case(NamedTuple):
    """The ways to compute one op on one input, and the tensors whose gradients are taken."""

    leaves: list[Tensor]
    providers: dict[str, Provider]


Builder = Callable[[Size, torch.device], Case]


# ---------------------------------------------------------------- inputs
def _features(nodes: int, width: int, device: torch.device) -> Tensor:
    return torch.randn(nodes, width, device=device).mul_(width**-0.5)  # rows of length 1: exp(-|x - y|^2) is not 0


def _edge_index(size: Size, device: torch.device) -> Tensor:
    return torch.randint(size.nodes, (2, size.edges), device=device)


def _layout(size: Size, device: torch.device) -> EdgeLayout:
    return edge_layout(_edge_index(size, device), size.nodes)


def _sides(size: Size, device: torch.device) -> tuple[Tensor, Tensor]:
    student = _features(size.nodes, size.student, device).requires_grad_()
    return student, _features(size.nodes, size.teacher, device)


def _gb(floats: float) -> float:
    return 4 * floats / 1e9


# ---------------------------------------------------------------- over edges
_PLAIN_SIMILARITY: dict[str, Callable[[Tensor, EdgeLayout], Tensor]] = {
    "cosine": lambda x, layout: F.cosine_similarity(x[layout.target], x[layout.source]),
    "dot": lambda x, layout: edges.edge_dot_reference(x, x, layout),
    "squared_euclidean": edges.edge_squared_distance_reference,
    "rbf": lambda x, layout: (-edges.edge_squared_distance_reference(x, layout) / 2).exp(),
    "l1": edges.edge_l1_distance_reference,
}


def similarity(kernel: EdgeKernel) -> Builder:
    """``edge_similarity`` from the raw ``edge_index``, our sort of it included."""

    def build(size: Size, device: torch.device) -> Case:
        x, edge_index = _features(size.nodes, size.student, device).requires_grad_(), _edge_index(size, device)
        layout, plain = edge_layout(edge_index, size.nodes), _PLAIN_SIMILARITY[kernel]
        return Case(
            [x],
            {
                "reference": Provider(lambda: layout.restore(plain(x, layout)), _gb(6 * size.edges * size.student)),
                OURS: Provider(lambda: edge_similarity(x, edge_index, kernel)),
            },
        )

    return build


def dot(size: Size, device: torch.device) -> Case:
    """``edge_dot`` of two feature matrices."""
    layout = _layout(size, device)
    x, y = (_features(size.nodes, size.student, device).requires_grad_() for _ in range(2))
    return Case(
        [x, y],
        {
            "reference": Provider(lambda: edges.edge_dot_reference(x, y, layout), _gb(5 * size.edges * size.student)),
            OURS: Provider(lambda: edge_dot(x, y, layout)),
        },
    )


def product(size: Size, device: torch.device) -> Case:
    """``edge_spmm``; PyG's scattered messages, as its ``spmm`` makes N x N for the gradient of the values."""
    layout = _layout(size, device)
    source, target = layout.source.long(), layout.target.long()
    values = torch.rand(size.edges, device=device).requires_grad_()
    y = _features(size.nodes, size.student, device).requires_grad_()

    def pyg() -> Tensor:
        return scatter(values[:, None] * y[source], target, dim_size=size.nodes, reduce="sum")

    messages = _gb(5 * size.edges * size.student)
    return Case(
        [values, y],
        {
            "reference": Provider(lambda: edges.edge_spmm_reference(values, y, layout), messages),
            "pyg": Provider(pyg, messages),
            OURS: Provider(lambda: edge_spmm(values, y, layout)),
        },
    )


def _too_slow(size: Size) -> str:
    slow = size.nodes * size.edges > _NODE_BY_NODE
    return "takes a node at a time in Python, its gradient N E steps" if slow else ""


def log_softmax(size: Size, device: torch.device) -> Case:
    """``segment_log_softmax``; PyG's ``softmax`` and the logarithm."""
    layout, scores = _layout(size, device), torch.randn(size.edges, device=device).requires_grad_()
    target = layout.target.long()
    return Case(
        [scores],
        {
            "reference": Provider(lambda: segment_log_softmax_reference(scores, layout), unfit=_too_slow(size)),
            "pyg": Provider(lambda: softmax(scores, target, num_nodes=size.nodes).log()),
            OURS: Provider(lambda: segment_log_softmax(scores, layout)),
        },
    )


def kl(size: Size, device: torch.device) -> Case:
    """``edge_kl`` of scores against log-probabilities; PyG's ``softmax``, ``kl_div`` and PyG's ``scatter``."""
    layout, scores = _layout(size, device), torch.randn(size.edges, device=device).requires_grad_()
    target = layout.target.long()
    teacher = segment_log_softmax(torch.randn(size.edges, device=device), layout)

    def pyg() -> Tensor:
        log_prob = softmax(scores, target, num_nodes=size.nodes).log()
        terms = F.kl_div(log_prob, teacher, reduction="none", log_target=True)
        return scatter(terms, target, dim_size=size.nodes, reduce="sum")

    return Case(
        [scores],
        {
            "reference": Provider(lambda: edge_kl_reference(scores, teacher, layout), unfit=_too_slow(size)),
            "pyg": Provider(pyg),
            OURS: Provider(lambda: edge_kl(scores, teacher, layout)),
        },
    )


def _plain_structure(x: Tensor, edge_index: Tensor) -> Tensor:
    source, target = edge_index
    return softmax(F.cosine_similarity(x[source], x[target]), target, num_nodes=x.size(0))


def local(*, cached: bool) -> Builder:
    """LSP with the cosine, KL(teacher || student) over edges, from raw features; ``cached``: teacher done before."""

    def build(size: Size, device: torch.device) -> Case:
        (student, teacher), edge_index = _sides(size, device), _edge_index(size, device)

        def plain(probabilities: Tensor | None = None) -> Tensor:
            p = _plain_structure(teacher, edge_index) if probabilities is None else probabilities
            return F.kl_div(_plain_structure(student, edge_index).log(), p, reduction="sum") / size.edges

        def ours(known: Tensor | LocalStructure) -> Tensor:
            return lsp(student, known, edge_index, "cosine", divergence="teacher_student", reduction="edges")

        needed = [_gb(6 * size.edges * size.student), _gb(4 * size.edges * size.teacher)]
        providers = {"reference": Provider(plain, max(needed))}
        if not cached:
            return Case([student], providers | {OURS: Provider(lambda: ours(teacher))})
        known = local_structure(teacher, edge_index, "cosine")
        p = known.probabilities()
        providers["reference_cached"] = Provider(lambda: plain(p), needed[0])
        return Case([student], providers | {OURS: Provider(lambda: ours(known))})

    return build


# ---------------------------------------------------------------- over all pairs
def _plain_gsp(student: Tensor, teacher: Tensor, kernel: GlobalKernel) -> Tensor:
    if kernel in ("euclidean", "rbf"):
        return pair_divergence_reference(student, teacher, kernel)
    s, t = F.normalize(student, dim=1), F.normalize(teacher, dim=1)
    return F.mse_loss(s @ s.t(), t @ t.t()) if kernel == "cosine" else pair_divergence_reference(s, t, "poly")


def _all_pairs(size: Size, *, differences: bool) -> float:
    width = max(4 * size.student, 2 * size.teacher) if differences else 0
    return _gb(size.nodes**2 * (6 + width))


def all_similarities(kernel: GlobalKernel) -> Builder:
    """GSP on all nodes; the plain form holds N x N, for distances N x N x d."""

    def build(size: Size, device: torch.device) -> Case:
        student, teacher = _sides(size, device)
        needed = _all_pairs(size, differences=kernel in ("euclidean", "rbf"))
        return Case(
            [student],
            {
                "reference": Provider(lambda: _plain_gsp(student, teacher, kernel), needed),
                OURS: Provider(lambda: gsp(student, teacher, kernel)),
            },
        )

    return build


def all_distances(size: Size, device: torch.device) -> Case:
    """``squared_distance_divergence`` with both matrices divided by 2."""
    student, teacher = _sides(size, device)
    two = torch.tensor(2.0, device=device)

    def plain() -> Tensor:
        s, t = student / two.sqrt(), teacher / two.sqrt()
        return pair_divergence_reference(s, t, "squared_euclidean") * size.nodes**2

    return Case(
        [student],
        {
            "reference": Provider(plain, _all_pairs(size, differences=True)),
            OURS: Provider(lambda: squared_distance_divergence(student, teacher, two, two)),
        },
    )


def _plain_infonce(anchor: Tensor, candidate: Tensor) -> Tensor:
    logits = anchor @ candidate.t() / _TEMPERATURE
    return F.cross_entropy(logits, torch.arange(anchor.size(0), device=anchor.device), reduction="none")


def contrast(*, normalised: bool) -> Builder:
    """``infonce``, or with ``normalised`` rows and a mean G-CRD behind its heads; both sides train, as heads do."""

    def build(size: Size, device: torch.device) -> Case:
        student, teacher = _sides(size, device)
        teacher.requires_grad_()

        def plain() -> Tensor:
            if normalised:
                return _plain_infonce(F.normalize(student, dim=1), F.normalize(teacher, dim=1)).mean()
            return _plain_infonce(student, teacher)

        ours = gcrd if normalised else infonce
        return Case(
            [student, teacher],
            {
                "reference": Provider(plain, _all_pairs(size, differences=False)),
                OURS: Provider(lambda: ours(student, teacher, _TEMPERATURE)),
            },
        )

    return build
