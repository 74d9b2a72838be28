"""Click-through nets without RecBole: embedded fields, layers, and the pairs and heads that some methods train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.view import Call, Viewer
from recsys.data.rows import Field
from recsys.models.embedding import Embedding

View = dict[str, Tensor]


def show(model: nn.Module, batch: Any) -> Any:
    """Call a net with a whole batch: the ``call=`` of ``Distiller`` and of teachers."""
    return model(batch)


class FieldEmbedding(nn.Module):
    """One table for all fields; a batch becomes (B, fields · width), a sequence the mean of its embeddings."""

    def __init__(self, fields: Mapping[str, Field], width: int, std: float = 0.01) -> None:
        super().__init__()
        self.fields = dict(fields)
        sizes = [field.size for field in self.fields.values()]
        self.first = dict(zip(self.fields, torch.tensor([0, *sizes]).cumsum(0).tolist(), strict=False))
        self.table = Embedding(sum(sizes), width, std)
        self.width = width * len(sizes)
        self.table.reset_parameters()

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Look up the fields and concatenate them."""
        parts = {name: batch[name] + self.first[name] for name in self.fields}
        single = [name for name, field in self.fields.items() if not field.sequence]
        joined = []
        if single:
            joined.append(self.table(torch.stack([parts[name] for name in single], dim=1)).flatten(1))
        for name in (name for name, field in self.fields.items() if field.sequence):
            padding = self.first[name]  # id 0 of this field
            joined.append(F.embedding_bag(parts[name], self.table.weight, mode="mean", padding_idx=padding))
        return torch.cat(joined, dim=1)


class ClickNet(nn.Module):
    """Embed fields, apply ReLU layers, predict a logit: the plain light net.

    A batch gives ``logits`` (B,) and ``hidden`` (B, hidden[-1]). embeddings: paths of the modules that ``RocketNet``
    shares.
    """

    embeddings: tuple[str, ...] = ("embedding",)

    def __init__(self, fields: Mapping[str, Field], width: int, hidden: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("'hidden' must name the width of one layer at least, got none")
        self.embedding = FieldEmbedding(fields, width)
        sizes = [self.embedding.width, *hidden]
        self.layers = nn.Sequential(
            *(part for n, m in pairwise(sizes) for part in (nn.Linear(n, m), nn.ReLU(), nn.Dropout(dropout)))
        )
        self.head = nn.Linear(hidden[-1], 1)

    def forward(self, batch: Mapping[str, Any]) -> View:
        """See the class."""
        hidden = self.layers(self.embedding(batch))
        return {"logits": self.head(hidden).squeeze(1), "hidden": hidden}


class RocketNet(nn.Module):
    """A light net and a booster that share modules: ``logits`` (B,), ``booster`` (B,); see the loss ``Rocket``.

    light, booster: any models that return ``logits`` for a batch. shared: paths of sub-modules, usually the embeddings;
    the light net's replace the booster's and must have the same shapes. Only ``light`` serves. call:
    ``call(model, batch)``, in place of calling both with the whole batch.
    """

    def __init__(
        self, light: nn.Module, booster: nn.Module, shared: Sequence[str] = ("embedding",), *, call: Call | None = None
    ) -> None:
        super().__init__()
        for path in shared:
            ours, theirs = (net.get_submodule(path) for net in (light, booster))
            shapes = [{name: tuple(p.shape) for name, p in module.named_parameters()} for module in (ours, theirs)]
            if shapes[0] != shapes[1]:
                raise ValueError(f"the booster's {path!r} must have the shapes of the light net's, got {shapes}")
            owner, _, name = path.rpartition(".")
            setattr(booster.get_submodule(owner), name, ours)
        self.light, self.booster = light, booster
        self._viewers = tuple(Viewer(net, call=call or show) for net in (light, booster))

    def forward(self, batch: Mapping[str, Any]) -> View:
        """See the class."""
        light, booster = (viewer(batch)["logits"] for viewer in self._viewers)
        return {"logits": light, "booster": booster}


class MultiTaskNet(nn.Module):
    """Two tasks on shared layers: ``logits`` (B, 2), and for ``CrossDistil`` ``ranking`` (B, 2) of teacher heads.

    net: its embedding and layers are shared, and its head is the first task's. ``served`` is this net after training.
    """

    def __init__(self, net: ClickNet) -> None:
        super().__init__()
        width = net.head.in_features
        self.served, self.second = net, nn.Linear(width, 1)
        self.teachers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))

    def forward(self, batch: Mapping[str, Any]) -> View:
        """See the class."""
        view = self.served(batch)
        logits = torch.stack([view["logits"], self.second(view["hidden"]).squeeze(1)], dim=1)
        return {"logits": logits, "ranking": self.teachers(view["hidden"])}


class Several(nn.Module):
    """Several models as one teacher: ``logits`` (B, M)."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if not models:
            raise ValueError("'models' must hold one model at least, got none")
        self.models = nn.ModuleList(models)

    def forward(self, batch: Mapping[str, Any]) -> View:
        """See the class."""
        return {"logits": torch.stack([model(batch)["logits"] for model in self.models], dim=1)}
