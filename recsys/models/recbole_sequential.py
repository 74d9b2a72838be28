"""A sequential RecBole recommender as a ``SequentialRecommender``: states and items, and its own loss."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recsys.models.own_loss import kind_of
from recsys.models.sequential import SequentialRecommender

TESTED = ("SASRec", "GRU4Rec", "BERT4Rec", "Caser", "STAMP", "NARM")
_FAR = 1e-4  # tolerance between products and a model's own scores, relative to the largest


class RecBoleSequential(SequentialRecommender):
    """A sequential RecBole model; ``model`` is the plain RecBole module, whose state dict RecBole can load.

    Its scores are products of its state after a history with its table of items; for BERT4Rec, the item bias is the
    last column of the table, and states have a 1 there. Even causal models only have states at the end of histories,
    and are trained by their own loss, row by row. options: those it was built with, for BERT4Rec's ``ft_ratio``. Raises
    TypeError for a model whose scores are not such products.
    """

    causal = False

    def __init__(self, model: nn.Module, options: Mapping[str, Any] | None = None) -> None:
        known: Any = model
        super().__init__(int(known.n_items), int(known.max_seq_length))
        self.model, self._kind = model, kind_of(model)
        self._last_masked = float((options or {}).get("ft_ratio") or 0)  # share of batches that mask only the end
        if hasattr(model, "mask_ratio"):  # RecBole's loader sets these in the options
            known.MASK_ITEM_SEQ, known.MASK_INDEX = f"Mask_{known.ITEM_SEQ}", "MASK_INDEX"
            known.POS_ITEMS, known.NEG_ITEMS = f"Pos_{known.ITEM_ID}", f"Neg_{known.ITEM_ID}"
        self._check()

    def last(self, sequences: Tensor, lengths: Tensor, owners: Tensor | None = None) -> Tensor:
        """Compute states at the end of histories, (B, L), (B,) -> (B, d)."""
        model: Any = self.model
        sequences = self._padded(sequences)
        if self._kind == "Caser":
            if owners is None:
                raise ValueError("Caser has a table of users: give 'owners', whose each history is, got None")
            found: Tensor = model(owners, sequences)
        elif self._kind == "BERT4Rec":
            shown = model.reconstruct_test_data(sequences, lengths)
            state = model.gather_indexes(model(shown), lengths - 1)
            found = torch.cat([state, torch.ones_like(state[:, :1])], dim=1)
        else:
            found = model(sequences, lengths)
        return found

    def items(self) -> Tensor:
        """Return the table of items, (num_items, d)."""
        model: Any = self.model
        table: Tensor = model.item_embedding.weight[: self.num_items]
        return torch.cat([table, model.output_bias[:, None]], dim=1) if self._kind == "BERT4Rec" else table

    def own_loss(self, batch: Mapping[str, Any], *, epoch: int = 0, summed: bool = False) -> Tensor:  # noqa: ARG002 - as of general models
        """Compute the model's own loss, ``calculate_loss``, of a batch by rows; ``summed``: times the number of rows.

        BERT4Rec masks items as RecBole's loader does, with a seed from torch's global generator. Raises ValueError for
        a batch by positions, and for a loss that reads data that are not there.
        """
        if "at" in batch:
            raise ValueError(f"{self._kind} learns row by row: say by='rows' to the task or to SequenceBatches")
        model: Any = self.model
        rows = self._interaction(batch)
        if hasattr(model, "mask_ratio"):
            rows = self._masked(rows)
        try:
            loss: Tensor = model.calculate_loss(rows).reshape(())
        except KeyError as error:
            raise ValueError(
                f"the loss of {self._kind} reads {error} of a row or of the data, which do not have it: choose another "
                "form of the model by its options, or another model"
            ) from error
        return loss * len(rows) if summed else loss

    def _interaction(self, batch: Mapping[str, Any]) -> Any:
        from recbole.data.interaction import Interaction

        model: Any = self.model
        device = next(model.parameters()).device
        names = {"lengths": model.ITEM_SEQ_LEN, "targets": model.POS_ITEM_ID, "negatives": model.NEG_ITEM_ID}
        columns = {field: batch[name].to(device) for name, field in names.items() if name in batch}
        if "owners" in batch:
            columns[model.USER_ID] = batch["owners"].to(device)
        return Interaction({**columns, model.ITEM_SEQ: self._padded(batch["sequences"].to(device))})

    def _masked(self, rows: Any) -> Any:
        """Mask items by RecBole's transform, with draws seeded by torch's generator."""
        from recbole.data.transform import MaskItemSequence

        model: Any = self.model
        config = _Options(
            ITEM_ID_FIELD=model.ITEM_ID,
            LIST_SUFFIX=model.ITEM_SEQ.removeprefix(model.ITEM_ID),
            MAX_ITEM_LIST_LENGTH=model.max_seq_length,
            ITEM_LIST_LENGTH_FIELD=model.ITEM_SEQ_LEN,
            mask_ratio=model.mask_ratio,
        )
        config.ft_ratio = self._last_masked
        config["ft_ratio"] = self._last_masked
        before = random.getstate()
        random.seed(int(torch.randint(2**62, ())))
        try:
            return MaskItemSequence(config)(_Items(self.num_items), rows)
        finally:
            random.setstate(before)

    def _padded(self, sequences: Tensor) -> Tensor:
        """Pad histories to the model's full length."""
        short = self.max_length - sequences.size(1)
        if short < 0:
            raise ValueError(f"histories must have {self.max_length} items at most, got {sequences.size(1)}")
        return torch.nn.functional.pad(sequences, (0, short))

    @torch.no_grad()
    def _check(self) -> None:
        """Raise TypeError for a model whose scores are not products of a state and a table of items, by a trial."""
        model: Any = self.model
        training = model.training
        model.eval()
        device = next(model.parameters()).device
        sequences = torch.zeros(2, self.max_length, dtype=torch.long, device=device)
        sequences[0, : min(2, self.max_length)], sequences[1, 0] = 1, self.num_items - 1
        lengths = torch.tensor([min(2, self.max_length), 1], device=device)
        owners = torch.zeros(2, dtype=torch.long, device=device)
        batch = {"sequences": sequences, "lengths": lengths, "owners": owners}
        try:
            wanted = model.full_sort_predict(self._interaction(batch)).view(2, -1)
            got = self.last(sequences, lengths, owners) @ self.items().t()
            same = got.shape == wanted.shape and (got - wanted).abs().max() <= _FAR * wanted.abs().max() + 1e-12
        except (KeyError, TypeError, AttributeError, NotImplementedError, RuntimeError) as error:
            raise TypeError(self._refusal(f"it fails so: {type(error).__name__}: {error}")) from error
        finally:
            model.train(training)
        if not same:
            raise TypeError(self._refusal("its own scores are others"))

    def _refusal(self, why: str) -> str:
        return (
            f"{self._kind} cannot be taken as a state after a history times a table of items, {why}; tried models of "
            f"RecBole that can: {', '.join(TESTED)}"
        )


class _Options(dict[str, Any]):
    """Options as RecBole's transform reads and writes them; ``ft_ratio`` is also an attribute."""

    ft_ratio: float


class _Items:
    """Stand-in for a dataset in RecBole's transform, which reads only the number of items."""

    def __init__(self, number: int) -> None:
        self.number = number

    def num(self, _: str) -> int:
        """Return the number of items."""
        return self.number
