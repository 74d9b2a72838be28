"""The teacher of VQGraph: a GNN that replaces nodes by codes of a codebook and reconstructs edges from them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.kernels import edge_dot, edge_layout, edge_spmm
from graphkd.kernels.norms import unit_vectors

COMMITMENT = 0.25


class Quantised(NamedTuple):
    """Quantised rows: codes with a straight-through gradient (N, d), and cosines with all codes, (N, K).

    place: index of each row's code, (N,). commitment: 0.25 times the mean squared difference of rows and codes.
    """

    codes: Tensor
    place: Tensor
    scores: Tensor
    commitment: Tensor


class Codebook(nn.Module):
    """Quantise rows by K codes: each row takes the code of largest cosine; in training codes move to their rows.

    C_k := C_k + (1 - decay) (nz(mean of nz(h_i) of its rows) - C_k), nz a row over its length; an unused code moves
    to nz(C_k). count: K, width: d. Raises ValueError for K below 1 and a decay outside [0, 1].
    """

    codes: Tensor
    size: Tensor

    def __init__(self, count: int, width: int, *, decay: float = 0.8) -> None:
        super().__init__()
        if count < 1 or not 0 <= decay <= 1:
            raise ValueError(f"'codes' must be at least 1 and 'decay' in [0, 1], got {count} and {decay}")
        self.decay = decay
        self.register_buffer("codes", nn.init.kaiming_uniform_(torch.empty(count, width)))
        self.register_buffer("size", torch.zeros(count))

    def scores(self, rows: Tensor) -> Tensor:
        """Compute cosines with all codes: (N, d) -> (N, K)."""
        return unit_vectors(rows) @ unit_vectors(self.codes).t()

    def forward(self, rows: Tensor) -> Quantised:
        """Quantise rows: (N, d) -> ``Quantised``; O(N K d)."""
        scores = self.scores(rows.detach())
        index = scores.argmax(dim=1)
        chosen = self.codes[index]
        commitment = COMMITMENT * (chosen - rows).square().mean()
        found = Quantised(rows + (chosen - rows).detach(), index, scores, commitment)
        if self.training:
            self._follow(rows.detach(), index)
        return found

    @torch.no_grad()
    def _follow(self, rows: Tensor, index: Tensor) -> None:
        taken = torch.bincount(index, minlength=len(self.codes)).to(rows)
        sums = torch.zeros_like(self.codes).index_add(0, index, unit_vectors(rows))
        mean = unit_vectors(sums / taken.clamp_min(1)[:, None])
        target = torch.where(taken[:, None] > 0, mean, unit_vectors(self.codes))
        self.size.lerp_(taken, 1 - self.decay)
        self.codes.copy_(torch.lerp(self.codes, target, 1 - self.decay))


class Convolution(nn.Module):
    """D_in^-1/2 A D_out^-1/2 x W + b, as in the authors' graph library: (N, i), (2, E) -> (N, o)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width, out)))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, i), (2, E) -> (N, o); no loops are added, and duplicate edges count."""
        layout = edge_layout(edge_index, x.size(0))
        into, out = (ptr.diff().clamp_min(1).to(x.dtype).rsqrt() for ptr in (layout.ptr, layout.out_ptr))
        value = into[layout.target.long()] * out[layout.source.long()]
        return edge_spmm(value, x @ self.weight, layout) + self.bias


class Tokens(NamedTuple):
    """Output of a tokeniser: logits (N, C), hidden rows (N, F), codes, and the three losses of its codes."""

    logits: Tensor
    hidden: Tensor
    quantised: Quantised
    node: Tensor
    edge: Tensor


class Tokeniser(nn.Module):
    """Two graph convolutions with a codebook between them, (N, F), (2, E) -> (N, C).

    features, width, classes: F, the output width of the second convolution, C; the first convolution and the codes are
    F wide. codes: K; decay: see ``Codebook``. ``forward`` adds loops to the edges.
    """

    def __init__(
        self, features: int, width: int, classes: int, codes: int, *, dropout: float, decay: float = 0.8
    ) -> None:
        super().__init__()
        self.first, self.second = Convolution(features, features), Convolution(features, width)
        self.edges, self.nodes = nn.Linear(features, features), nn.Linear(features, features)
        self.last, self.book = nn.Linear(width, classes), Codebook(codes, features, decay=decay)
        self.dropout = dropout

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, F), (2, E) without loops -> (N, C)."""
        return self.look(x, looped(edge_index, x.size(0))).logits

    def look(self, x: Tensor, edge_index: Tensor) -> Tokens:
        """(N, F), (2, E) with loops -> ``Tokens``."""
        hidden = F.dropout(self.first(x, edge_index).relu(), self.dropout, self.training)
        quantised = self.book(hidden)
        structure = self.edges(quantised.codes)
        node = (hidden - self.nodes(quantised.codes)).square().mean()
        edge = adjacency_error(structure, edge_index, quantised.place)
        logits = self.last(self.second(structure, edge_index).relu())
        return Tokens(logits, hidden, quantised, node, edge)


def looped(edge_index: Tensor, nodes: int) -> Tensor:
    """Return the edges with exactly one loop at every node."""
    own = torch.arange(nodes, device=edge_index.device).expand(2, -1)
    return torch.cat([edge_index[:, edge_index[0] != edge_index[1]], own], dim=1)


def adjacency_error(y: Tensor, edge_index: Tensor, index: Tensor) -> Tensor:
    """sqrt(mean_ij (A_ij - (G_ij - min G) / (max G - min G))^2), G = y y': (N, d), (2, E), codes (N,) -> scalar.

    Without N x N: |A|^2 and <A, G> from the edges, sum G and sum G^2 from y'1 and y'y, max G = max |y_i|^2, and min G
    from one node per code, since nodes of a code share one y. O(E d + N d^2 + K^2 d) for K codes in use, in float64;
    the gradient of min G and max G goes to one node per code. If all entries of G are equal, 0 / 0 counts as 0.
    """
    wide = y.double()
    nodes = y.size(0)
    layout = edge_layout(edge_index, nodes)
    least, largest = _least(wide, index), wide.square().sum(dim=1).max()
    span = largest - least
    span = torch.where(span > 0, span, torch.ones_like(span))
    key = edge_index[0] * nodes + edge_index[1]
    squares = key.unique(return_counts=True)[1].double().square().sum()
    along = edge_dot(wide, wide, layout).sum()
    total, power = wide.sum(dim=0).square().sum(), (wide.t() @ wide).square().sum()
    cross = (along - least * edge_index.size(1)) / span
    gram = (power - 2 * least * total + nodes**2 * least.square()) / span.square()
    return ((squares - 2 * cross + gram) / nodes**2).clamp_min(1e-30).sqrt().to(y.dtype)


def _least(y: Tensor, index: Tensor) -> Tensor:
    """Compute the least inner product of two rows; rows of the same code are equal."""
    first = torch.full((int(index.max()) + 1,), y.size(0), dtype=torch.long, device=y.device)
    order = torch.arange(y.size(0), device=y.device)
    first = first.scatter_reduce(0, index, order, "amin")
    rows = y[first[first < y.size(0)]]
    place = int((rows.detach() @ rows.detach().t()).argmin())
    one, other = divmod(place, len(rows))
    return rows[one] @ rows[other]
