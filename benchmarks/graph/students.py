"""Methods with a student of their own, at the settings published for the teacher and the dataset at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch_geometric.nn import MLP
from torch_geometric.utils import add_self_loops

from benchmarks.graph.lessons import Lesson, Train
from benchmarks.graph.recipes import EPOCHS
from graphkd.gnn import PLP, TinyGNN, cpf, deepwalk, ff_g2m, nosmog, tinygnn

About = tuple[str, str]  # names of the teacher's kind and of the dataset

# CPF: steps and hidden width, inductive then transductive, for each teacher and dataset.
CPF: dict[About, tuple[tuple[int, int], tuple[int, int]]] = {
    ("gcn", "cora"): ((8, 32), (7, 32)),
    ("gcn", "citeseer"): ((6, 64), (6, 64)),
    ("gat", "cora"): ((5, 32), (5, 32)),
    ("gat", "citeseer"): ((5, 32), (10, 32)),
    ("sage", "cora"): ((9, 32), (7, 32)),
    ("sage", "citeseer"): ((7, 16), (10, 16)),
}
CPF_DEFAULT = ((8, 32), (7, 32))


@dataclass(frozen=True)
class Positions:
    """NOSMOG's settings on one dataset: of DeepWalk, of the perturbation, and the MLP's dropout."""

    width: int = 64
    per_node: int = 5
    epochs: int = 1
    epsilon: float = 0.04
    dropout: float = 0.1


NOSMOG: dict[str, Positions] = {
    "cora": Positions(dropout=0.6),
    "citeseer": Positions(width=16, per_node=3, epochs=5, epsilon=0.045),
}

# FF-G2M: hidden layers' number and width, dropout, temperature and label weight.
FF_G2M: dict[About, tuple[int, int, float, float, float]] = {
    ("gcn", "cora"): (2, 512, 0.6, 1.5, 0.4),
    ("gat", "cora"): (2, 1024, 0.3, 1.2, 0.5),
    ("sage", "cora"): (2, 512, 0.4, 1.3, 0.5),
    ("gcn", "citeseer"): (1, 256, 0.5, 1.5, 0.1),
    ("gat", "citeseer"): (1, 2048, 0.4, 1.0, 0.1),
    ("sage", "citeseer"): (1, 1024, 0.5, 1.2, 0.1),
}
FF_G2M_DEFAULT = (1, 256, 0.5, 1.5, 0.1)


class Positioned(nn.Module):
    """An MLP on features and the positions of one graph's nodes."""

    def __init__(self, model: nn.Module, position: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("position", position)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, C), for the nodes whose positions these are."""
        if x.size(0) != self.position.size(0):
            known = self.position.size(0)
            raise ValueError(f"positions are those of {known} nodes, got {x.size(0)}: this is the transductive setting")
        return self.model(torch.cat([x, self.position], dim=1))


def _options(lesson: Lesson, *, epochs: int, lr: float = 0.01, weight_decay: float = 5e-4) -> dict[str, Any]:
    """The lesson's seed, metric and patience, with a method's own optimiser, and its epochs unless others are asked."""
    asked = lesson.options["epochs"]
    optimizer = partial(Adam, lr=lr, weight_decay=weight_decay)
    return {**lesson.options, "epochs": epochs if asked == EPOCHS else asked, "optimizer": optimizer}


def _cpf(mode: Literal["inductive", "transductive"]) -> Train:
    def train(lesson: Lesson) -> nn.Module:
        data, about = lesson.data, lesson.about
        steps, hidden = CPF.get(about, CPF_DEFAULT)[mode == "transductive"]
        lr = 0.01 if mode == "transductive" and about == ("sage", "cora") else 0.001
        about_data = data.num_features, lesson.classes, data.y, data.train_mask
        student = lesson.made(lambda: PLP(*about_data, hidden=hidden, steps=steps, mode=mode))
        options = _options(lesson, epochs=499, lr=lr, weight_decay=0.01) | {"patience": None}
        return cpf(student, lesson.teacher, data, **options)

    return train


def on_positions(lesson: Lesson, chosen: Positions, seed: int) -> tuple[nn.Module, Tensor]:
    """An MLP on features and positions, and the nodes' positions of this seed."""
    data = lesson.data
    looped, _ = add_self_loops(data.edge_index, num_nodes=data.num_nodes)  # the authors walk on the graph with loops
    position = deepwalk(looped, data.num_nodes, chosen.width, per_node=chosen.per_node, epochs=chosen.epochs, seed=seed)
    widths = [data.num_features + chosen.width, 128, lesson.classes]
    return lesson.made(lambda: MLP(widths, norm=None, dropout=chosen.dropout)), position


def _nosmog(lesson: Lesson) -> nn.Module:
    data, seed = lesson.data, lesson.options["seed"]
    chosen = NOSMOG.get(lesson.about[1], Positions())
    student, position = on_positions(lesson, chosen, seed)
    options = _options(lesson, epochs=200)
    del options["metric"]  # it knows no positions; nosmog's own does
    trained = nosmog(
        student,
        lesson.teacher,
        data,
        hidden=("lins.0", lesson.hidden[1]),
        position=position,
        epsilon=chosen.epsilon,
        dropout=chosen.dropout,
        **options,
    )
    return Positioned(trained, position).eval()


def _ff_g2m(lesson: Lesson) -> nn.Module:
    data = lesson.data
    layers, width, dropout, temperature, label_weight = FF_G2M.get(lesson.about, FF_G2M_DEFAULT)
    widths = [data.num_features, *[width] * layers, lesson.classes]
    student = lesson.made(lambda: MLP(widths, norm=None, dropout=dropout))
    options = _options(lesson, epochs=500)
    return ff_g2m(student, lesson.teacher, data, label_weight=label_weight, temperature=temperature, **options)


def _tinygnn(lesson: Lesson) -> nn.Module:
    data = lesson.data
    student = lesson.made(lambda: TinyGNN(data.num_features, 64, lesson.classes))
    return tinygnn(student, lesson.teacher, data, **_options(lesson, epochs=200))


METHODS: dict[str, Train] = {
    "cpf_ind": _cpf("inductive"),
    "cpf_tra": _cpf("transductive"),
    "nosmog": _nosmog,
    "ffg2m": _ff_g2m,
    "tinygnn": _tinygnn,
}
