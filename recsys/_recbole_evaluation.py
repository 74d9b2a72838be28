"""RecBole's options of splits and metrics, translated to this library's; unsupported ones are refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

_RANKINGS = ("recall", "mrr", "ndcg", "hit", "precision", "map", "gauc")
_SPREADS = ("itemcoverage", "averagepopularity", "shannonentropy", "giniindex", "tailpercentage")
_VALUES = ("auc", "logloss", "mae", "rmse")
_METRICS = (*_RANKINGS, *_SPREADS, *_VALUES)  # RecBole's, all of which recsys.evaluate has
_UNCUT = ("gauc", *_VALUES)
_MODE = re.compile("full|labeled|(uni|pop)[1-9][0-9]*")
_KEYS = ("split", "order", "group_by", "mode")
_LEAVE_OUT = ("valid_and_test", "valid_only", "test_only")


def check_evaluation(said: Mapping[str, Any], *, rows: bool) -> None:
    """Raise ValueError that names the unsupported part of ``eval_args``; ``rows``: the data are labelled clicks."""
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
        _check_mode(chosen["mode"], rows)


def by_time(config: Any) -> bool:
    """Tell whether interactions are split in the order of time."""
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


def _check_mode(mode: Any, rows: bool) -> None:
    """Raise ValueError for a mode that RecBole does not have; ``rows``: the data are labelled clicks."""
    parts = mode if isinstance(mode, Mapping) else {"valid": mode}
    for part, value in parts.items():
        _check_key("mode", part, ("valid", "test"))
        if rows and value != "labeled":
            raise ValueError(f"'mode' must be 'labeled' here, got {mode!r}: leave it out")
        if not rows and not (isinstance(value, str) and _MODE.fullmatch(value)):
            raise ValueError(
                f"'mode' must be 'full', 'labeled', or 'uniN' or 'popN' with a number, as 'uni100', got {mode!r}"
            )


def modes_of(said: Mapping[str, Any]) -> dict[str, str]:
    """Read how validation and test are evaluated; a mode given for one holds for both, as in RecBole."""
    mode = said.get("eval_args", {}).get("mode", "full")
    parts = mode if isinstance(mode, Mapping) and mode else {"valid": "full" if isinstance(mode, Mapping) else mode}
    first = parts.get("valid", parts.get("test", "full"))
    return {"valid": parts.get("valid", first), "test": parts.get("test", first)}


def judging_of(said: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """Translate evaluation options to those of ``recsys.tasks.Ranking``; ValueError for an invalid value."""
    modes = modes_of(said)
    found: dict[str, Any] = {}
    if set(modes.values()) != {"full"}:
        found["protocol"] = modes if len(set(modes.values())) > 1 else modes["test"]
        found["seed"] = int(config["seed"])  # of the drawn candidates
    if said.get("repeatable"):
        found["repeatable"] = True
    if "metric_decimal_place" in said:
        found["digits"] = _number("metric_decimal_place", said["metric_decimal_place"], int, least=0)
    if said.get("tail_ratio") is not None:
        tail = _number("tail_ratio", said["tail_ratio"], (int, float), least=0)
        found["tail"] = tail or 0.1  # as in RecBole
    if metrics := metrics_of(said, config):
        found["metrics"] = metrics
    return found


def _number(key: str, value: Any, kind: Any, least: int) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool) or value < least:
        raise ValueError(f"{key!r} must be a number, at least {least}, got {value!r}")
    return value


def metrics_of(said: Mapping[str, Any], config: Any) -> tuple[str, ...]:
    """List the requested metrics, ``valid_metric`` first, in the form ``recall@10``; empty without such options."""
    if not {"metrics", "topk", "valid_metric"} & set(said) or ("metrics" not in said and _labelled(said)):
        return ()
    cutoffs = config["topk"]
    kinds = [name.lower() for name in config["metrics"]]
    wanted = [name for kind in kinds for name in ([kind] if kind in _UNCUT else [f"{kind}@{k}" for k in cutoffs])]
    first = str(config["valid_metric"]).lower()
    if "valid_metric" in said or first in wanted:
        wanted.insert(0, first)
    return tuple(dict.fromkeys(wanted))


def _labelled(said: Mapping[str, Any]) -> bool:
    return "labeled" in modes_of(said).values()


def check_metrics(said: Mapping[str, Any]) -> None:
    """Raise ValueError for a metric that RecBole does not have or that does not fit the mode, and for wrong cutoffs."""
    names = said.get("metrics", [])
    names = [names] if isinstance(names, str) else names
    for name in names:
        _check_metric("metrics", name)
    if "topk" in said:
        cutoffs = said["topk"] if isinstance(said["topk"], list) else [said["topk"]]
        if not cutoffs or not all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in cutoffs):
            raise ValueError(f"'topk' must be a positive integer or a list of such, got {said['topk']!r}")
    if "valid_metric" in said:
        name, at, cutoff = str(said["valid_metric"]).partition("@")
        _check_metric("valid_metric", name)
        if name.lower() in _UNCUT and at:
            raise ValueError(f"'valid_metric' must have no cutoff, as 'GAUC', got {said['valid_metric']!r}")
        if name.lower() not in _UNCUT and not re.fullmatch("[1-9][0-9]*", cutoff):
            raise ValueError(f"'valid_metric' must have a cutoff, as 'MRR@10', got {said['valid_metric']!r}")
        names = [*names, name]
    _check_fit([str(name).lower() for name in names], set(modes_of(said).values()))


def _check_fit(names: list[str], modes: set[str]) -> None:
    """Raise ValueError where ranking and value metrics are mixed, or where metrics do not fit the modes."""
    values, others = ([name for name in names if (name in _VALUES) is side] for side in (True, False))
    if values and others:
        raise ValueError(f"'metrics', 'valid_metric' must be of rankings or of values, got both: {values}, {others}")
    if values and "full" in modes:
        raise ValueError(f"{values} are of labels: 'mode' must be 'uniN', 'popN' or 'labeled' in all parts, not 'full'")
    if "labeled" in modes and (others or (len(modes) > 1 and not values)):
        raise ValueError(f"'labeled' rows are no rankings: 'metrics' must be some of {list(_VALUES)}, got {others}")


def _check_metric(key: str, name: Any) -> None:
    if str(name).lower() not in _METRICS:
        near = difflib.get_close_matches(str(name).lower(), _METRICS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{key!r} must be some of {list(_METRICS)}, which are measured here, got {name!r}{hint}")
