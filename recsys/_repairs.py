"""RecBole 1.2.1 on today's numpy, scipy and pandas: each repair is made only where a test shows that it is needed.

Importing this module changes nothing. ``repaired`` makes all repairs inside a block; afterwards numpy and scipy are
restored, while RecBole's own dataset classes stay repaired. Making a repair twice changes nothing.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# Names that numpy had once; RecBole's Config writes most of them, and its other modules read them.
_NUMPY_NAMES: dict[str, type] = {
    "bool": np.bool_,
    "int": np.int_,
    "float": np.float64,
    "complex": np.complex128,
    "object": np.object_,
    "str": np.str_,
    "long": np.int_,
    "unicode": np.str_,
    "float_": np.float64,
    "complex_": np.complex128,
    "unicode_": np.str_,
}


# Strings that pandas reads as a missing number by default.
_OF_FLOATS = ("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN")
MISSING_NUMBERS = frozenset(
    ("", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "None", "NULL", "null", *_OF_FLOATS)
)


@contextmanager
def repaired() -> Iterator[None]:
    """Repair RecBole inside the block; ImportError that says what to install where it is missing."""
    try:
        import recbole.data.dataset  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "RecBole is missing: pip install 'graphkd[recsys]' && pip install --no-deps recbole==1.2.1"
        ) from error
    with numpy_names(), dok_update(), anomaly_mode():
        missing_values()
        lengths()
        tokens()
        yield


@contextmanager
def numpy_names() -> Iterator[None]:
    """Restore ``np.float_``, ``np.float`` and other names removed from numpy 2, inside the block.

    RecBole issues 1714, 2203. Building a Config reads some of these names and writes the others; afterwards all have
    their former state.
    """
    before = {name: vars(np)[name] for name in _NUMPY_NAMES if name in vars(np)}
    for name, kind in _NUMPY_NAMES.items():
        if name not in before:
            setattr(np, name, kind)
    try:
        yield
    finally:
        for name in _NUMPY_NAMES:
            if name in before:
                setattr(np, name, before[name])
            elif name in vars(np):
                delattr(np, name)


@contextmanager
def anomaly_mode() -> Iterator[None]:
    """Restore autograd's anomaly mode after the block: importing RecBole's SINE switches it on.

    RecBole imports all its sequential models with the first one. Anomaly mode slows every backward pass of the process
    and makes torch raise an error for a NaN in a gradient.
    """
    enabled, check_nan = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    try:
        yield
    finally:
        torch.set_anomaly_enabled(enabled, check_nan)


@contextmanager
def dok_update() -> Iterator[None]:
    """Restore ``dok_matrix._update``, which scipy 1.13 dropped, inside the block; RecBole issues 2090, 2185.

    LightGCN, NGCF, SpectralCF, GCMC, NCL, KGIN and MCCLK build their graphs with it.
    """
    from scipy.sparse import dok_matrix

    if hasattr(dok_matrix, "_update"):
        yield
        return
    dok_matrix._update = lambda self, entries: self._dict.update(entries)
    try:
        yield
    finally:
        del dok_matrix._update


def missing_values() -> bool:
    """Repair the filling of missing values; tell whether a repair was needed.

    ``frame[column].fillna(..., inplace=True)`` changes nothing under the copy-on-write of pandas 3: missing numbers
    silently stay NaN, missing sequences fail.
    """
    import pandas as pd  # type: ignore[import-untyped]
    from recbole.data.dataset import Dataset

    frame = pd.DataFrame({"a": [np.nan, 1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame["a"].fillna(0.0, inplace=True)
    if not frame["a"].isna().any():
        return False
    for name in ("_load_feat", "_fill_nan"):
        _rewrite(Dataset, name, _assign_back)
    return True


def lengths() -> bool:
    """Repair the lengths of sequences; tell whether it was needed: ``Series.agg(len)`` of pandas 3 is one number."""
    import pandas as pd
    from recbole.data.dataset import Dataset, KnowledgeBasedDataset, SequentialDataset

    if isinstance(pd.Series([[1, 2], [3]]).agg(len), pd.Series):
        return False
    for owner in (Dataset, KnowledgeBasedDataset, SequentialDataset):
        for name, method in list(vars(owner).items()):
            if inspect.isfunction(method):
                _rewrite(owner, name, lambda source: source.replace(".agg(len)", ".map(len)"))
    return True


def tokens() -> bool:
    """Repair the reading of tokens, of which only an empty one is missing; tell whether a repair was needed.

    pandas takes ids such as NA, null or None for missing, and RecBole then drops their rows.
    """
    from recbole.data.dataset import Dataset

    if "keep_default_na" in getattr(Dataset._load_feat, "repaired_source", ""):
        return False
    _rewrite(Dataset, "_load_feat", _keep_tokens)
    return True


def _keep_tokens(source: str) -> str:
    missing = f"[{sorted(MISSING_NUMBERS)} if 'float' in each.rpartition(':')[2] else [''] for each in usecols]"
    return source.replace(
        "usecols=usecols,", f"usecols=usecols, keep_default_na=False, na_values=dict(zip(usecols, {missing})),"
    )


def build_in_time(dataset: Any) -> list[Any]:
    """Call ``dataset.build()`` with times in float64 until the split is made: float32 times are minutes apart."""
    time, frame = dataset.time_field, dataset.inter_feat
    if time not in frame or frame[time].dtype.kind != "f":
        return list(dataset.build())
    exact = torch.from_numpy(frame[time].to_numpy(np.float64, copy=True))
    dataset._change_feat_format()
    columns = dataset.inter_feat.interaction
    narrow, columns[time] = columns[time].dtype, exact
    vars(dataset)["_change_feat_format"] = lambda: None  # already done
    parts = list(dataset.build())
    for part in (dataset, *parts):
        vars(part).pop("_change_feat_format", None)
        columns = part.inter_feat.interaction
        if time in columns:
            columns[time] = columns[time].to(narrow)
    return parts


def _assign_back(source: str) -> str:
    return re.sub(r"^(\s*)(\w+\[field\])\.fillna\((.*), inplace=True\)$", r"\1\2 = \2.fillna(\3)", source, flags=re.M)


def _rewrite(owner: type, name: str, change: Callable[[str], str]) -> None:
    """Recompile a method from its changed source, in the namespace of its own module."""
    method: Any = vars(owner)[name]
    source = getattr(method, "repaired_source", None) or textwrap.dedent(inspect.getsource(method))
    changed = change(source)
    if changed == source:
        return
    made: dict[str, Any] = {}
    exec(compile(changed, f"<repaired {owner.__name__}.{name}>", "exec"), vars(sys.modules[method.__module__]), made)  # noqa: S102 - RecBole's own source
    made[name].repaired_source = changed
    made[name].__qualname__ = method.__qualname__
    setattr(owner, name, made[name])
