"""RecBole's sequential recommenders: their data as sequences, split over rows as RecBole does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from recsys._recbole_evaluation import judging_of
from recsys._recbole_models import kinds
from recsys._recbole_options import OF_RANKINGS, TRAINING, refuse
from recsys._recbole_training import training_of
from recsys.data.sequence_rows import SequenceSplit
from recsys.data.sequences import Sequences

SEQUENTIAL = ("SEQUENTIAL",)
WANTED = "a sequential recommender, which scores items after a history"
_SPLIT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
_FIELDS = {"USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp"}
_FOLLOWED = ("metrics", "topk", "valid_metric", "train_neg_sample_args", "repeatable")


def is_sequential(model: Any) -> bool:
    """Tell whether a RecBole model, given by name or class, is sequential; False for None and for what is no model."""
    if isinstance(model, str):
        return kinds().get(model) in SEQUENTIAL
    return getattr(getattr(model, "type", None), "name", "") in SEQUENTIAL


def usual_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Give defaults that a sequential model needs: a split in time, columns, no negatives for a loss over all items."""
    columns = [said.get(key, usual) for key, usual in _FIELDS.items()]
    found: dict[str, Any] = {"eval_args": {**_SPLIT, "mode": "full"}, "load_col": {"inter": columns}}
    if said.get("loss_type", "CE") == "CE":
        found["train_neg_sample_args"] = None
    return found


def check_split(said: Mapping[str, Any]) -> None:
    """Raise ValueError for ``eval_args`` with a split that sequences do not support."""
    asked = said.get("eval_args", {})
    for key, value in _SPLIT.items():
        if asked.get(key, value) != value:
            raise ValueError(
                f"'eval_args' of a sequential model must be {_SPLIT}, a user's last item to test and the one before to "
                f"validate, got {key}={asked[key]!r}"
            )
    if asked.get("mode", "full") != "full":
        raise ValueError(f"'mode' of a sequential model must be 'full', all items ranked, got {asked['mode']!r}")


def run_of(said: Mapping[str, Any], config: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return options of ``recsys.distil``, of its task, and the RecBole options that they come from."""
    refuse(
        [key for key in OF_RANKINGS if key in said and key not in _FOLLOWED], said, "sequences are ranked without it"
    )
    task = {name: value for name, value in judging_of(said, config).items() if name == "metrics"}
    if "train_batch_size" in said:
        task["batch_size"] = said["train_batch_size"]
    followed = {key: said[key] for key in (*TRAINING, *_FOLLOWED, "seed") if said.get(key) is not None}
    return training_of(said, config), task, followed


def sequences_of(dataset: Any, config: Any) -> SequenceSplit:
    """Return the sequences of a built RecBole dataset, in the order of time; equal times keep the order of the file."""
    columns = dataset.inter_feat
    users, items = (torch.as_tensor(columns[name]) for name in (dataset.uid_field, dataset.iid_field))
    sizes = {"num_users": int(dataset.user_num), "num_items": int(dataset.item_num)}
    found = Sequences.from_events(users, items, **sizes)
    tokens = (tuple(map(str, dataset.field2id_token[name])) for name in (dataset.uid_field, dataset.iid_field))
    return SequenceSplit.leave_one_out(
        Sequences(found.ptr, found.items, found.num_items, *tokens), int(config["MAX_ITEM_LIST_LENGTH"])
    )
