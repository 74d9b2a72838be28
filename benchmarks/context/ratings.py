"""Ratings as a regression: features of rows, and a model of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import MLP

from recsys.data.rows import Rows

MANY = 100  # a field of more values has no column for each


class Regressor(nn.Module):
    """ReLU layers on features (N, F): ``logits`` (N, 1), the number; ``body`` is the layer that the last one reads."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.body = MLP(widths, norm=None, plain_last=False)
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        answer: Tensor = self.head(self.body(x))
        return answer


def dense(rows: Rows, *, outliers: float = 0.0, seed: int = 0) -> Rows:
    """Rows with standardised features ``x`` (N, F) and the rating ``y`` (N, 1); outliers among training rows alone."""
    rating = rows.columns["rating"].double()
    generator = torch.Generator().manual_seed(seed)
    replaced = rows.train[torch.rand(len(rows.train), generator=generator) < outliers]
    donors = rows.train[torch.randint(len(rows.train), replaced.shape, generator=generator)]
    known = rating.index_copy(0, replaced, rating[donors])
    parts = [_histories(rows, rows.columns[name], known) for name in ("user_id", "item_id")]
    for name, field in rows.fields.items():
        if field.size <= MANY and name not in ("user_id", "item_id"):
            one_hot = F.one_hot(rows.columns[name], field.size).double()
            parts.append(one_hot.amax(dim=1)[:, 1:] if field.sequence else one_hot[:, 1:])  # 0 fills up
    x = torch.cat(parts, dim=1)
    seen = x[rows.train]
    spread = seen.std(dim=0)
    x = (x - seen.mean(dim=0)) / torch.where(spread > 0, spread, 1)
    return Rows({"x": x.float(), "y": known.float()[:, None]}, {}, rows.train, rows.valid, rows.test)


def _histories(rows: Rows, ids: Tensor, rating: Tensor) -> Tensor:
    """Mean and log number of the training ratings of every row's user or item, its own rating not among them."""
    size = int(ids.max()) + 1
    sums, counts = torch.zeros(2, size, dtype=torch.float64)
    sums.index_add_(0, ids[rows.train], rating[rows.train])
    counts.index_add_(0, ids[rows.train], torch.ones(len(rows.train), dtype=torch.float64))
    own = torch.zeros_like(rating).index_fill(0, rows.train, 1)
    number = counts[ids] - own
    mean = (sums[ids] - own * rating) / number.clamp(min=1)
    return torch.stack([torch.where(number > 0, mean, rating[rows.train].mean()), number.log1p()], dim=1)
