"""GFKD's first stage: graphs made of parameters, fitted to the statistics that a teacher's BatchNorm layers store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch_geometric.data import Data

from graphkd.core.distiller import Step
from graphkd.core.modes import evaluating
from graphkd.core.teachers import Frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Call, Viewer

Batch = dict[str, Tensor]


class FakeGraphs(nn.Module):
    """Represent B graphs by trained features and edges: a batch of ``x``, ``edge_index``, ``batch`` and ``y``.

    sizes: (B,) numbers of nodes n_g; targets: (B,) classes; width: F. The parameter ``features`` (N, F) has the node
    features, or with ``one_hot`` their logits; ``structure`` (sum n_g^2) the logits of all ordered pairs of nodes of a
    graph, row by row from the source. Edges are directed; pairs of a node with itself are ignored, and ``self_loops``
    gives every node an edge to itself, for teachers whose layers add none. The global generator draws normal features
    and uniform edge probabilities. bound: the largest magnitude of a feature without ``one_hot``, in the data's units;
    the default fits standardised features. A feature that the teacher's statistics hardly constrain would diverge.
    Raises ValueError for sizes and targets of different length and for a bound that is not positive.

    Example::

        >>> fake = FakeGraphs(sizes=torch.tensor([3, 4]), targets=torch.tensor([0, 1]), width=5)
        >>> [(graph.num_nodes, int(graph.y)) for graph in fake.graphs()]
        [(3, 0), (4, 1)]
        >>> fake.graphs()[0].x.sum(dim=1)  # rows are one-hot
        tensor([1., 1., 1.])
    """

    batch: Tensor
    y: Tensor
    pairs: Tensor
    owner: Tensor

    def __init__(
        self,
        sizes: Tensor,
        targets: Tensor,
        width: int,
        *,
        one_hot: bool = True,
        self_loops: bool = False,
        bound: float = 3.0,
    ) -> None:
        super().__init__()
        if sizes.dim() != 1 or sizes.shape != targets.shape or sizes.numel() == 0 or int(sizes.min()) < 1:
            raise ValueError(f"'sizes' and 'targets' must name the nodes and the class of each graph, got {sizes}")
        if not bound > 0:
            raise ValueError(f"'bound' must be above 0, got {bound}")
        self.one_hot, self.self_loops, self.bound = one_hot, self_loops, bound
        squares, starts = sizes**2, sizes.cumsum(0) - sizes
        owner = torch.arange(sizes.size(0)).repeat_interleave(squares)
        rank = torch.arange(owner.size(0)) - (squares.cumsum(0) - squares)[owner]
        pairs = starts[owner] + torch.stack([rank // sizes[owner], rank % sizes[owner]])
        for name, fact in (("owner", owner), ("pairs", pairs), ("y", targets)):
            self.register_buffer(name, fact)
        self.register_buffer("batch", torch.arange(sizes.size(0)).repeat_interleave(sizes))
        self.features = nn.Parameter(torch.randn(self.batch.size(0), width))
        self.structure = nn.Parameter(torch.rand(owner.size(0)).logit(eps=1e-6))

    def forward(self, chosen: Tensor | None = None) -> Batch:
        """Return the graphs as one batch, with the edges of the mask ``chosen`` (sum n_g^2), by default ``likely``.

        ``x`` is differentiable with respect to ``features``; nothing is with respect to ``structure``.
        """
        edges = self.pairs[:, (self.likely() if chosen is None else chosen) & (self.pairs[0] != self.pairs[1])]
        if self.self_loops:
            nodes = torch.arange(self.batch.size(0), device=edges.device)
            edges = torch.cat([edges, nodes.expand(2, -1)], dim=1)
        x = self.features.softmax(dim=1) if self.one_hot else self.features.clamp(-self.bound, self.bound)
        return {"x": x, "edge_index": edges, "batch": self.batch, "y": self.y}

    @torch.no_grad()
    def keep_within(self) -> None:
        """Clamp features to the bound, since beyond it no gradient would bring them back."""
        if not self.one_hot:
            self.features.clamp_(-self.bound, self.bound)

    def likely(self) -> Tensor:
        """Return the mask (sum n_g^2) of pairs with sigmoid(structure) >= 1/2."""
        return self.structure.detach().sigmoid() >= 0.5

    def entropy(self) -> Tensor:
        """Compute the mean entropy of the nodes' one-hot features; 0 without ``one_hot``."""
        if not self.one_hot:
            return self.features.new_zeros(())
        return -(self.features.softmax(1) * self.features.log_softmax(1)).sum(dim=1).mean()

    @torch.no_grad()
    def graphs(self) -> list[Data]:
        """Return the graphs one by one, with ``likely`` edges, exact one-hot rows, and the target as ``y`` (1,)."""
        whole = self()
        x = F.one_hot(whole["x"].argmax(1), whole["x"].size(1)).to(whole["x"]) if self.one_hot else whole["x"]
        source, target = whole["edge_index"]
        found = []
        for number, label in enumerate(self.y):
            nodes = (self.batch == number).nonzero().squeeze(1)
            inside = self.batch[source] == number
            edges = torch.stack([source[inside], target[inside]]) - nodes[0]
            found.append(Data(x=x[nodes].clone(), edge_index=edges, y=label[None].clone()))
        return found


