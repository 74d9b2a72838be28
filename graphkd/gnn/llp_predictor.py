"""The student of LLP: an MLP that embeds nodes, and one that scores the products of two embeddings."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import MLP


class LinkPredictor(nn.Module):
    """Embed nodes by their features alone and score pairs by MLP(h_i * h_j), without a sigmoid.

    features, width: F and the width of embeddings and hidden layers; layers, predictor_layers: linear layers of the
    encoder and of the predictor. ``encode`` (N, F) -> (N, width), then ``decode`` (N, width), (2, M) -> (M,) logits;
    ``forward`` calls both.

    Example::

        >>> model, pairs = LinkPredictor(features=8, width=16).eval(), torch.tensor([[3, 5], [17, 6]])
        >>> torch.allclose(model(data.x, pairs), model(data.x, pairs.flip(0)))  # pairs have no direction
        True
    """

    def __init__(
        self, features: int, width: int = 256, *, layers: int = 2, predictor_layers: int = 2, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.encoder = MLP([features, *[width] * layers], norm=None, dropout=dropout)
        self.predictor = MLP([*[width] * predictor_layers, 1], norm=None, dropout=dropout)

    def encode(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, width)."""
        embedded: Tensor = self.encoder(x)
        return embedded

    def decode(self, z: Tensor, edge_label_index: Tensor) -> Tensor:
        """(N, width), (2, M) -> (M,)."""
        source, target = edge_label_index
        scores: Tensor = self.predictor(z[source] * z[target])
        return scores.squeeze(1)

    def forward(self, x: Tensor, edge_label_index: Tensor) -> Tensor:
        """(N, F), (2, M) -> (M,)."""
        return self.decode(self.encode(x), edge_label_index)
