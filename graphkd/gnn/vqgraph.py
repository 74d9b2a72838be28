"""VQGraph: an MLP learns each node's code in a codebook that is trained on nodes and their neighbourhoods.

Yang, Tian, Xu, Liu, Hong, Qu, Zhang, Cui, Zhang and Leskovec, "VQGraph: Rethinking Graph Representation Space for
Bridging GNNs and MLPs", ICLR 2024, arXiv:2308.02117.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.adjacency import edge_index_of
from graphkd.core.distiller import Distiller, Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.sparse_features import whole
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch
from graphkd.gnn.glnn import GLNNBatches, Recorded, check_label_weight
from graphkd.gnn.vqgraph_tokeniser import Codebook, Tokeniser, looped
from graphkd.losses._checks import check_positive
from graphkd.losses.response.ce import CE
from graphkd.losses.response.kd import KL


@method(
    "vqgraph",
    family="gnn",
    paper="Yang et al., ICLR 2024",
    arxiv="2308.02117",
    needs=("edges",),
    cannot={
        "student": "it brings an MLP with a second head, into its codebook",
        "loader": "its teacher rebuilds the edges of the whole graph from codes",
    },
    published={"patience": 50, "weight_decay": 0.005},
    teacher=False,
    space={"dropout": (0.02, 0.9), "teacher_dropout": (0.02, 0.9), "token_weight": (1e-8, 10.0)},
)
def vqgraph_method(
    problem: Problem,
    *,
    codes: int = 5000,
    node_weight: float = 0.001,
    edge_weight: float = 0.03,
    teacher_width: int = 64,
    teacher_dropout: float = 0.8,
    teacher_lr: float = 0.0001,
    teacher_epochs: int = 100,
    token_weight: float = 1e-8,
    temperature: float = 4.0,
    released: bool = False,
    label_weight: float = 0.0,
    width: int = 128,
    dropout: float = 0.6,
    batch_size: int = 512,
) -> nn.Module:
    """Match soft labels and codes of a quantised teacher; choose it to test what a codebook adds to ``glnn``.

    The method trains its own teacher, a ``Tokeniser``, on the labels, plus node_weight and edge_weight times the errors
    of hidden rows and edges that are reconstructed from ``codes`` codes; teacher_width, teacher_dropout, teacher_lr and
    teacher_epochs are its settings. Then an MLP takes three kinds of steps in each epoch: on all rows
    token_weight T^2 KL(softmax(s_i / T) || softmax(d_i / T)), s the cosines of the teacher's hidden row with the codes,
    d minus the distances of the MLP's second head from them, T = ``temperature``; on labelled rows label_weight CE; on
    all rows (1 - label_weight) KL(teacher || student). Defaults are those published for Cora. The result is an MLP on
    features, of ``width`` and ``dropout``; its second head is not used for answers. A step costs O(N K F) for the codes
    of the teacher, K = ``codes``, and O(B K width) for those of the student.

    The released code differs in four things that matter. It chooses the student's epoch on test rows (transductive
    setting), here on validation rows. It compares the codes of node i with those of another node, since its features
    are in the order of the splits; here rows are found by node id. Its KL takes probabilities for logarithms, which
    pushes towards equal probabilities: released=True. Its token weight, 1e-8, our default too, acts only through Adam's
    shared moments, and with K = 5000 and cosines over 4 the targets are nearly uniform. So its results do not show the
    effect of tokens: compare with ``glnn`` from the same teacher, token_weight=0.
    """
    edges = {"node_weight": node_weight, "edge_weight": edge_weight}
    classes = int(problem.targets.max()) + 1 if problem.teacher is None else problem.classes
    tokeniser = problem.made(
        lambda: Tokeniser(problem.features, teacher_width, classes, codes, dropout=teacher_dropout)
    )
    trainable = Tokenising(tokeniser, problem.supervised(), **edges)
    options: dict[str, Any] = {"epochs": teacher_epochs, "lr": teacher_lr, "weight_decay": 0.001}
    tokeniser = problem.train(trainable, "teacher", **options)
    hidden, told = _told(problem, tokeniser)
    student = problem.made(lambda: TokenMLP(problem.features, width, classes, dropout=dropout))
    nodes = problem.labelled_nodes
    data = VQGraphBatches(problem.values_of("x"), problem.targets, nodes, batch_size, told=told, local=hidden)
    weights = {"token_weight": token_weight, "temperature": temperature, "label_weight": label_weight}
    taught = VQGraph(student, tokeniser.book, released=released, **weights)
    return problem.train(taught, "student", data)


def _told(problem: Problem, tokeniser: Tokeniser) -> tuple[Tensor, Tensor]:
    """Compute hidden rows and logits of the teacher."""
    x, edge_index = whole(problem.first["x"]), edge_index_of(problem.first["edge_index"])
    with torch.no_grad(), evaluating(tokeniser):
        found = tokeniser.look(x, looped(edge_index, x.size(0)))
    return found.hidden, found.logits


class Tokenising(Trainable):
    """Train a ``Tokeniser`` on the labels and its reconstructions; terms ``label``, ``commit``, ``node``, ``edge``."""

    def __init__(self, student: Tokeniser, label: Loss, *, node_weight: float, edge_weight: float) -> None:
        super().__init__()
        self.student, self.label = student, label
        self.weights = {"node": node_weight, "edge": edge_weight}

    def forward(self, batch: Batch) -> Step:
        """Run once over the graph; in training mode this moves the codes."""
        x = whole(batch["x"])
        found = self.student.look(x, looped(edge_index_of(batch["edge_index"]), x.size(0)))
        label = self.label.measure({"logits": found.logits}, None, batch)
        assert label is not None
        terms = {"label": (1.0, label), "commit": (1.0, found.quantised.commitment)}
        terms |= {"node": (self.weights["node"], found.node), "edge": (self.weights["edge"], found.edge)}
        return Step(self.weighed(terms), {name: value.detach() for name, (_, value) in terms.items()})


class TokenMLP(nn.Module):
    """An MLP of one hidden layer with a second linear head, ``tokens``, of the features' width; (N, F) -> (N, C)."""

    def __init__(self, features: int, width: int, classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.first, self.last, self.tokens = (
            nn.Linear(*ends) for ends in ((features, width), (width, classes), (width, features))
        )
        self.dropout = dropout

    def hidden(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, width)."""
        return F.dropout(self.first(x).relu(), self.dropout, self.training)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, C)."""
        scores: Tensor = self.last(self.hidden(x))
        return scores


def token_scores(hidden: Tensor, weight: Tensor, bias: Tensor, codes: Tensor) -> Tensor:
    """-|W u_i + b - C_k| of each row and code, without W u + b: (N, w), (F, w), (F,), (K, F) -> (N, K).

    |W u|^2 + 2 u . W'b + |b - C_k|^2 - 2 u . W'C_k: O(N K w + K F w), not O(N K F).
    """
    own = ((hidden @ (weight.t() @ weight)) * hidden).sum(dim=1) + 2 * hidden @ (weight.t() @ bias)
    squared = own[:, None] + (codes - bias).square().sum(dim=1) - 2 * hidden @ (codes @ weight).t()
    return -squared.clamp_min(torch.finfo(squared.dtype).eps).sqrt()


def token_kl(student: Tensor, teacher: Tensor, temperature: float = 4.0, *, released: bool = False) -> Tensor:
    """T^2 mean_i KL(softmax(t_i / T) || softmax(s_i / T)): (N, K), (N, K) -> scalar.

    released: T^2 mean_i sum_k exp(p_ik) (p_ik - log softmax(s_i / T)_k), p the teacher's probabilities, which the
    authors' code passes where logarithms are expected.
    """
    check_positive("temperature", temperature)
    log_p, log_q = (x / temperature for x in (student, teacher))
    log_p, log_q = log_p.log_softmax(dim=1), log_q.log_softmax(dim=1)
    target = log_q.exp() if released else log_q
    return temperature**2 * F.kl_div(log_p, target, reduction="batchmean", log_target=True)


class VQGraph(Distiller):
    """VQGraph on ``VQGraphBatches``; terms ``label``, ``teacher``, ``token``. book: the teacher's codebook."""

    def __init__(
        self,
        student: TokenMLP,
        book: Codebook,
        *,
        token_weight: float = 1e-8,
        temperature: float = 4.0,
        label_weight: float = 0.0,
        released: bool = False,
    ) -> None:
        check_label_weight(label_weight)
        losses = {"label": label_weight * CE(where="labelled"), "teacher": (1 - label_weight) * KL(where="taught")}
        super().__init__(student, Recorded(logits="told"), losses)
        self._book = [book]  # the teacher's, not to be trained
        self.token_weight, self.temperature, self.released = token_weight, temperature, released

    def forward(self, batch: Batch) -> Step:
        """Compute the token term on batches for tokens, GLNN's terms on others."""
        if "local" not in batch or not bool(batch["token"].all()):
            return super().forward(batch)
        student, book = self.student, self._book[0]
        assert isinstance(student, TokenMLP)
        hidden = student.hidden(whole(batch["x"]))
        ours = token_scores(hidden, student.tokens.weight, student.tokens.bias, book.codes)
        value = token_kl(ours, book.scores(batch["local"]), self.temperature, released=self.released)
        return Step(self.weighed({"token": (self.token_weight, value)}), {"token": value.detach()})


class VQGraphBatches(GLNNBatches):
    """An epoch: batches of all rows for tokens, marked by ``token``, then those of ``GLNNBatches``."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for batch in self._shuffled(self.rows, is_labelled=False):
            yield {**batch, "token": torch.ones_like(batch["taught"])}
        for batch in super().__iter__():
            yield {**batch, "token": torch.zeros_like(batch["taught"])}
