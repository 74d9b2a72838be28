"""The datasets and models of the recommender benchmark by name: ours, and any that RecBole can load or build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datasets.recommenders import RECOMMENDERS, load_interactions
from recsys import Interactions, Split, bridge
from recsys.models import MF, LightGCN, Recommender

_EMBEDDED = "ml-100k"  # inside RecBole's wheel
_LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "RO", "group_by": "user"}


@dataclass(frozen=True)
class Data:
    """A split dataset, and RecBole's view of it, which its models need, where RecBole read it."""

    split: Split
    recbole: bridge.RecBoleData | None = None

    @property
    def train(self) -> Interactions:
        """The training pairs."""
        return self.split.train


def load(name: str, protocol: str, seed: int, folder: Path | None = None) -> Data:
    """A dataset of ``datasets.recommenders``, or, with a folder, the RecBole dataset ``folder/name/name.inter``.

    RecBole splits at random, 8:1:1 within every user, or for ``loo`` one item each for validation and test.
    """
    if folder is None and name != _EMBEDDED:
        return Data(load_interactions(name, seed=seed))
    options: dict[str, Any] = {"seed": seed}
    if protocol == "loo":
        options["eval_args"] = _LEAVE_ONE_OUT
    if name != _EMBEDDED:
        options |= {"data_path": str(folder), "load_col": {"inter": ["user_id", "item_id"]}}
    data = bridge.load(name, options=options)
    return Data(data.split, data)


def check_dataset(name: str, folder: Path | None) -> None:
    """ValueError that says which datasets there are."""
    if folder is None and name not in RECOMMENDERS:
        known = sorted(RECOMMENDERS)
        raise ValueError(f"--dataset must be one of {known}, or a RecBole dataset with its --data-path, got {name!r}")
    if folder is not None and name != _EMBEDDED and not (file := folder / name / f"{name}.inter").is_file():
        raise ValueError(f"--dataset {name} must have its interactions at {str(file)!r}; there is no such file")


MODELS: dict[str, Callable[[Data, int], Recommender]] = {
    "mf": lambda data, width: MF(data.train.num_users, data.train.num_items, width),
    "lightgcn": lambda data, width: LightGCN(data.train, width),
    "neumf": lambda data, width: _recbole("NeuMF", data, width),
}


def model(text: str, dataset: str, folder: Path | None = None) -> Callable[[Data], Recommender]:
    """What builds the model NAME:WIDTH: one of ``MODELS``, or RecBole's general recommender of that class name.

    WIDTH is RecBole's ``embedding_size``; NeuMF's two have it, and layers of 2 WIDTH and WIDTH, as in its defaults.
    ValueError for another name, and for a model of RecBole on a dataset that RecBole did not read.
    """
    name, _, width = text.partition(":")
    ours = name in MODELS
    if not width.isdigit() or int(width) < 1 or not (ours or _in_recbole(name)):
        raise ValueError(f"a model is NAME:WIDTH with a name of {sorted(MODELS)} or of a RecBole class, got {text!r}")
    if (name == "neumf" or not ours) and folder is None and dataset != _EMBEDDED:
        raise ValueError(f"{text!r} is a model of RecBole: it needs {_EMBEDDED!r} or a --data-path, got {dataset!r}")
    build: Callable[[Data], Recommender] = partial(_build, MODELS.get(name) or partial(_recbole, name), int(width))
    return build


def _build(make: Callable[[Data, int], Recommender], width: int, data: Data) -> Recommender:
    return make(data, width)


def _recbole(name: str, data: Data, width: int) -> Recommender:
    assert data.recbole is not None
    sizes: dict[str, Any] = {"embedding_size": width}
    if name == "NeuMF":
        sizes = {"mf_embedding_size": width, "mlp_embedding_size": width, "mlp_hidden_size": [2 * width, width]}
    return bridge.recommender(data.recbole, name, sizes)


def _in_recbole(name: str) -> bool:
    """Whether RecBole has settings for a model of this name, without importing it."""
    found = find_spec("recbole")
    places = found.submodule_search_locations if found else None
    return any((Path(place) / "properties" / "model" / f"{name}.yaml").is_file() for place in places or ())
