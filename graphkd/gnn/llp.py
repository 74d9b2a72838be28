"""LLP: a link predictor without a graph learns how a teacher scores each node's surroundings.

Guo, Shiao, Zhang, Liu, Chawla, Shah and Zhao, "Linkless Link Prediction via Relational Distillation", ICML 2023,
arXiv:2210.05801.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphkd.core.adjacency import edge_index_of
from graphkd.core.batches import changed
from graphkd.core.by_name import fill
from graphkd.core.distiller import Distiller, Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen, ask
from graphkd.core.view import Batch, Call, View
from graphkd.gnn._unstored import unstored
from graphkd.gnn.llp_predictor import LinkPredictor
from graphkd.gnn.walks import walks_from
from graphkd.kernels import edge_layout
from graphkd.kernels.norms import cosines
from graphkd.losses.relations.context_rank import context_rank
from graphkd.losses.response.kd import kl


@method(
    "llp",
    family="gnn",
    paper="Guo et al., ICML 2023",
    arxiv="2210.05801",
    tasks=("link_prediction",),
    needs=("edges",),
    published={"epochs": 2000, "patience": 100, "weight_decay": 0.0},
    student=False,
    space={
        "label_weight": (0.001, 1000.0),
        "distribution_weight": (0.001, 1000.0),
        "rank_weight": (0.001, 1000.0),
        "margin": (0.01, 0.5),
    },
)
def llp_method(
    problem: Problem,
    *,
    label_weight: float = 0.1,
    distribution_weight: float = 0.001,
    rank_weight: float = 1.0,
    node_weight: float = 0.0,
    score_weight: float = 0.0,
    margin: float = 0.1,
    temperature: float = 1.0,
    hops: int = 2,
    walks: int = 3,
    random_rate: int = 1,
    anchors: int = 8192,
    width: int | None = None,
    layers: int | None = None,
    dropout: float | None = None,
) -> nn.Module:
    """Match how the teacher scores and ranks the surroundings of nodes; choose it for links where features must do.

    label_weight BCE(pairs) + distribution_weight KL(softmax(t_i / T) || softmax(s_i / T)) T^2 + rank_weight
    ``context_rank``. s, t (B, L): link probabilities by student and teacher between each anchor i and its context,
    which is the nodes of ``walks`` walks of ``hops`` steps from i and ``random_rate`` times as many random nodes, drawn
    anew at every step. Anchors are all nodes of a batch, or ``anchors`` random ones if there are more. margin: of
    ``context_rank``. node_weight, score_weight: weights of 1 - mean cosine of the anchors' embeddings with the
    teacher's and of the squared error of the pairs' probabilities, the paper's two baselines, 0 as published. Defaults
    are those for Cora, transductive; the paper sweeps the three weights over 0.001 to 1000. If a teacher's view has
    ``scores``, they are used without a sigmoid, see ``ehdm``. width, layers, dropout: of the ``LinkPredictor`` that is
    made if no student is given, by default 256, 2 and 0.5; a given student may read edges. A step costs a pass of
    teacher and student, their scores of B L pairs, and O(B L^2) for the order of each context.

    Differs from the authors' code in this: gradients are clipped to norm 1 together, there separately for encoder and
    predictor; at most 2000 epochs, there 20,000; a step draws its own pairs and anchors, there a pass over edges is
    aligned with one over nodes. As there, a walk at a dead end repeats its node, and repeats count.
    """
    shape = {"width": width, "layers": layers, "dropout": dropout}
    student = link_student(problem, shape)
    options: dict[str, Any] = {"label_weight": label_weight, "distribution_weight": distribution_weight}
    options |= {"rank_weight": rank_weight, "node_weight": node_weight, "score_weight": score_weight}
    options |= {"margin": margin, "temperature": temperature, "hops": hops, "walks": walks}
    options |= {"random_rate": random_rate, "anchors": anchors}
    options["call"] = problem.task.call(problem.call_of(student))
    trainable = LLP(student, unstored(problem.teacher), problem.supervised(), **options)
    return problem.train(trainable, clip=1.0)


def link_student(problem: Problem, shape: dict[str, Any], number: int = 0) -> nn.Module:
    """Take the given student, or make a ``LinkPredictor``; ValueError for a shape beside a student.

    number: of the student, 0 the first; each number draws different weights.
    """
    asked = {name: value for name, value in shape.items() if value is not None}
    if problem.student is not None:
        if asked:
            raise ValueError(
                f"'width', 'layers' and 'dropout' shape the model that is made where no student is given, got {asked} "
                f"and a student, {type(problem.student).__name__}: give student=None, or leave them out"
            )
        return problem.fresh_student(number) if number else problem.student
    made = problem.made(lambda: LinkPredictor(problem.features, **asked))
    return problem.fresh(made, number) if number else made


class Chances(NamedTuple):
    """Link probabilities by one model: of a batch's pairs, (M,), and of each anchor's context, (B, L)."""

    pairs: Tensor
    context: Tensor


class LLP(Distiller):
    """LLP on batches of the link task, with ``edge_index`` for the walks; terms ``label``, ``distribution``, ``rank``.

    With their weights above 0 also ``node`` and ``score``. See the method ``llp`` for the options.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen,
        label: Loss,
        *,
        label_weight: float = 0.1,
        distribution_weight: float = 0.001,
        rank_weight: float = 1.0,
        node_weight: float = 0.0,
        score_weight: float = 0.0,
        margin: float = 0.1,
        temperature: float = 1.0,
        hops: int = 2,
        walks: int = 3,
        random_rate: int = 1,
        anchors: int = 8192,
        call: Call | None = None,
    ) -> None:
        super().__init__(student, teacher, {"label": label}, call=call)
        numbers = {"hops": hops, "walks": walks, "anchors": anchors}
        if min(numbers.values()) < 1 or random_rate < 0:
            raise ValueError(f"{list(numbers)} must be at least 1 and 'random_rate' 0, got {numbers}, {random_rate}")
        self.label_weight, self.node_weight, self.score_weight = label_weight, node_weight, score_weight
        self.weights = [label_weight, distribution_weight, rank_weight]
        self.margin, self.temperature = margin, temperature
        self.hops, self.walks, self.random_rate, self.anchors = hops, walks, random_rate, anchors

    def forward(self, batch: Batch) -> Step:
        """Compare the link probabilities of student and teacher, of a batch's pairs and of contexts."""
        assert self.teacher is not None
        with torch.no_grad():
            context = self.context(batch)
        asked = _with_context(batch, context)
        view, taught = self._viewer(asked), ask(self.teacher, asked)
        own, other = self.chances(view, context), self.chances(taught, context)
        rows, label = batch["edge_label_index"].size(1), self.losses[0]
        assert isinstance(label, Loss)
        values = [
            label.measure({**view, "logits": view["logits"][:rows]}, None, batch),
            kl(own.context, other.context, self.temperature),
            context_rank(own.context, other.context, self.margin),
        ]
        named = zip(("label", "distribution", "rank"), self.weights, values, strict=True)
        terms = {name: (weight, value) for name, weight, value in named if value is not None}
        terms |= self._baselines(view, taught, context, own, other)
        return Step(self.weighed(terms), {name: value.detach() for name, (_, value) in terms.items()})

    def context(self, batch: Batch) -> Tensor:
        """Draw anchors and their contexts: (B, 1 + L) rows of the batch, the anchor first."""
        edge_index = edge_index_of(fill(("edge_index",), batch, "LLP")["edge_index"])
        nodes = int(batch["x"].size(0))
        anchors = torch.randperm(nodes, device=edge_index.device)[: self.anchors]
        starts = anchors.repeat_interleave(self.walks)
        near = walks_from(starts, edge_layout(edge_index, nodes), self.hops + 1)[:, 1:].reshape(len(anchors), -1)
        far = torch.randint(nodes, (len(anchors), near.size(1) * self.random_rate), device=edge_index.device)
        return torch.cat([anchors[:, None], near, far], dim=1)

    def chances(self, view: View, context: Tensor) -> Chances:
        """Split a view into the probabilities of the batch's pairs and, after them, of contexts."""
        scores = (view["scores"] if "scores" in view else view["logits"].sigmoid()).reshape(-1)
        count = context.size(0) * (context.size(1) - 1)
        pairs, others = scores[: len(scores) - count], scores[len(scores) - count :]
        return Chances(pairs, others.reshape(context.size(0), -1))

    def _baselines(
        self, view: View, taught: View, context: Tensor, own: Chances, other: Chances
    ) -> dict[str, tuple[float, Tensor]]:
        """Compute the paper's baselines: on embeddings of the anchors, and on probabilities of the batch's pairs."""
        found = {}
        if self.node_weight:
            if any("node" not in each for each in (view, taught)) or view["node"].size(1) != taught["node"].size(1):
                raise ValueError("'node_weight' compares embeddings: both models must show 'node', of one width")
            nodes = context[:, 0]
            found["node"] = (self.node_weight, 1 - cosines(view["node"][nodes], taught["node"][nodes]).mean())
        if self.score_weight:
            found["score"] = (self.score_weight, (own.pairs - other.pairs).square().mean())
        return found


def _with_context(batch: Batch, context: Tensor) -> Any:
    """Append the pairs of every anchor and its context to a batch."""
    anchor, others = context[:, :1], context[:, 1:]
    pairs = torch.stack([anchor.expand_as(others).flatten(), others.flatten()])
    return changed(batch, edge_label_index=torch.cat([batch["edge_label_index"], pairs], dim=1))
