"""A run configured by RecBole's options: its training, its evaluation, and the held-out rows with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from recsys._recbole_evaluation import judging_of, modes_of
from recsys._recbole_options import OF_RANKINGS, TRAINING
from recsys._recbole_training import negatives_of, pairs_of, training_of
from recsys.data.interactions import Interactions, Split
from recsys.data.labelled import LabelledRows, LabelledSplit


def run_of(
    said: Mapping[str, Any], config: Any, sides: Sequence[Interactions], *, rows: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return options of ``recsys.distil``, options of its task, and the RecBole options that they come from.

    sides: training, validation and test pairs. rows: the data are clicks, whose task takes only a batch size.
    """
    followed = {key: said[key] for key in (*TRAINING, *(() if rows else OF_RANKINGS), "seed") if key in said}
    if "eval_args" in said and not rows:
        followed["eval_args"] = said["eval_args"]
    training, task = training_of(said, config), {}
    if rows:
        if "train_batch_size" in said:
            task["batch_size"] = said["train_batch_size"]
        return training, task, followed
    task = judging_of(said, config)
    counts = torch.bincount(torch.cat([side.events()[1] for side in sides]), minlength=sides[0].num_items)
    negatives = negatives_of(said, counts)
    if {"train_neg_sample_args", "repeatable"} & set(said) or "protocol" in task:
        task["negatives"] = negatives
    if (pairs := pairs_of(said, config, negatives)) is not None:
        task["batch_size"] = pairs
    return training, task, followed


def split_of(
    sides: Sequence[Interactions], tokens: Sequence[tuple[str, ...]], parts: Sequence[Any], said: Mapping[str, Any]
) -> Split:
    """Build the split; a part that is evaluated by labels also gets the labels of its held-out rows.

    Raises ValueError where these rows have no labels.
    """
    if "labeled" not in modes_of(said).values():
        return Split(sides[0], sides[1], sides[2], tokens[0], tokens[1])
    found = []
    for part in parts[1:]:
        columns, label = part.inter_feat.interaction, part.label_field
        if label not in columns:
            raise ValueError(
                f"'mode' is 'labeled' and the rows have no {label!r}: name a column of labels by 'LABEL_FIELD' and in "
                f"'load_col', or say 'threshold', as {{'rating': 4}}; read are {sorted(columns)}"
            )
        found.append(
            LabelledRows(*(torch.as_tensor(columns[name]) for name in (part.uid_field, part.iid_field, label)))
        )
    return LabelledSplit(sides[0], sides[1], sides[2], tokens[0], tokens[1], found[0], found[1])
