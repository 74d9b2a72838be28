"""TINED: an MLP begins with its teacher's weights and matches how much each operation smooths or sharpens.

Zhou, Ding, Shi, Li and Shen, "TINED: GNNs-to-MLPs by Teacher Injection and Dirichlet Energy Distillation", ICML 2025,
arXiv:2412.11180.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_args

import torch
from torch import Tensor, nn

from graphkd.core.adjacency import edge_index_of
from graphkd.core.distiller import Distiller, Step
from graphkd.core.method import method
from graphkd.core.models import shown
from graphkd.core.problem import Problem
from graphkd.core.view import Batch
from graphkd.gnn._unstored import unstored
from graphkd.gnn.glnn import Recorded, check_label_weight
from graphkd.gnn.tined_student import Init, InjectedMLP, Norm, Transformation, convolutions
from graphkd.kernels import edge_layout, edge_squared_distance
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import choose
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL


@method(
    "tined",
    family="gnn",
    paper="Zhou et al., ICML 2025",
    arxiv="2412.11180",
    needs=("edges",),
    cannot={
        "sparse": "it computes energies of the features",
        "student": "it brings an MLP that is made of its teacher's weights",
        "ensemble": "its student is made of the weights of one teacher",
        "loader": "energies of a teacher's layers are those of the whole graph",
    },
    published={"epochs": 500, "patience": 50, "lr": 0.005, "weight_decay": 0.005},
    space={"rate_ratio": (0.01, 10.0), "dropout": (0.02, 0.9), "share": (0.1, 1.0)},
)
def tined_method(
    problem: Problem,
    *,
    label_weight: float = 0.0,
    energy_weight: float = 1.0,
    logarithm: bool = True,
    root: bool = True,
    rate_ratio: float = 1.0,
    share: float = 1.0,
    init: Init = "identity",
    norm: Norm = "none",
    dropout: float = 0.0,
    batch_size: int = 512,
) -> nn.Module:
    """Inject the teacher's weights and match its Dirichlet energies; choose it where the teacher is of few layers.

    The student is an ``InjectedMLP``: it has a linear layer for every transformation of the teacher, initialised with
    the teacher's weights, and one for every propagation, initialised by ``init``, with ``norm``, ReLU and ``dropout``
    between layers. The teacher must consist of PyG's GCN, GraphSAGE and GAT convolutions, or of layers with a method
    ``transformation()``; otherwise ValueError is raised. An epoch takes steps on the labelled rows, scaled by lambda =
    ``label_weight``, then on all rows, (1 - lambda) KL(teacher || student), both in batches of ``batch_size`` in order,
    then one step on energy_weight ``energy_loss`` of the whole graph, or of a random ``share`` of its edges. As this is
    a separate step of Adam, its weight acts only through the moments shared with the other steps. ``logarithm`` and
    ``root`` choose the form in which ratios are compared, see ``energy_loss``. rate_ratio: learning rate of the
    teacher's layers over that of the others. Defaults are those published for Cora, transductive; the authors' lambda
    is one minus this. Costs a pass of the teacher, those of an MLP, and O(E d) for each layer's energy.

    Differs from the authors' code in this: epochs are chosen by validation accuracy, there by the validation loss; a
    transformation always comes before its propagation, as in PyG's GCN and GAT (there after it if a layer widens); in
    GraphSAGE, which has separate weights for node and neighbours here, their sum is the transformation.
    """
    options: dict[str, Any] = {"log": logarithm, "root": root}
    layers, ratios = teacher_layers(problem)
    choose("init", init, get_args(Init))
    choose("norm", norm, get_args(Norm))
    shape: dict[str, Any] = {"init": init, "norm": norm, "dropout": dropout}
    student = problem.made(lambda: InjectedMLP(layers, **shape))
    data = TINEDBatches(problem, batch_size, share)
    trainable = TINED(student, label_weight, energy_weight, ratios, **options)
    return problem.train(trainable, "student", data, optimizer_of=lambda make: trainable.optimizer_of(rate_ratio, make))


def teacher_layers(problem: Problem) -> tuple[list[Transformation], Tensor]:
    """Read the teacher's L transformations, and the energy ratios of all its operations on the data, (2 L,)."""
    teacher = unstored(problem.teacher)
    model: Any = getattr(teacher, "model", None)
    with convolutions(model) as found, shown(teacher) as show:
        show(problem.first)
    if not found:
        raise ValueError(
            f"'tined' reads the weights of GCNConv, SAGEConv or GATConv layers, {type(model).__name__} runs none: give "
            "a teacher that is made of these, or its layers a method transformation() -> (weight, bias)"
        )
    edge_index = edge_index_of(problem.first["edge_index"])
    ratios = []
    for layer, before, after in found:
        between = before @ layer.weight.t()
        behind = after if layer.bias is None else after - layer.bias
        steps = [dirichlet_energy(x, edge_index) for x in (before, between, behind)]
        ratios += [_ratio(steps[1], steps[0]), _ratio(steps[2], steps[1])]
    return [layer for layer, _, _ in found], torch.stack(ratios).detach()


def _ratio(after: Tensor, before: Tensor) -> Tensor:
    """Compute after / before; 1 where the quotient is 0 or not finite, as in the authors' targets."""
    ratio = after / before
    return torch.where((ratio > 0) & ratio.isfinite(), ratio, 1)


