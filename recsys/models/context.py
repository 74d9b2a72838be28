"""RecBole's context-aware models (FM, DeepFM, DCN, WideDeep, …) and their data, as rows and click nets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recsys import bridge
from recsys._recbole_options import explicit
from recsys.data.rows import Field, Rows
from recsys.models.own_loss import kind_of, own_click_loss

_WANTED = "a context-aware recommender, which scores rows of features"
FEATURES: dict[str, list[str]] = {  # of "ml-100k"
    "inter": ["user_id", "item_id", "rating"],
    "user": ["user_id", "age", "gender", "occupation", "zip_code"],
    "item": ["item_id", "release_year", "class"],
}


class ContextData(NamedTuple):
    """RecBole's data, which its models need, and the same rows with the features of users and items."""

    recbole: bridge.RecBoleData
    rows: Rows


def load(
    dataset: str | None = None,
    *,
    files: Sequence[str | Path] = (),
    options: Mapping[str, Any] | None = None,
    known: Sequence[str] = (),
) -> ContextData:
    """Read interactions with features of users and items, split 8:1:1 at random, as RecBole does for such models.

    Arguments and errors as in ``bridge.load``; the split depends only on ``seed``. dataset: "ml-100k" unless it or the
    options name another. By default the columns ``FEATURES`` of "ml-100k" are read, which omit titles, and all columns
    of other datasets; ratings are unchanged: no threshold, no normalisation. Columns have RecBole's names; ids and
    sequences of ids are ``fields``, numbers plain columns. ``metrics``, ``topk`` and ``valid_metric`` have no effect
    and are refused: ``recsys.tasks.Clicks`` has its own.
    """
    named = dataset or explicit(files, options).get("dataset") or "ml-100k"
    usual = {"load_col": FEATURES if named == "ml-100k" else None, "threshold": None, "normalize_all": False}
    data = bridge.read(
        named, "FM", usual, files=files, options=options, known=known, kinds=("CONTEXT",), wanted=_WANTED
    )
    parts = [part.join(part.inter_feat).interaction for part in data.parts]
    columns = {name: _joined([part[name] for part in parts]) for name in parts[0]}
    starts = torch.tensor([0, *(len(part.inter_feat) for part in data.parts)]).cumsum(0)
    ids = [torch.arange(first, end) for first, end in pairwise(starts.tolist())]
    return ContextData(data, Rows(columns, _fields(data.dataset, columns), *ids))


def _joined(parts: list[Any]) -> Tensor:
    """Join one column of all parts, whose sequences may have different lengths."""
    columns = [torch.as_tensor(part) for part in parts]
    if columns[0].dim() == 2:
        longest = max(column.size(1) for column in columns)
        columns = [nn.functional.pad(column, (0, longest - column.size(1))) for column in columns]
    return torch.cat(columns)


def _fields(dataset: Any, columns: Mapping[str, Tensor]) -> dict[str, Field]:
    kinds = {name: dataset.field2type[name].value for name in columns}
    return {
        name: Field(int(dataset.num(name)), kind == "token_seq")
        for name, kind in kinds.items()
        if kind in ("token", "token_seq")
    }


def context_model(
    data: ContextData, model: str | type, options: Mapping[str, Any] | None = None, *, known: Sequence[str] = ()
) -> ContextModel:
    """Build a context-aware RecBole model, by name or by class, on data that was loaded before.

    options: of the model, over those of ``load``. Raises TypeError for a model of another kind.
    ``recsys.losses.RecBoleLoss``, by which ``recsys.distil`` trains such students, includes what a model's own
    ``calculate_loss`` adds to the log loss (DCN: ``reg_weight`` times a norm of its cross layers); losses of two nets,
    such as ``Rocket``, omit it.
    """
    if not isinstance(data, ContextData):
        raise TypeError(f"'data' must be what recsys.models.context.load gives, got {type(data).__name__}")
    return ContextModel(bridge.build(data.recbole, model, options, known=known, kinds=("CONTEXT",), wanted=_WANTED))


class ContextModel(nn.Module):
    """A RecBole context-aware model: ``logits`` (B,); ``model`` is the plain RecBole module, for taps and state dicts.

    In training it also returns ``own_loss``, RecBole's loss of rows with labels ``y``.

    The last hidden layer, where there is one, is at "model.mlp_layers". The embeddings, for ``RocketNet``, are at
    "model.token_embedding_table" and "model.token_seq_embedding_table"; ``embeddings`` names those that exist.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def embeddings(self) -> tuple[str, ...]:
        """List the paths of the embeddings."""
        names = ("token_embedding_table", "token_seq_embedding_table")
        return tuple(f"model.{name}" for name in names if hasattr(self.model, name))

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """See the class."""
        logits = self.model(batch)
        if not self.training or "y" not in batch or kind_of(self.model) == "KD_DAGFM":  # whose loss has phases
            return {"logits": logits}
        return {"logits": logits, "own_loss": own_click_loss(self.model, batch, logits)}