class Inversion(Trainable):
    """Fit fake graphs to their classes and to the teacher's BatchNorm statistics; ``student`` is the ``FakeGraphs``.

    Features: the gradient of mean_g CE(teacher(A_g, X_g), y_g) + bn_weight R + entropy_weight H at the likely edges.
    R = sum over BatchNorm layers of ||running_var - var||_2 + ||running_mean - mean||_2, norms not squared, biased
    variance over all rows that enter the layer; H: ``FakeGraphs.entropy``. Structure: ``structure_gradient``.
    teacher: a graph classifier, called with ``x``, ``edge_index``, ``batch`` by the names in its ``forward``, or as
    ``call`` says; in eval mode, never trained. Raises ValueError if it has no BatchNorm with running statistics. An
    epoch runs the teacher three times.

    Example::

        >>> from graphkd.gnn import MuGSIStudent
        >>> fake = FakeGraphs(torch.tensor([3, 4]), torch.tensor([0, 1]), width=5)
        >>> inversion = Inversion(fake, teacher=MuGSIStudent(5, classes=2), bn_weight=0.1)
        >>> sorted(inversion().terms)
        ['bn', 'entropy', 'label']
    """

    def __init__(
        self,
        student: FakeGraphs,
        teacher: nn.Module,
        *,
        bn_weight: float = 0.01,
        entropy_weight: float = 0.01,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        self.student, self.bn_weight, self.entropy_weight = student, bn_weight, entropy_weight
        self._teacher = self.hold(Frozen(teacher, call=call))  # no sub-module, so never among the parameters
        layers = {
            path: module
            for path, module in teacher.named_modules()
            if isinstance(module, _BatchNorm) and module.running_mean is not None
        }
        if not layers:
            raise ValueError("the teacher must have BatchNorm layers with running statistics, got none")
        self._layers = list(layers.values())
        taps = {f"bn{k}": f"{path}:in" for k, path in enumerate(layers)}
        self._viewer = self.hold(Viewer(teacher, taps=taps, call=call))

    def forward(self, _: Any = None) -> Step:
        """Compute the features' loss, plus a term of value 0 that carries the structure's gradient."""
        self.student.keep_within()
        loss, terms = self.feature_loss()
        structure = self.student.structure
        estimate = self.structure_gradient(torch.rand_like(structure))
        carried = (structure * estimate).sum()
        return Step(loss + carried - carried.detach(), {name: value.detach() for name, value in terms.items()})

    def feature_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of the features, and its unweighted terms ``label``, ``bn``, ``entropy``."""
        labels, statistics = self.look(self.student())
        terms = {"label": labels.mean(), "bn": statistics.sum(), "entropy": self.student.entropy()}
        weights = {"label": 1.0, "bn": self.bn_weight, "entropy": self.entropy_weight}
        return self.weighed({name: (weights[name], term) for name, term in terms.items()}), terms

    @torch.no_grad()
    def structure_gradient(self, noise: Tensor) -> Tensor:
        """Estimate the gradient without bias from two runs (augment-REINFORCE-merge): (sum n_g^2) -> the same shape.

        (CE_g(E1) - CE_g(E2) + bn_weight (R(E1) - R(E2))) (u - 1/2), with E1 = [u > sigmoid(-phi)] and
        E2 = [u < sigmoid(phi)], u the uniform ``noise`` and phi the ``structure``. As in the authors' code CE_g is that
        of the pair's graph, not divided by B.
        """
        first, second = self.merged(noise)
        (labels, statistics), (others, theirs) = (self.look(self.student(chosen)) for chosen in (first, second))
        contrast = labels - others + self.bn_weight * (statistics.sum() - theirs.sum())
        return contrast[self.student.owner] * (noise - 0.5)

    def merged(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the masks E1 and E2 from one draw of uniform noise."""
        logits = self.student.structure.detach()
        return noise > (-logits).sigmoid(), noise < logits.sigmoid()

    def look(self, graphs: Batch) -> tuple[Tensor, Tensor]:
        """Compute the cross-entropy of every graph (B,), and R's summand of each BatchNorm layer (layers,)."""
        with evaluating(self._teacher.model), _constant(self._teacher.model):
            view = self._viewer(graphs)
        gaps = [_gap(layer, view[f"bn{k}"]) for k, layer in enumerate(self._layers)]
        return F.cross_entropy(view["logits"], graphs["y"].long(), reduction="none"), torch.stack(gaps)


def _gap(layer: _BatchNorm, x: Tensor) -> Tensor:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    rows = x.movedim(1, -1).flatten(0, -2)
    variance = layer.running_var - rows.var(dim=0, correction=0)
    return variance.norm() + (layer.running_mean - rows.mean(dim=0)).norm()


@contextmanager
def _constant(model: nn.Module) -> Iterator[None]:
    """Run a model with its parameters as constants: no gradient is computed for them."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