def dirichlet_energy(x: Tensor, edge_index: Tensor) -> Tensor:
    """(1/N) sum over edges (u, v) of |x_u/|x_u| - x_v/|x_v||^2: (N, d), (2, E) -> scalar.

    As in the authors' code lengths are constants in the gradient. A length of 0 counts as 1. O(E d) time, O(E) memory.
    """
    wide = x.to(accumulation_dtype(x))
    length = torch.linalg.vector_norm(wide.detach(), dim=1, keepdim=True)
    unit = wide / torch.where(length > 0, length, 1)
    layout = edge_layout(edge_index, x.size(0))
    return edge_squared_distance(unit, layout).sum() / max(x.size(0), 1)


def energy_ratios(pairs: Iterable[tuple[Tensor, Tensor]], edge_index: Tensor, *, log: bool = False) -> Tensor:
    """Compute ratios of the energies of operations' outputs to those of their inputs, or their logarithms: -> (L,).

    pairs: (input, output) of each operation. Where either energy is 0, the result is the constant 1, for the ratio as
    for its logarithm, as in the authors' code.
    """
    found = []
    for before, after in pairs:
        one, other = dirichlet_energy(before, edge_index), dirichlet_energy(after, edge_index)
        known = (one > 0) & (other > 0)
        ratio = torch.where(known, other, 1) / torch.where(known, one, 1)
        found.append(torch.where(known, ratio.log(), 1) if log else torch.where(known, ratio, 1))
    return torch.stack(found)


def energy_loss(
    pairs: Iterable[tuple[Tensor, Tensor]], targets: Tensor, edge_index: Tensor, *, log: bool = True, root: bool = True
) -> Tensor:
    """sum_l (k log r_l - k log R_l)^2, or of r_l^k - R_l^k, k = 1/2 with ``root``, else 1: -> scalar.

    pairs: input and output of each operation, (N, d); r: their ``energy_ratios``; targets: the teacher's ratios R,
    (L,). ``log`` chooses the first form.
    """
    power = 0.5 if root else 1.0
    if log:
        apart = power * (energy_ratios(pairs, edge_index, log=True) - targets.log())
    else:
        apart = energy_ratios(pairs, edge_index) ** power - targets**power
    return apart.square().sum()


class TINED(Distiller):
    """TINED on ``TINEDBatches``; terms ``label``, ``teacher``, ``energy``. ratios: of the teacher, (2 L,)."""

    ratios: Tensor

    def __init__(
        self,
        student: InjectedMLP,
        label_weight: float,
        energy_weight: float,
        ratios: Tensor,
        *,
        log: bool = True,
        root: bool = True,
    ) -> None:
        check_label_weight(label_weight)
        losses = {"label": label_weight * CE(where="labelled"), "teacher": (1 - label_weight) * KL(where="taught")}
        super().__init__(student, Recorded(logits="told"), losses)
        if not energy_weight >= 0:
            raise ValueError(f"'energy_weight' must be at least 0, got {energy_weight}")
        self.energy_weight, self.log, self.root = energy_weight, log, root
        self.register_buffer("ratios", ratios)

    def forward(self, batch: Batch) -> Step:
        """Compute GLNN's terms on batches of rows, the energy term on the batch of the graph."""
        if "energy_edges" not in batch:
            return super().forward(batch)
        student: Any = self.student
        loss = energy_loss(student.pairs(batch["x"]), self.ratios, batch["energy_edges"], log=self.log, root=self.root)
        return Step(self.weighed({"energy": (self.energy_weight, loss)}), {"energy": loss.detach()})

    def optimizer_of(self, ratio: float, make: Callable[..., Any]) -> Callable[..., Any]:
        """Make an optimiser's factory multiply the learning rate of the teacher's layers by ``ratio``."""
        student: Any = self.student
        injected = {p for number in student.injected for p in student.lins[number].parameters()}

        def grouped(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            known = list(parameters)
            sides = [[p for p in known if (p in injected) is is_injected] for is_injected in (False, True)]
            optimizer: torch.optim.Optimizer = make([{"params": side} for side in sides])
            optimizer.param_groups[1]["lr"] *= ratio
            return optimizer

        return grouped


class TINEDBatches:
    """The authors' epoch: batches of labelled rows, then of all rows, in order and with partial ones, then a graph.

    Batches have x, y, ``told`` (the teacher's logits), ``n_id`` and the masks ``labelled`` and ``taught``; the last
    batch has x and ``energy_edges``, a random ``share`` of the edges.
    """

    def __init__(self, problem: Problem, batch_size: int = 512, share: float = 1.0) -> None:
        if batch_size < 1 or not 0 < share <= 1:
            raise ValueError(f"'batch_size' must be at least 1 and 'share' in (0, 1], got {batch_size} and {share}")
        self.entries = {"x": problem.values_of("x"), "y": problem.targets, "told": problem.view_of(problem.teacher)}
        self.labelled, self.edge_index = problem.labelled_nodes, edge_index_of(problem.first["edge_index"])
        self.batch_size, self.share = batch_size, share

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        nodes = torch.arange(self.entries["y"].size(0), device=self.labelled.device)
        for rows, is_labelled in ((self.labelled, True), (nodes, False)):
            yield from (self._rows(n_id, is_labelled) for n_id in rows.split(self.batch_size))
        yield {"x": self.entries["x"], "energy_edges": self._edges()}

    def _rows(self, n_id: Tensor, is_labelled: bool) -> dict[str, Tensor]:
        mask = torch.full(n_id.shape, is_labelled, device=n_id.device)
        rows = {name: value[n_id.to(value.device)] for name, value in self.entries.items()}
        return {**rows, "n_id": n_id, "labelled": mask, "taught": ~mask}

    def _edges(self) -> Tensor:
        if self.share == 1:
            return self.edge_index
        count = max(1, int(self.share * self.edge_index.size(1)))
        return self.edge_index[:, torch.randperm(self.edge_index.size(1), device=self.edge_index.device)[:count]]
