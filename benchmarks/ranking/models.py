"""The datasets and models of the recommender benchmark by name: ours, and any that RecBole can load or build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datasets.recommenders import RECOMMENDERS, load_interactions
from recsys import Interactions, Split, bridge
from recsys._recbole_models import check_model, did_you_mean, kinds
from recsys.models import MF, LightGCN, Recommender

OF_LIGHTGCN = ("lightgnn",)  # methods that take no other models
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


def check_propagations(methods: Sequence[str], student: str, teacher: str) -> None:
    """ValueError where a method is for LightGCNs of one width, and the models are others."""
    if set(OF_LIGHTGCN) & set(methods) and not (student == teacher and student.startswith("lightgcn:")):
        raise ValueError(
            f"{', '.join(OF_LIGHTGCN)} is for LightGCNs of one width: say --teacher lightgcn:W --student lightgcn:W, "
            f"got {teacher} and {student}"
        )


MODELS: dict[str, Callable[[Data, int], Recommender]] = {
    "mf": lambda data, width: MF(data.train.num_users, data.train.num_items, width),
    "lightgcn": lambda data, width: LightGCN(data.train, width),
    "neumf": lambda data, width: _neumf(data, width),
}


def model(text: str, dataset: str, folder: Path | None = None) -> Callable[[Data], Recommender]:
    """What builds the model NAME:WIDTH: one of ``MODELS``, or RecBole's general recommender of that class name.

    WIDTH is RecBole's ``embedding_size``; NeuMF's two have it, and layers of 2 WIDTH and WIDTH, as in its defaults. A
    class of RecBole's may stand without a width, as those must that have no such option; its defaults hold then.
    ValueError for another name, and for a model of RecBole on a dataset that RecBole did not read.
    """
    name, colon, width = text.partition(":")
    ours, sized = name in MODELS, width.isdigit() and int(width) >= 1
    if not (ours or name in kinds()) or not (sized or not (ours or colon)):
        raise ValueError(
            f"a model is NAME:WIDTH with a name of {sorted(MODELS)} or of a RecBole class, or such a class alone, got "
            f"{text!r}; {did_you_mean(name)}".removesuffix("; ")
        )
    if not ours:
        check_model(name, f"one of {sorted(MODELS)}, or a general recommender of RecBole", bridge.GENERAL)
    if (name == "neumf" or not ours) and folder is None and dataset != _EMBEDDED:
        raise ValueError(f"{text!r} is a model of RecBole: it needs {_EMBEDDED!r} or a --data-path, got {dataset!r}")
    if ours:
        return partial(_build, MODELS[name], int(width))
    return partial(_recbole, name, width=int(width) if sized else None)


def _build(make: Callable[[Data, int], Recommender], width: int, data: Data) -> Recommender:
    return make(data, width)


def _neumf(data: Data, width: int) -> Recommender:
    sizes = {"mf_embedding_size": width, "mlp_embedding_size": width, "mlp_hidden_size": [2 * width, width]}
    return _recbole("NeuMF", data, sizes=sizes)


def _recbole(name: str, data: Data, width: int | None = None, sizes: Mapping[str, Any] | None = None) -> Recommender:
    assert data.recbole is not None
    if width is None:
        return bridge.recommender(data.recbole, name, sizes)
    try:
        return bridge.recommender(data.recbole, name, {"embedding_size": width})
    except ValueError as error:
        raise ValueError(f"{name}:{width} cannot be built, name it without a width, {name}: {error}") from error
