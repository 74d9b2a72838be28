"""The loss that is part of a RecBole model, on batches of pairs or of users."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recsys.models import knowledge
from recsys.models.ncl import losses_of
from recsys.models.sgl import renew_graphs

# Models that RecBole trains on users, whose rows of items they read themselves.
_OF_USERS = {"MultiVAE", "MultiDAE", "MacridVAE", "CDAE", "ENMF", "RaCT", "RecVAE", "DiffRec", "LDiffRec"}
_SUMS = {"ENMF"}  # the others are means over the rows of a batch

# Models that their loss alone does not train: what RecBole's trainer does besides.
_MORE: Mapping[str, str] = {
    "RaCT": "goes through three stages",
    "MKR": "goes through its knowledge graph in passes of their own, by a loss that has no lower bound",
    "RecVAE": "trains encoder and decoder in turns and renews the prior every epoch",
}
_FITTED = {"NCEPLRec", "Random"}  # fitted when they are built, though RecBole lists them among models that are trained
_REGULARISED = {"AFM", "DCN", "DCNV2", "EulerNet", "PNN", "xDeepFM"}
# State that a loss changes besides weights, and that a resumed run needs.
_COUNTERS: Mapping[str, tuple[str, ...]] = {
    "MultiVAE": ("update",),
    "MacridVAE": ("update",),
    "DiffRec": ("Lt_history", "Lt_count"),
    "LDiffRec": ("Lt_history", "Lt_count", "update_count", "update_count_vae"),
}


def kind_of(model: nn.Module) -> str:
    """Name the RecBole model that a module is or derives from, else its own class."""
    kinds = (base.__name__ for base in inspect.getmro(type(model)) if base.__module__.startswith("recbole.model."))
    return next(kinds, type(model).__name__)


def is_fitted(model: nn.Module) -> bool:
    """Tell whether a model is fitted when it is built, as EASE and ItemKNN are, so that there is nothing to train."""
    return getattr(getattr(model, "type", None), "name", "") == "TRADITIONAL" or kind_of(model) in _FITTED


def why_not(model: nn.Module) -> str:
    """Say why a model cannot be trained by its own loss; empty where it can."""
    kind = kind_of(model)
    if is_fitted(model):
        return f"{kind} is fitted when it is built, so that there is nothing to train: give it as teacher as it is"
    if kind in _MORE:
        return f"RecBole's trainer of {kind} {_MORE[kind]}, which is not done here: train it by BPR, or in RecBole"
    return ""


def counters(model: nn.Module) -> dict[str, Tensor]:
    """Return the counters that a model updates in training, apart from its weights."""
    return {name: torch.as_tensor(getattr(model, name)).clone() for name in _COUNTERS.get(kind_of(model), ())}


def reads_users(model: nn.Module) -> bool:
    """Tell whether a model learns from users alone and knows their items itself, as autoencoders do."""
    return kind_of(model) in _OF_USERS


def own_loss(model: Any, batch: Mapping[str, Any], *, epoch: int = 0, summed: bool = False) -> Tensor:
    """Compute a RecBole module's ``calculate_loss`` of a batch, its parts added; ``summed``: times the rows.

    batch: of ``RankingBatches``; models that read users get its distinct users. epoch: from 0, for NCL and SGL. Raises
    ValueError for a model that needs more than its loss to be trained, and for one that reads more of a row than user,
    item and label; ImportError for a missing package.
    """
    if reason := why_not(model):
        raise ValueError(reason)
    rows = _interaction(model, batch)
    if kind_of(model) == "SGL":
        renew_graphs(model, epoch)
    try:
        found = _losses(model, rows, epoch)
    except KeyError as error:
        raise ValueError(
            f"the loss of {kind_of(model)} reads {error} of a row, batches have {sorted(rows.columns)}: choose another "
            "form of the model by its options, or train it by recsys.losses.BPR"
        ) from error
    except ModuleNotFoundError as error:
        raise ImportError(f"{kind_of(model)} needs {error.name!r} to learn, which is not installed") from error
    loss = torch.stack([part.reshape(()) for part in found]).sum() if isinstance(found, tuple) else found.reshape(())
    return loss * len(rows) if summed and kind_of(model) not in _SUMS else loss


def _losses(model: Any, rows: Any, epoch: int) -> Any:
    """Compute a loss, or its parts."""
    kind = kind_of(model)
    if hasattr(model, "triples"):
        rows.update(type(rows)(model.triples.draw(len(rows), rows[model.USER_ID].device)))
        return knowledge.losses_of(model, kind, rows, epoch)
    return losses_of(model, rows, epoch) if kind == "NCL" else model.calculate_loss(rows)


def _interaction(model: Any, batch: Mapping[str, Any]) -> Any:
    """Return a batch in the form of RecBole's loaders: users, or pairs and their negatives in one of two forms."""
    from recbole.data.interaction import Interaction

    of_users = reads_users(model)
    wanted = ("users",) if of_users else ("users", "positives", "negatives")
    missing = [name for name in wanted if name not in batch]
    if missing:
        raise ValueError(
            f"the loss of {kind_of(model)} reads {missing} of a batch, which has {sorted(batch)}: train on "
            "recsys.data.batches.RankingBatches"
        )
    copies = int(batch.get("copies", 1))
    if getattr(model, "neg_seq_len", copies) != copies:
        raise ValueError(
            f"{kind_of(model)} was built for {model.neg_seq_len} negatives a pair, batches have {copies}: give "
            "'train_neg_sample_args' to bridge.load, or RankingBatches negatives=Negatives(count=...)"
        )
    device = next(model.parameters()).device
    users, *items = (batch[name].to(device) for name in wanted)
    if of_users:
        return Interaction({model.USER_ID: _once(users)})
    if model.input_type.name == "PAIRWISE":
        return Interaction({model.USER_ID: users, model.ITEM_ID: items[0], model.NEG_ITEM_ID: items[1]})
    pairs = len(users) // copies  # a batch repeats its pairs for their negatives; each counts once
    label = torch.cat([torch.ones_like(users[:pairs]), torch.zeros_like(users)]).float()
    rows = torch.cat([users[:pairs], users]), torch.cat([items[0][:pairs], items[1]])
    return Interaction({model.USER_ID: rows[0], model.ITEM_ID: rows[1], getattr(model, "LABEL", "label"): label})


def _once(users: Tensor) -> Tensor:
    """Return distinct users, in the given order if they are distinct already."""
    distinct = users.unique()
    return users if len(distinct) == len(users) else distinct


def own_click_loss(model: Any, batch: Mapping[str, Any], logits: Tensor) -> Tensor:
    """Compute a context-aware RecBole module's ``calculate_loss`` of rows with given ``logits``."""
    model.forward = lambda _: logits
    try:
        loss: Tensor = model.calculate_loss({**batch, model.LABEL: batch["y"].to(logits.dtype)})
    finally:
        del model.forward
    return loss.reshape(())


def regularises(model: nn.Module) -> bool:
    """Tell whether the own loss of a context-aware model adds a term to the log loss, such as DCN's ``reg_weight``."""
    return kind_of(model) in _REGULARISED
