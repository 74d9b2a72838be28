"""How RecBole is told to split and to measure: what of that is done here, in the form that it has here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

_METRICS = ("recall", "mrr", "ndcg", "hit", "precision", "map")  # those of RecBole that recsys.evaluate has
_KEYS = ("split", "order", "group_by", "mode")
_LEAVE_OUT = ("valid_and_test", "valid_only", "test_only")


def check_evaluation(said: Mapping[str, Any], mode: str) -> None:
    """Raise ValueError that names what of ``eval_args`` is not done here; ``mode``: the one that is."""
    chosen = said.get("eval_args", {})
    if not isinstance(chosen, Mapping):
        raise TypeError(f"'eval_args' must be a dict of {list(_KEYS)}, got {chosen!r}")
    for key in chosen:
        _check_key("eval_args", key, _KEYS)
    if "split" in chosen:
        _check_split(chosen["split"])
    if chosen.get("order", "RO") not in ("RO", "TO"):
        raise ValueError(f"'order' must be 'RO' (random) or 'TO' (by time), got {chosen['order']!r}")
    if "TS" in (chosen.get("split") or ()) and chosen.get("order") != "TO":
        raise ValueError("'order' must be 'TO' where 'split' is 'TS', which is by time: add it to 'eval_args'")
    if str(chosen.get("group_by", "user")).lower() not in ("user", "none"):
        raise ValueError(f"'group_by' must be 'user' or None, got {chosen['group_by']!r}")
    if "mode" in chosen:
        _check_mode(chosen["mode"], mode)


def by_time(config: Any) -> bool:
    """Whether interactions are split in the order of time."""
    return config["eval_args"]["order"] == "TO" and config["benchmark_filename"] is None


def _check_key(name: str, key: str, known: Collection[str]) -> None:
    if key not in known:
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name!r} must have some of the keys {list(known)}, got {key!r}{hint}")


def _check_split(split: Any) -> None:
    forms = "{'RS': [0.8, 0.1, 0.1]}, {'LS': 'valid_and_test'} or {'TS': [0.8, 0.1, 0.1]}"
    if not isinstance(split, Mapping) or len(split) != 1:
        raise ValueError(f"'split' must be one of {forms}, got {split!r}")
    ((kind, how),) = split.items()
    _check_key("split", kind, ("RS", "LS", "TS"))
    if kind == "LS":
        if how not in _LEAVE_OUT:
            raise ValueError(f"'LS' must be one of {list(_LEAVE_OUT)}, got {how!r}")
        return
    shares = how if isinstance(how, list) else []
    numbers = [share for share in shares if isinstance(share, (int, float)) and share >= 0]
    if len(shares) != 3 or len(numbers) != 3 or not shares[0]:
        raise ValueError(f"{kind!r} must be shares of training, validation and test pairs, three numbers, got {how!r}")


def _check_mode(mode: Any, wanted: str) -> None:
    parts = mode if isinstance(mode, Mapping) else {"valid": mode}
    for part, value in parts.items():
        _check_key("mode", part, ("valid", "test"))
        if value != wanted:
            raise ValueError(
                f"'mode' must be {wanted!r} here, got {mode!r}: leave it out; recsys.evaluate.leave_one_out ranks one "
                "item among drawn candidates"
            )


def metrics_of(said: Mapping[str, Any], config: Any) -> tuple[str, ...]:
    """The metrics that were asked for, ``valid_metric`` first, as ``recall@10``; none where nothing was said."""
    if not {"metrics", "topk", "valid_metric"} & set(said):
        return ()
    cutoffs = config["topk"]
    wanted = [f"{name.lower()}@{k}" for name in config["metrics"] for k in cutoffs]
    first = str(config["valid_metric"]).lower()
    if "valid_metric" in said or first in wanted:
        wanted.insert(0, first)
    return tuple(dict.fromkeys(wanted))


def check_metrics(said: Mapping[str, Any]) -> None:
    """Raise ValueError for a metric that is not measured here, and for a cutoff that is no positive number."""
    names = said.get("metrics", [])
    for name in [names] if isinstance(names, str) else names:
        _check_metric("metrics", name)
    if "topk" in said:
        cutoffs = said["topk"] if isinstance(said["topk"], list) else [said["topk"]]
        if not cutoffs or not all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in cutoffs):
            raise ValueError(f"'topk' must be a positive integer or a list of such, got {said['topk']!r}")
    if "valid_metric" in said:
        name, _, cutoff = str(said["valid_metric"]).partition("@")
        _check_metric("valid_metric", name)
        if not re.fullmatch("[1-9][0-9]*", cutoff):
            raise ValueError(f"'valid_metric' must have a cutoff, as 'MRR@10', got {said['valid_metric']!r}")


def _check_metric(key: str, name: Any) -> None:
    if str(name).lower() not in _METRICS:
        near = difflib.get_close_matches(str(name).lower(), _METRICS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{key!r} must be some of {list(_METRICS)}, which are measured here, got {name!r}{hint}")
