"""KDCRec's models: autoencoders of rating rows, matrix factorisation with biases, and two models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphkd.core.batches import on_device
from graphkd.core.view import Call, Viewer
from recsys.data.ratings import Ratings
from recsys.losses.decay import half_squares
from recsys.models.clicks import show
from recsys.models.embedding import Embedding
from recsys.models.finite import check_finite

View = dict[str, Tensor]


Sides = dict[str, list[nn.Module]]


class AutoRec(nn.Module):
    """An item autoencoder (Sedhain et al., WWW 2015), deeper with more ``widths``; Adam at 1e-4 in KDCRec's code.

    ``ratings`` (B, I) -> ``output`` (B, I), ``code`` (B, widths[-1]) after its ReLU, and ``decay``, the half sum of
    squares of all weights but biases. KDCRec's widths are (200,), and (200, 100) for hints and soft labels.
    """

    reads_rows = True

    def __init__(self, num_items: int, widths: Sequence[int] = (200,)) -> None:
        super().__init__()
        sizes = [num_items, *widths]
        self.encoder = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes))
        self.decoder = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(sizes[::-1]))

    def sides(self) -> Sides:
        """Group the layers by side: those that compute users' codes, and those that have one row an item."""
        return {"user": list(self.encoder), "item": list(self.decoder)}

    def biases(self) -> list[Tensor]:
        """List the biases that are added to the output."""
        return [self.decoder[-1].bias]  # type: ignore[list-item]

    def forward(self, batch: Mapping[str, Any]) -> View:
        """See the class."""
        hidden: Tensor = batch["ratings"]
        for layer in self.encoder:
            hidden = layer(hidden).relu()
        code = hidden
        for layer in list(self.decoder)[:-1]:
            hidden = layer(hidden).relu()
        weights = [layer.weight for side in (self.encoder, self.decoder) for layer in side]
        return {"output": self.decoder[-1](hidden), "code": code, "decay": half_squares(*weights)}  # type: ignore[arg-type]


class BiasedMF(nn.Module):
    """Matrix factorisation with biases: f(u, i) = <p_u, q_i> + b_u + b_i.

    ``users``, ``items`` (N,) -> ``output`` (N,) and ``decay``, the half sum of squares of the embeddings of the batch's
    distinct users and items. With ``random_users`` and ``random_items`` in the batch, also ``random`` and
    ``random_decay``, the same for these pairs. ``copies``: items I...2I-1 are copies, which uniform ratings train
    (CausE); ``item``, ``copy`` (N, d) are then the batch's items and their copies.
    """

    reads_rows = False

    def __init__(
        self, num_users: int, num_items: int, width: int = 10, *, copies: bool = False, std: float = 0.1
    ) -> None:
        super().__init__()
        self.num_items, self.copies = num_items, copies
        rows = num_items * (2 if copies else 1)
        self.user, self.item = Embedding(num_users, width, std), Embedding(rows, width, std)
        self.user_bias, self.item_bias = Embedding(num_users, 1, 0.0), Embedding(rows, 1, 0.0)
        for table in (self.user, self.item, self.user_bias, self.item_bias):
            table.reset_parameters()

    def sides(self) -> Sides:
        """List the modules of users and those of items."""
        return {"user": [self.user, self.user_bias], "item": [self.item, self.item_bias]}

    def biases(self) -> list[Tensor]:
        """List the biases that are added to the output."""
        return [self.user_bias.weight, self.item_bias.weight]

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Compute outputs for pairs, (N,), (N,) -> (N,)."""
        inner = (self.user(users) * self.item(items)).sum(dim=1)
        return inner + self.user_bias(users).squeeze(1) + self.item_bias(items).squeeze(1)

    def forward(self, batch: Mapping[str, Any]) -> View:
        """See the class."""
        users, items = batch["users"], batch["items"]
        view = {"output": self.score(users, items), "decay": self._decay(users, items)}
        if "random_users" in batch:
            pairs = batch["random_users"], batch["random_items"]
            view |= {"random": self.score(*pairs), "random_decay": self._decay(*pairs)}
        if self.copies:
            view |= {"item": self.item(items), "copy": self.item(items % self.num_items + self.num_items)}
        return view

    def _decay(self, users: Tensor, items: Tensor) -> Tensor:
        return half_squares(self.user(users.unique()), self.item(items.unique()))


@torch.no_grad()
def rated(model: nn.Module, pairs: Ratings, logged: Tensor | None = None, *, call: Call | None = None) -> Tensor:
    """Compute outputs for pairs: (n,); an autoencoder reads the users' rows of ``logged`` (U, I), all at once.

    call: ``call(model, batch)``, in place of calling the model with the whole batch.
    """
    training, viewer = model.training, Viewer(model, call=call or show)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    model.eval()
    try:
        if logged is None:
            return viewer(on_device({"users": pairs.users, "items": pairs.items}, device))["output"]
        users, place = pairs.users.unique(return_inverse=True)
        output = viewer(on_device({"ratings": logged[users], "entries": users}, device))["output"]
        return output[place.to(device), pairs.items.to(device)]
    finally:
        model.train(training)


def rating_logits(output: Tensor, least: float = 0.01) -> Tensor:
    """Convert outputs to logits of liking: they estimate the mean of -1 and 1, so p = (1 + f) / 2, clipped.

    p is kept at least ``least`` away from 0 and 1. Raises ValueError for outputs that are not finite.
    """
    check_finite(output, "'output' must be finite")
    return ((1 + output) / 2).clamp(least, 1 - least).logit()


Side = Literal["user", "item"]


def initialise(student: nn.Module, source: nn.Module, sides: Sequence[Side] = ("user", "item")) -> nn.Module:
    """Copy a student's user side, item side or both from another model of its kind, before normal training ("init")."""
    for side in sides:
        pairs = zip(student.sides()[side], source.sides()[side], strict=True)  # type: ignore[operator]
        for ours, theirs in pairs:
            ours.load_state_dict(theirs.state_dict())
    return student


class Concat(nn.Module):
    """A student beside a frozen model of its kind ("concat"): the embeddings of both are concatenated.

    <[p, p'], [q, q']> = <p, q> + <p', q'>, so the outputs are added; likewise for autoencoders. The student's biases
    start at 0, since the frozen model's output includes its own. call: ``call(model, batch)``, for both models.
    """

    def __init__(self, student: nn.Module, source: nn.Module, *, call: Call | None = None) -> None:
        super().__init__()
        self.student, self.source = student, source.requires_grad_(False)
        self.reads_rows = student.reads_rows
        for bias in student.biases():  # type: ignore[operator]
            nn.init.zeros_(bias)
        self._viewers = tuple(Viewer(model, call=call or show) for model in (student, source))

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return the student's view, with the frozen model's output added."""
        view, other = (viewer(batch) for viewer in self._viewers)
        return {**view, "output": view["output"] + other["output"]}
