"""Holistic distillation (HKD): nodes and their neighbourhoods, contrasted with memories of all nodes."""

import itertools
from typing import Literal, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.loss import Loss, Reads
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.kernels import EdgeLayout, counted_logsumexp, edge_layout, edge_spmm, nearest_rows, sampled_logsumexp
from graphkd.kernels.checks import check_matrices
from graphkd.kernels.norms import unit_vectors
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive, check_rows, choose, class_ids, row_ids
from graphkd.losses._negatives import Counts, Drawn, NegativeDraws, Part
from graphkd.losses._projector import Linear
from graphkd.losses.information.crd import first_memory, remember

Negatives = Literal["self", "other"]

Entries = tuple[Tensor, Tensor | EdgeLayout]  # features, and logits or the graph that they give


def prediction_graph(logits: Tensor, neighbours: int = 8) -> Tensor:
    """Give each node edges from itself and from the nodes of the most similar class probabilities, by cosine.

    (N, C) -> (2, N k), k = ``neighbours`` with the node itself, sorted by target and then by source; no gradient.

    Example::

        >>> logits = torch.tensor([[3.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 3.0]])
        >>> prediction_graph(logits, neighbours=2)  # nodes 0 and 1 predict one class, 2 and 3 the other
        tensor([[0, 1, 0, 1, 2, 3, 2, 3],
                [0, 0, 1, 1, 2, 2, 3, 3]])
    """
    check_matrices(logits=logits)
    x = logits.detach().double()  # confident rows differ by less than float32 resolves near 1
    nearest = nearest_rows(unit_vectors(x.softmax(dim=1)), neighbours - 1)
    target = torch.arange(x.size(0), device=x.device)[:, None]
    source = torch.cat([target, nearest], dim=1).sort(dim=1).values
    return torch.stack([source.flatten(), target.expand_as(source).flatten()])


def neighbourhood(x: Tensor, edge_index: Tensor | EdgeLayout) -> Tensor:
    """Compute D^-1/2 A D^-1/2 X, D the in-degrees, at least 1; the mean of k rows where all are k: (N, p) -> (N, p)."""
    layout = edge_layout(edge_index, x.size(0))
    scale = layout.ptr.diff().clamp_min(1).to(x.dtype).rsqrt()[:, None]
    return scale * edge_spmm(x.new_ones(layout.num_edges), scale * x, layout)


def bank_contrast(
    anchor: Tensor, positive: Tensor, memory: Tensor, negatives: Part, temperature: float = 0.07
) -> Tensor:
    """Contrast anchors with a positive and rows of a memory each: (N, p), (N, p), (n, p), (N, K) -> scalar.

    mean_i -log[exp(a_i . b_i / tau) / (exp(a_i . b_i / tau) + sum_k exp(a_i . m_k / tau))]; the memory is constant,
    ``negatives`` are ids or ``Counts``.

    Example::

        >>> anchor, memory, negatives = torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.tensor([[1]])
        >>> round(float(bank_contrast(anchor, anchor, memory, negatives, temperature=1.0)), 3)  # log(1 + 1 / e)
        0.313
    """
    anchor, positive = (x.to(accumulation_dtype(x)) for x in (anchor, positive))
    if isinstance(negatives, Counts):
        others = counted_logsumexp(anchor, memory, negatives.often, 1 / temperature)
    else:
        others = sampled_logsumexp(anchor, memory, negatives, 1 / temperature)
    found = F.softplus(others - (anchor * positive).sum(dim=1) / temperature, threshold=50.0)
    return found.sum() / max(found.numel(), 1)


