"""Networks that learn masked items together and teach one another, as in EMKD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.trainable import Trainable
from recsys.losses._scores import wide
from recsys.losses.emkd import attribute_error, contrasts, masked_items, mutual_rows
from recsys.losses.next_item import item_logits
from recsys.models.bert4rec import BERT4Rec
from recsys.models.sequential import MeanSequential


class Weights(NamedTuple):
    """Settings of the sum: the temperature, and the weights of mutual teaching and of contrasts."""

    tau: float
    mutual: float
    contrast: float


class MaskedPeers(Trainable):
    """Train ``networks`` on masked copies of whole stretches, on one another's answers, and on contrasts of copies.

    ``student`` is their mean. copies: M, each with its own mask. share: the probability that a position is masked;
    where none of a stretch is drawn, its last position is masked. attributes: (I, A) 0 or 1 for every item, or None;
    their heads are not part of the student. A step costs N (M + 1) passes, and N M n_masked I products, for N networks.
    """

    attributes: Tensor | None

    def __init__(
        self,
        networks: Sequence[BERT4Rec],
        weights: Weights,
        *,
        copies: int = 8,
        share: float = 0.15,
        attributes: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.student = MeanSequential(networks)
        self.weights, self.copies, self.share = weights, copies, share
        self.register_buffer("attributes", attributes, persistent=False)
        width = networks[0].items().size(1)
        count = 0 if attributes is None else len(networks)
        self.heads = nn.ModuleList(nn.Linear(width, attributes.size(1)) for _ in range(count) if attributes is not None)

    def forward(self, batch: Mapping[str, Any]) -> Step:
        """See the class."""
        whole = whole_stretches(batch)
        networks: list[Any] = list(self.student.models)
        states = torch.stack([network.encode(whole) for network in networks])  # (N, B, L, d)
        shown, items, kl = [], states.new_zeros(()), states.new_zeros(())
        chosen = whole > 0
        for _ in range(self.copies):
            chosen = masks(whole, self.share)
            masked = torch.stack([network.encode(whole.masked_fill(chosen, network.mask)) for network in networks])
            logits, answers = self._logits(networks, masked[:, chosen], whole[chosen], batch)
            items, kl = items + masked_items(logits, answers), kl + mutual_rows(logits, self.weights.tau)
            shown.append(masked.flatten(2))
        terms: dict[str, tuple[float, Tensor]] = {"items": (1.0, items)}
        if len(networks) > 1:
            terms["mutual"] = (self.weights.mutual, kl)
        if self.weights.contrast:
            icl, ccl = contrasts(states.flatten(2), torch.stack(shown, dim=1), self.weights.tau)
            terms["contrast"] = (self.weights.contrast, icl + ccl)
        if self.attributes is not None:
            rows = torch.stack([head(each[chosen]) for head, each in zip(self.heads, states, strict=True)])
            terms["attributes"] = (1.0, attribute_error(rows, self.attributes[whole[chosen]]))
        return Step(self.weighed(terms), {name: value.detach() for name, (_, value) in terms.items()})

    @staticmethod
    def _logits(networks: list[Any], rows: Tensor, answers: Tensor, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Return scores at masked places, (N, n, C), and the column of each place's item."""
        drawn = batch.get("candidates")
        pairs = zip(networks, rows, strict=True)
        found = torch.stack([item_logits(each, network.items(), answers, drawn) for network, each in pairs])
        return wide(found)[0], answers if drawn is None else answers * 0


def whole_stretches(batch: Mapping[str, Any]) -> Tensor:
    """Return histories of a batch, each with the item that follows: (B, L + 1), padded with 0 on the right."""
    sequences, targets = batch["sequences"], batch["targets"]
    length = sequences.size(1)
    whole = F.pad(sequences, (0, 1))
    if "at" not in batch:
        return whole.scatter(1, batch["lengths"][:, None], targets[:, None])
    row, step = batch["at"].div(length, rounding_mode="floor"), batch["at"] % length
    return whole.flatten().index_copy(0, row * (length + 1) + step + 1, targets).view_as(whole)


def masks(whole: Tensor, share: float) -> Tensor:
    """Draw the positions to mask, each with probability ``share``; a row without any gets its last one: (B, L) bool."""
    there = whole > 0
    chosen = there & (torch.rand(whole.shape, device=whole.device) < share)
    last = F.one_hot(there.sum(dim=1) - 1, whole.size(1)).bool()
    return chosen | (last & ~chosen.any(dim=1, keepdim=True))
