"""CPF: a student that propagates labels and mixes in the outputs of an MLP on the features.

Yang, Liu and Shi, "Extract the Knowledge of Graph Neural Networks and Go Beyond it: An Effective Knowledge Distillation
Framework", The Web Conference 2021, arXiv:2103.02885.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.masks import read_mask
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.sparse_features import sparse_features
from graphkd.gnn._derived import with_self_loops
from graphkd.kernels import EdgeLayout, edge_layout, edge_spmm, segment_log_softmax
from graphkd.losses._checks import choose, class_ids
from graphkd.losses.response.soft_label_distance import SoftLabelDistance

Mode = Literal["inductive", "transductive"]
Form = Literal["code", "paper"]
# The loss of each form of the student; the authors' code rounds soft labels.
_DISTANCES: dict[str, dict[str, Any]] = {"code": {"distance": "norm", "decimals": 4}, "paper": {"distance": "norms"}}


@method("cpf_tra", preset={"mode": "transductive", "steps": 7})
@method(
    "cpf_ind",
    family="gnn",
    paper="Yang et al., The Web Conference 2021",
    arxiv="2103.02885",
    needs=("edges",),
    cannot={
        "student": "it brings a student that propagates labels, PLP",
        "loader": "its student has a parameter for every node of one graph and propagates labels over all of it",
    },
    published={"epochs": 499, "weight_decay": 0.01},
    space={"dropout": (0.05, 0.95), "attention_dropout": (0.02, 0.9)},
)
def cpf_method(
    problem: Problem,
    *,
    mode: Mode = "inductive",
    form: Form = "code",
    steps: int = 8,
    width: int = 32,
    layers: int = 2,
    dropout: float = 0.8,
    attention_dropout: float = 0.2,
    lr: float = 0.001,
) -> nn.Module:
    """Train a student that propagates labels and mixes in features; choose it where labels spread well along edges.

    The student is a ``PLP``, which separates the shares of labels, structure and features; it learns the teacher's soft
    labels on unlabelled nodes. It is transductive: it serves the nodes of its training graph, and raises ValueError for
    others. mode: "inductive" (CPF-ind) or "transductive" (CPF-tra), see ``PLP``. The ``form`` sets the loss, too:
    "code", one norm over all nodes of soft labels with 4 decimals; "paper", the sum of a norm per node. steps, width
    and layers (of the MLP, 0 for none): published for each teacher and data set, by default those of a GCN on Cora.
    lr: of Adam, if no optimizer is given; published 0.001, except 0.01 for CPF-tra of a GraphSAGE on Cora. All 499
    epochs are run: the authors' patience of 50 ends one run in five early, while validation accuracy is still that of
    the first propagation. O(steps E C) a step.
    """
    labels, known = problem.targets, problem.values_of(problem.labelled)
    kind: dict[str, Any] = {"mode": mode, "form": form, "steps": steps, "hidden": width, "mlp_layers": layers}
    kind |= {"dropout": dropout, "attention_dropout": attention_dropout}
    student = problem.made(lambda: PLP(problem.features, problem.classes, labels, known, **kind))
    loss = SoftLabelDistance(**_DISTANCES[form], where=f"~{problem.labelled}")
    return problem.train(problem.distiller(student, problem.teacher, {"soft_labels": loss}), lr=lr)


class PLP(nn.Module):
    """Propagate labels by trained weights and mix in an MLP of the features: the student of CPF.

    f^0 is one-hot on labelled nodes and uniform elsewhere; in each of ``steps`` steps
    f(v) <- r(a_v sum_u w_vu f(u) + (1 - a_v) MLP(x_v)), w_vu = softmax of c_u over the in-neighbours u of v and v,
    then labelled nodes are reset. a_v = sigmoid of a free scalar per node; c_u = z . x_u ("inductive": CPF-ind) or a
    free scalar ("transductive": CPF-tra). Forms: "code", as the authors run it: r = ReLU, the MLP's output is raw,
    and the result is logits, which go through another softmax; "paper": r is the identity, the MLP ends with a softmax,
    and the result is log f. Both modes serve the nodes of one graph only, since each node has its own a_v.

    features, classes: widths F and C; y: (N,) labels, read only where ``known``, a mask (N,) or ids. hidden,
    mlp_layers: width and layers of the MLP; with 0 layers there is only propagation. dropout: on features, z . x, c and
    hidden layers; attention_dropout: on w. As in the authors' code every propagation step draws both anew in training,
    so the MLP and w are computed ``steps`` times, in evaluation once. Sparse features stay sparse. Raises ValueError
    for 0 steps.

    Example::

        >>> student = PLP(8, 3, data.y, known=data.train_mask, steps=2).eval()
        >>> answers = student(data.x, data.edge_index).argmax(dim=1)
        >>> torch.equal(answers[data.train_mask], data.y[data.train_mask])  # labels that are known are kept
        True
    """

    known: Tensor
    label: Tensor

    def __init__(
        self,
        features: int,
        classes: int,
        y: Tensor,
        known: Tensor,
        *,
        hidden: int = 64,
        steps: int = 10,
        mode: Mode = "inductive",
        form: Form = "code",
        mlp_layers: int = 2,
        dropout: float = 0.8,
        attention_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        choose("mode", mode, get_args(Mode))
        choose("form", form, get_args(Form))
        if steps < 1 or mlp_layers < 0:
            raise ValueError(f"'steps' must be at least 1 and 'mlp_layers' 0, got {steps} and {mlp_layers}")
        self.steps, self.mode, self.form = steps, mode, form
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.register_buffer("known", read_mask(known, y.size(0), "known"))
        self.register_buffer("label", _one_hot(y, self.known, classes))
        self.alpha = nn.Parameter(torch.zeros(y.size(0), 1))
        self.score = nn.Parameter(torch.empty((1, features) if mode == "inductive" else (y.size(0), 1)))
        nn.init.xavier_normal_(self.score, gain=2**0.5)
        widths = [features, *[hidden] * (mlp_layers - 1), classes] if mlp_layers else []
        self.lins = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, F), (2, E) -> (N, C) logits; loops are added where missing. ValueError for another N than that of y."""
        x, layout = sparse_features(x), self._layout(x, edge_index)
        gate, rest = self.alpha.sigmoid(), (-self.alpha).sigmoid()
        state = prior = self.label.masked_fill(~self.known[:, None], 1 / self.label.size(1))
        for step in range(self.steps):
            if step == 0 or self.training:
                weight, own = self._weight(x, layout), self._own(x)
            mixed = edge_spmm(weight, state, layout)
            if own is not None:
                mixed = gate * mixed + rest * own
            state = torch.where(self.known[:, None], prior, mixed.relu() if self.form == "code" else mixed)
        return state if self.form == "code" else state.clamp_min(torch.finfo(state.dtype).tiny).log()

    def attention(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Compute the weights w, (E + n,): in the order of ``edge_index``, then of the n loops that were added."""
        layout = self._layout(x, edge_index)
        return layout.restore(self._weight(x, layout))

    def _layout(self, x: Tensor, edge_index: Tensor) -> EdgeLayout:
        nodes = self.label.size(0)
        if x.size(0) != nodes:
            raise ValueError(f"'x' must have the {nodes} nodes that this PLP was made for, got {x.size(0)}")
        return edge_layout(with_self_loops(edge_index, nodes), nodes)

    def _weight(self, x: Tensor, layout: EdgeLayout) -> Tensor:
        """Weights w in the layout's order."""
        if self.mode == "inductive":
            score = F.linear(F.dropout(x, self.dropout, self.training), self.score)
        else:
            score = F.dropout(self.score, self.dropout, self.training)
        weight = segment_log_softmax(score[:, 0].index_select(0, layout.source), layout).exp()
        return F.dropout(weight, self.attention_dropout, self.training)

    def _own(self, x: Tensor) -> Tensor | None:
        """Run the MLP on the features, (N, C)."""
        if not self.lins:
            return None
        first, *others = self.lins
        hidden = first(F.dropout(x, self.dropout, self.training))
        for linear in others:
            hidden = linear(F.dropout(hidden.relu(), self.dropout, self.training))
        return hidden if self.form == "code" else hidden.softmax(dim=1)


def _one_hot(y: Tensor, known: Tensor, classes: int) -> Tensor:
    """(N,), (N,) -> (N, C): one-hot on known nodes, 0 elsewhere; exact in every dtype, unlike 1 / C."""
    class_ids(y[known], int(known.sum()), classes)
    label = torch.zeros(y.size(0), classes, device=y.device)
    label[known] = F.one_hot(y[known].long(), classes).to(label.dtype)
    return label