class HKD(Loss):
    """Contrast nodes and their neighbourhoods with memories: holistic distillation. Zhou et al., ICCV 2021 (HKD).

    e = normalised linear map of the features, g = normalised linear map of [e, mean of e over the k neighbours], M the
    memories of e (of each side, by node), NCE = ``bank_contrast`` with K negatives (the same ones in all terms):
    NCE(e_s, M_t[i], M_s) + NCE(e_t, M_s[i], M_t) + NCE(g_s, n(0.75 M_t[i] + 0.25 g_t), M_s) + NCE(g_t, n(0.75 M_s[i] +
    0.25 g_s), M_t), where n(.) normalises and stops the gradient. Each training step ends with M <- n(0.9 M + 0.1 e)
    for the rows of the batch. All four maps train with the student; logits have no gradient. Each side's neighbours are
    the k nodes of the most similar class probabilities, the node itself included; ``neighbours=None`` uses the batch's
    ``edge_index`` instead (normalised by in-degrees, no self-loops added). As in the authors' code, a batch of fewer
    than k nodes uses the first two terms alone and leaves the memories unchanged. ``negatives_of="self"``, the authors'
    choice, takes a side's negatives from its own memory; "other" takes them from the memory of the positives, as a
    bound on mutual information would.

    Entries are the pair (hidden, logits): (N, d) and (N, C). n_id: (N,) ids of the rows (without it all nodes in
    order); negatives: (N, K) ids to use instead of draws. labels: (num_nodes,) classes; negatives are drawn from nodes
    of other classes, with replacement (the authors': without, where possible), or without labels from all other nodes.
    The authors' weight is 3, beside KL(4) with weight 1 and labels. Time and memory are those of ``CRD``.

    Example::

        >>> hkd = HKD(data.num_nodes, student_width=12, teacher_width=12, projection=16, neighbours=4, negatives=8)
        >>> tuple(hkd.student_memory.shape), tuple(hkd.teacher_memory.shape)
        ((48, 16), (48, 16))
        >>> loss = graphkd.losses.CE(where="train_mask") + 3 * hkd
        >>> result = graphkd.distil(loss, student, teacher, data, hidden="convs.0", epochs=2, progress=False)
    """

    answers = "classes"
    answers_at = (1,)
    on = ("hidden", "logits")
    rows = ("n_id", "negatives")
    student_memory: Tensor
    teacher_memory: Tensor

    def __init__(
        self,
        num_nodes: int,
        student_width: int,
        teacher_width: int,
        projection: int = 128,
        *,
        neighbours: int | None = 8,
        negatives: int = 16384,
        negatives_of: Negatives = "self",
        temperature: float = 0.07,
        momentum: float = 0.9,
        smooth: float = 0.75,
        labels: Tensor | None = None,
        **reads: Unpack[Reads],
    ) -> None:
        super().__init__(**reads)
        if neighbours is None:
            self._reads_whole("HKD(neighbours=None) reads the edges of the whole graph")
        self.neighbours = neighbours if neighbours is None else int(check_positive("neighbours", neighbours))
        labels = labels if labels is None else class_ids(labels, num_nodes, name="labels")
        self.draws = NegativeDraws(negatives, num_nodes, labels)
        self.negatives_of = choose("negatives_of", negatives_of, Negatives)
        self.temperature = check_positive("temperature", temperature)
        self.momentum, self.smooth = momentum, smooth
        widths = ("student", student_width), ("teacher", teacher_width)
        self.heads = nn.ModuleList(Linear(width, projection, side=side) for side, width in widths)
        self.graph_heads = nn.ModuleList(Linear(2 * projection, projection) for _ in range(2))
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, first_memory(num_nodes, projection))

    def digest(self, teacher: tuple[Tensor, Tensor]) -> Entries:
        """Compute the graph of the teacher's predictions once, beside its features."""
        features, logits = teacher
        if self.neighbours is None or features.size(0) < self.neighbours:
            return teacher
        return features, edge_layout(prediction_graph(logits, self.neighbours), features.size(0))

    def forward(
        self,
        student: tuple[Tensor, Tensor],
        teacher: Entries,
        *,
        n_id: Tensor | None = None,
        negatives: Tensor | None = None,
        edge_index: Tensor | None = None,
    ) -> Tensor:
        check_rows(student[0], teacher[0])
        memories = self.student_memory, self.teacher_memory
        ids = row_ids(n_id, student[0].size(0), memories[0].size(0), student[0].device)
        drawn: Drawn = self.draws(ids, negatives)
        embedded = [unit_vectors(head(entry[0])) for head, entry in zip(self.heads, (student, teacher), strict=True)]
        held = [memory[ids].to(rows.dtype) for memory, rows in zip(memories, embedded, strict=True)]
        if self.neighbours is not None and ids.numel() < self.neighbours:
            return self._contrasts(drawn, embedded, held[::-1])
        graphs = []
        for head, rows, entry in zip(self.graph_heads, embedded, (student, teacher), strict=True):
            wide = torch.cat([rows, neighbourhood(rows, self._edges(entry[1], edge_index))], dim=1)
            graphs.append(unit_vectors(head(wide)))
        smooth = [unit_vectors(torch.lerp(g, m, self.smooth)).detach() for g, m in zip(graphs, held, strict=True)]
        loss = self._contrasts(drawn, embedded + graphs, held[::-1] + smooth[::-1])
        if self.training:
            for memory, rows in zip(memories, embedded, strict=True):
                remember(memory, ids, rows.detach(), self.momentum)
        return loss

    def _contrasts(self, drawn: Drawn, anchors: list[Tensor], positives: list[Tensor]) -> Tensor:
        """Contrast anchors, of student and teacher in turn, with the positive of each."""
        banks = [self.student_memory, self.teacher_memory]
        if self.negatives_of == "other":
            banks.reverse()

        def contrasts(negatives: Part, *rows: Tensor) -> Tensor:
            sides = zip(rows[: len(anchors)], rows[len(anchors) :], itertools.cycle(banks), strict=False)
            return torch.stack([bank_contrast(*side, negatives, self.temperature) for side in sides]).sum()

        return drawn.mean(contrasts, *anchors, *positives)

    def _edges(self, logits: Tensor | EdgeLayout, edge_index: Tensor | None) -> Tensor | EdgeLayout:
        if isinstance(logits, EdgeLayout):
            return logits
        if self.neighbours is not None:
            return prediction_graph(logits, self.neighbours)
        if edge_index is None:
            raise ValueError("HKD(neighbours=None) needs 'edge_index' from the batch, got None")
        return edge_index


@method("hkd", family="graphs", paper="Zhou et al., ICCV 2021", arxiv="2108.05507", needs=("hidden",))
def hkd_method(problem: Problem, *, weight: float = 3.0, negatives: int = 1024) -> Loss:
    """Contrast nodes, and neighbourhoods in the graph of predictions, with memories of all nodes, beside the labels.

    Choose it where training time is no concern and both nodes and their neighbourhoods should be learnt; it is among
    the most expensive methods. The authors draw 16,384 negatives and add soft targets.
    """
    return problem.supervised() + weight * HKD(problem.nodes, *problem.widths, negatives=negatives)
