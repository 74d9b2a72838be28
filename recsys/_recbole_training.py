"""RecBole's options of training, translated to those of a run; unsupported ones are refused."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from graphkd.core.adam import adam
from recsys._recbole_options import did_you_mean
from recsys.data.negatives import Negatives

_LEARNERS: Mapping[str, Any] = {
    "adam": adam(),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
}
_OF_OPTIMIZER = ("learner", "learning_rate", "weight_decay")
_SAMPLES = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0}


def training_of(said: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """Translate RecBole's training options to those of ``recsys.distil``; empty where none is given.

    Any of ``learner``, ``learning_rate`` and ``weight_decay`` defines the optimiser, with RecBole's defaults (Adam,
    1e-3, 0) for the others. RecBole stops after ``stopping_step`` + 1 validations in a row without improvement, one
    every ``eval_step`` epochs; ``patience`` is that number in epochs. ``seed`` also seeds the run. Raises ValueError
    for an unsupported value.
    """
    found: dict[str, Any] = {}
    if "epochs" in said:
        found["epochs"] = _whole("epochs", said["epochs"])
    if any(key in said for key in _OF_OPTIMIZER):
        found["optimizer"] = _optimizer(config)
    if said.get("clip_grad_norm") is not None:
        found["clip"] = _clip(said["clip_grad_norm"])
    every = _whole("eval_step", said.get("eval_step", 1))
    if "epochs" in said:
        every = min(every, found["epochs"])  # as RecBole's trainer has it
    if "eval_step" in said or "stopping_step" in said:  # stopping_step counts validations
        found["metric_every"] = every
    if "stopping_step" in said:
        found["patience"] = (_whole("stopping_step", said["stopping_step"], least=0) + 1) * every
    if "seed" in said:
        found["seed"] = int(config["seed"])
    return found


def negatives_of(said: Mapping[str, Any], counts: torch.Tensor | None = None) -> Negatives:
    """Read ``train_neg_sample_args`` and ``repeatable``: how negatives are drawn; ``counts``: events of every item.

    Raises ValueError for a key that RecBole does not have, for dynamic draws and for training without negatives.
    """
    given, own = said.get("train_neg_sample_args", {}), bool(said.get("repeatable"))
    if not isinstance(given, Mapping) or given.get("distribution", "uniform") in (None, "none", "None"):
        raise ValueError(
            f"'train_neg_sample_args' must be a dict, as {_SAMPLES}: pairs are set against items that are drawn, got "
            f"{given!r}"
        )
    for key in given:
        if key not in _SAMPLES:
            raise ValueError(
                f"'train_neg_sample_args' must have some of the keys {list(_SAMPLES)}, got {key!r}"
                f"{did_you_mean(key, list(_SAMPLES))}"
            )
    asked = {**_SAMPLES, **given}
    if asked["dynamic"]:
        raise ValueError(
            "'dynamic' of 'train_neg_sample_args' must be False: candidates that the model scores while it is trained "
            "have no effect here, negatives are drawn at the beginning of an epoch"
        )
    if asked["candidate_num"]:
        raise ValueError("'candidate_num' of 'train_neg_sample_args' has no effect without 'dynamic': leave it out")
    number = _whole("sample_num", asked["sample_num"])
    if asked["distribution"] not in ("uniform", "popularity"):
        raise ValueError(f"'distribution' must be 'uniform' or 'popularity', got {asked['distribution']!r}")
    if not isinstance(asked["alpha"], (int, float)):
        raise ValueError(f"'alpha' of 'train_neg_sample_args' must be a number, got {asked['alpha']!r}")  # noqa: TRY004
    popular = asked["distribution"] == "popularity"
    return Negatives(asked["distribution"], number, float(asked["alpha"]), own, counts if popular else None)


def pairs_of(said: Mapping[str, Any], config: Any, negatives: Negatives) -> int | None:
    """Translate RecBole's ``train_batch_size``, which counts rows, to training pairs; None where it is not given.

    A pair has one row for each negative and, in models that learn labels such as NeuMF, one more for itself.
    """
    if "train_batch_size" not in said:
        return None
    rows = _whole("train_batch_size", said["train_batch_size"])
    labels = getattr(config["MODEL_INPUT_TYPE"], "name", "") == "POINTWISE"
    return max(rows // (negatives.count + labels), 1)


def _whole(key: str, value: Any, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key!r} must be a whole number, at least {least}, got {value!r}")
    return value


def _optimizer(config: Any) -> Any:
    name, rate, decay = (config[key] for key in _OF_OPTIMIZER)
    if str(name).lower() not in _LEARNERS:
        raise ValueError(
            f"'learner' must be one of {list(_LEARNERS)}, got {name!r}"
            f"{did_you_mean(str(name).lower(), list(_LEARNERS)) or ': give distil an optimizer'}"
        )
    for key, value in (("learning_rate", rate), ("weight_decay", decay)):
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{key!r} must be a number, not below 0, got {value!r}")
    return partial(_LEARNERS[str(name).lower()], lr=float(rate), weight_decay=float(decay))


def _clip(given: Any) -> float:
    """Read the largest norm of a gradient."""
    norm = given.get("max_norm") if isinstance(given, Mapping) else None
    others = {key: value for key, value in given.items() if key != "max_norm"} if norm is not None else {}
    if (
        not isinstance(norm, (int, float))
        or isinstance(norm, bool)
        or norm <= 0
        or others not in ({}, {"norm_type": 2})
    ):
        raise ValueError(
            f"'clip_grad_norm' must be a dict {{'max_norm': 5.0}}, of the Euclidean norm ('norm_type' 2), got {given!r}"
        )
    return float(norm)
