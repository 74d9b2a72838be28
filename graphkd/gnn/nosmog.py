"""NOSMOG: GLNN with positions, similarity of hidden layers and adversarial features.

Tian, Zhang, Guo, Zhang and Chawla, "Learning MLPs on Graphs: A Unified View of Effectiveness, Robustness, and
Efficiency", ICLR 2023; first as "NOSMOG: Learning Noise-robust and Structure-aware MLPs on Graphs", arXiv:2208.10010.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP
from torch_geometric.utils import add_self_loops

from graphkd.core.distiller import Distiller, Step
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch
from graphkd.gnn.glnn import GLNNBatches, Recorded, check_label_weight
from graphkd.gnn.walks import deepwalk, extend_positions
from graphkd.losses._perturbation import Objective, adversarial_change
from graphkd.losses.relations.rsd import RSD
from graphkd.losses.response.ce import CE, cross_entropy
from graphkd.losses.response.kd import KL, kl


@method(
    "nosmog",
    family="gnn",
    paper="Tian et al., ICLR 2023",
    arxiv="2208.10010",
    needs=("hidden", "edges"),
    cannot={
        "sparse": "it joins positions to the features",
        "student": "it brings an MLP that reads positions beside the features",
        "loader": "its positions come from walks over the whole graph",
    },
    published={"patience": 50},
    space={"dropout": (0.02, 0.9)},
)
def nosmog_method(
    problem: Problem,
    *,
    label_weight: float = 0.0,
    similarity_weight: float = 0.1,
    adversarial_weight: float = 0.1,
    epsilon: float = 0.04,
    width: int = 128,
    dropout: float = 0.1,
    batch_size: int = 512,
    positions: Tensor | None = None,
    position_width: int = 64,
    walks: int = 5,
    walk_length: int = 50,
    window: int = 5,
    walk_epochs: int = 1,
) -> nn.Module:
    """Train an MLP on features and positions, similarities and adversarial features; choose it over GLNN for accuracy.

    As in ``glnn`` an epoch is labelled rows, then all rows, in batches of ``batch_size``. The loss is that of
    ``NOSMOGDistiller``; label_weight is GLNN's lambda, one minus that of the authors. similarity_weight,
    adversarial_weight, epsilon: see there. hidden: path of the teacher's last hidden layer, before its ReLU. width,
    dropout: of the MLP's hidden layer; dropout also of the encoder in the similarity term. positions: your own, (N, d);
    by default DeepWalk's, of ``position_width``, from ``walks`` walks of ``walk_length`` per node, with skip-gram's
    ``window`` and ``walk_epochs``. The result is ``Positioned``, which is transductive: it serves the nodes of its
    training graph; its method ``extended`` adds those of a larger one. Costs the walks, once, and about seven times a
    GLNN epoch, for the adversarial steps. In the inductive setting the authors' code reads hidden rows of other nodes;
    here rows are found by node id.
    """
    if positions is None:
        walking = {"per_node": walks, "length": walk_length, "window": window, "epochs": walk_epochs}
        positions = problem.once("positions", lambda: _positions(problem, position_width, **walking))
    x = problem.values_of("x")
    x = torch.cat([x, positions.to(x)], dim=1)
    student = problem.made(lambda: MLP([x.size(1), width, problem.classes], norm=None, dropout=dropout))
    told = {entry: problem.view_of(problem.teacher, entry) for entry in ("logits", "hidden")}
    data = GLNNBatches(x, problem.targets, problem.labelled_nodes, batch_size, **told)
    weights = {"similarity_weight": similarity_weight, "adversarial_weight": adversarial_weight, "epsilon": epsilon}
    weights |= {"label_weight": label_weight, "dropout": dropout}
    trainable = NOSMOGDistiller(student, Recorded(logits="logits", hidden="hidden"), ("lins.0", ""), width, **weights)
    served = problem.by_name(Positioned(student, positions))
    return problem.train(trainable, "student", data, serve=lambda _: served)


def _positions(problem: Problem, width: int, **options: int) -> Tensor:
    """Run DeepWalk on the graph with loops, as the authors do."""
    looped, _ = add_self_loops(problem.first["edge_index"], num_nodes=problem.nodes)
    return deepwalk(looped, problem.nodes, width, seed=problem.seed, **options)


class Positioned(nn.Module):
    """Run an MLP on features and positions of one graph's nodes, or of other nodes whose position is given.

    model: ``forward`` (N, F + d) -> (N, C); position: (N, d), in the order of the nodes.

    Example::

        >>> student = Positioned(MLP([8 + 2, 3]), position=torch.randn(48, 2)).eval()
        >>> tuple(student(data.x).shape)
        (48, 3)
        >>> tuple(student(data.x[:5], position=torch.zeros(5, 2)).shape)  # other nodes
        (5, 3)
    """

    position: Tensor

    def __init__(self, model: nn.Module, position: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("position", position)

    def forward(self, x: Tensor, position: Tensor | None = None) -> Tensor:
        """(N, F) -> (N, C), for the nodes of the stored positions, or for others if ``position``, (N, d), is given.

        Raises ValueError if x and the positions differ in N. An exported student takes positions, so it serves any
        nodes.
        """
        known = self.position if position is None else position
        if x.size(0) != known.size(0):
            raise ValueError(
                f"'x' must be of the {known.size(0)} nodes whose positions are known, got {x.size(0)}: this student is "
                "transductive; give 'position' of these nodes, see extend_positions, or take extended(seen, edge_index)"
            )
        return self.model(torch.cat([x, known.to(x)], dim=1))

    def extended(self, seen: Tensor, edge_index: Tensor) -> Positioned:
        """Return a model for a larger graph: mask (N',) of this model's nodes in it, and its edges (2, E).

        A new node takes the mean position of the seen nodes that have an edge to it, 0 without such nodes.
        """
        return Positioned(self.model, extend_positions(self.position, seen, edge_index)).eval()


class NOSMOGDistiller(Distiller):
    """Distil as NOSMOG does, on batches of ``GLNNBatches``.

    w (answer + ``adversarial_weight`` answer(x + delta) + ``similarity_weight`` RSD): on labelled rows answer is the
    cross-entropy and w = ``label_weight``, in steps on all rows KL(teacher || student) and w = 1 - ``label_weight``.
    delta is the ``adversarial_change`` of answer within ``epsilon``. hidden: (student, teacher) paths of the layers
    that RSD compares; width: of the student's layer. dropout: of RSD's encoder. A step with w = 0, such as the
    published label step, has zero gradients, and its adversarial term is not computed.

    Example::

        >>> told = {"logits": torch.zeros(48, 3), "hidden": torch.randn(48, 12)}
        >>> batches = GLNNBatches(data.x, data.y, data.train_mask, **told)
        >>> recorded = Recorded(logits="logits", hidden="hidden")
        >>> distiller = NOSMOGDistiller(MLP([8, 16, 3], norm=None), recorded, hidden=("lins.0", ""), width=16)
        >>> [sorted(distiller(batch).terms) for batch in batches]  # labelled rows, then all
        [['label', 'similarity'], ['adversarial', 'similarity', 'teacher']]
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: Frozen,
        hidden: tuple[str, str],
        width: int,
        *,
        label_weight: float = 0.0,
        similarity_weight: float = 0.1,
        adversarial_weight: float = 0.1,
        epsilon: float = 0.04,
        dropout: float = 0.0,
    ) -> None:
        check_label_weight(label_weight)
        similarity = similarity_weight * RSD(width, dropout=dropout)
        losses = {"label": CE(where="labelled"), "teacher": KL(where="taught"), "similarity": similarity}
        super().__init__(student, teacher, losses, taps={"hidden": hidden})
        self.label_weight, self.adversarial_weight, self.epsilon = label_weight, adversarial_weight, epsilon

    def forward(self, batch: Batch) -> Step:
        """Compute the losses of one batch, and that of the student on changed features."""
        loss, terms = super().forward(batch)
        labelled = bool(batch["labelled"].all())
        weight = self.label_weight if labelled else 1 - self.label_weight
        if weight == 0 or self.adversarial_weight == 0:
            return Step(weight * loss, terms)
        objective = self._answer(batch, labelled)
        adversarial = objective(batch["x"] + self.change(objective, batch["x"]))
        self.note({"adversarial": self.adversarial_weight * adversarial})
        terms = {**terms, "adversarial": adversarial.detach()}
        return Step(weight * (loss + self.adversarial_weight * adversarial), terms)

    def change(self, objective: Objective, x: Tensor) -> Tensor:
        """Find the change that is added to the features."""
        return adversarial_change(objective, x, self.epsilon)

    def _answer(self, batch: Batch, labelled: bool) -> Objective:
        """Return the function from features to the student's loss on them."""
        if labelled:
            return lambda x: cross_entropy(self.student(x), batch["y"])
        assert self.teacher is not None
        soft = self.teacher(batch)["logits"]
        return lambda x: kl(self.student(x), soft)
