"""RecBole's data, splits, configuration and models (release 1.2.1), without its trainer and its side effects."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.rng import seeded
from recsys._repairs import repaired
from recsys.data.interactions import Interactions, Split
from recsys.models.base import Recommender
from recsys.models.lightgcn import propagated

_CHUNK = 1 << 18  # pairs that a model without tables scores at once

# Options that RecBole reads but names in none of its lists.
_UNLISTED = {"convert_token_to_onehot", "discretization", "encoding", "numerical_features", "token_num_threshold"}


@dataclass
class RecBoleData:
    """A RecBole dataset split once: share it between teacher and student.

    ``split``: training, validation and test pairs with RecBole's ids, 0 being padding, and its tokens. ``config``,
    ``dataset``: RecBole's own objects, ``dataset`` the training part, which its models take; ``parts``: all three.
    """

    split: Split
    config: Any
    dataset: Any
    files: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    parts: tuple[Any, ...] = ()


def load(
    dataset: str | None = None,
    model: str | type = "BPR",
    *,
    files: Sequence[str | Path] = (),
    options: Mapping[str, Any] | None = None,
    known: Sequence[str] = (),
) -> RecBoleData:
    """Read and split a dataset as RecBole does, from YAML files and a dict of options.

    dataset: a name under ``data_path``; "ml-100k" is inside RecBole's wheel. files: YAML, later ones win, ``options``
    win over all; the command line is not read. known: further keys, those that a model class of your own reads.
    The split depends on ``seed`` alone. The process' random state, arguments, environment and numpy are left as they
    were; ``gpu_id`` is empty by default, since ``fit`` moves models itself. RecBole evaluates strings as Python.
    Raises ValueError for an unknown key, with the nearest known one, and for a column that a file lacks,
    FileNotFoundError for missing data.
    """
    with _as_found():
        paths, chosen = tuple(str(path) for path in files), dict(options or {})
        config = _config(model, dataset, paths, chosen, known)
        _check_columns(config)
        with seeded(int(config["seed"])):
            built = _dataset_class(config)(config)
            parts = built.build()
        sides = [_interactions(part, built) for part in parts]
        tokens = (tuple(map(str, built.field2id_token[name])) for name in (built.uid_field, built.iid_field))
        train, valid, test = _three(sides)
        split = Split(train, valid, test, *tokens)
        return RecBoleData(split, config, parts[0], paths, chosen, tuple(known), tuple(parts))


def recommender(
    data: RecBoleData,
    model: str | type,
    options: Mapping[str, Any] | None = None,
    *,
    known: Sequence[str] = (),
    tables: Callable[[Any], tuple[Tensor, Tensor]] | None = None,
) -> RecBoleModel:
    """Build a RecBole model, by name or by class, on data that was loaded before.

    options: go over those of ``load``; a class of your own gets the defaults of the RecBole model it derives from.
    tables: model -> (user, item) tables whose inner products are its scores; known for BPR and LightGCN. Other
    general recommenders are scored by ``forward`` (NeuMF) or ``predict``.
    """
    wanted = "a general recommender, which scores users and items by their ids alone"
    return RecBoleModel(
        build(data, model, options, known=known, kinds=("GENERAL", "TRADITIONAL"), wanted=wanted), tables
    )


def build(
    data: RecBoleData,
    model: str | type,
    options: Mapping[str, Any] | None = None,
    *,
    known: Sequence[str] = (),
    kinds: Sequence[str],
    wanted: str,
) -> nn.Module:
    """RecBole's plain module of a model whose type is among ``kinds``, else TypeError that says what was ``wanted``."""
    with _as_found():
        merged = {**data.options, **(options or {})}
        config = _config(model, data.config["dataset"], data.files, merged, (*data.known, *known))
        kind = config["MODEL_TYPE"].name
        if kind not in kinds:
            raise TypeError(f"'model' must be {wanted}, got {config['model']} of type {kind}")
        return config.model_class(config, data.dataset)


class RecBoleModel(Recommender):
    """A RecBole model as recommender; ``model`` is the plain RecBole module, whose state dict RecBole can load."""

    def __init__(self, model: nn.Module, tables: Callable[[Any], tuple[Tensor, Tensor]] | None = None) -> None:
        super().__init__(int(model.n_users), int(model.n_items))  # type: ignore[arg-type]
        self.model = model
        self._kind = _kind(type(model))
        self._tables = tables or _TABLES.get(self._kind)
        self.has_tables = self._tables is not None

    def tables(self) -> tuple[Tensor, Tensor]:
        """The tables whose inner products are the model's scores."""
        return super().tables() if self._tables is None else self._tables(self.model)

    def score(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of pairs, broadcast; for NeuMF before its sigmoid, as its own loss takes them."""
        if self.has_tables:
            return super().score(users, items)
        device = next((p.device for p in self.parameters()), users.device)
        users, items = torch.broadcast_tensors(users.to(device), items.to(device))
        pairs = zip(users.flatten().split(_CHUNK), items.flatten().split(_CHUNK), strict=True)
        return torch.cat([self._pairs(*pair) for pair in pairs]).view(users.shape)

    def score_items(self, users: Tensor) -> Tensor:
        """Scores of all items, by ``full_sort_predict`` where the model has one of its own."""
        if self.has_tables or self._kind == "NeuMF":
            return super().score_items(users)
        for name in [name for name in vars(self.model) if name.startswith("restore_")]:
            setattr(self.model, name, None)  # what graph models keep of an earlier state of their weights
        model: Any = self.model
        try:
            return model.full_sort_predict({model.USER_ID: users}).view(users.size(0), -1)
        except NotImplementedError:
            return super().score_items(users)

    def _pairs(self, users: Tensor, items: Tensor) -> Tensor:
        model: Any = self.model
        if self._kind == "NeuMF":
            return model(users, items)
        return model.predict({model.USER_ID: users, model.ITEM_ID: items})


def _embeddings(model: Any) -> tuple[Tensor, Tensor]:
    return model.user_embedding.weight, model.item_embedding.weight


def _propagated(model: Any) -> tuple[Tensor, Tensor]:
    """What RecBole's LightGCN shows, a hundred times faster: its own product sorts the graph anew in every gradient."""
    table = model.get_ego_embeddings()
    graph = vars(model).get("_compressed")
    if graph is None or graph[0].device != table.device:
        matrix = model.norm_adj_matrix.coalesce().to(table.device)
        row, column = matrix.indices().int()
        ptr = torch.zeros(matrix.size(0) + 1, dtype=torch.int32, device=table.device)
        ptr[1:] = torch.bincount(row, minlength=matrix.size(0)).cumsum(0)
        graph = model._compressed = (ptr, column.contiguous(), matrix.values())
    user, item = propagated(graph, table, model.n_layers).split([model.n_users, model.n_items])
    return user, item


_TABLES: dict[str, Callable[[Any], tuple[Tensor, Tensor]]] = {"BPR": _embeddings, "LightGCN": _propagated}


def _kind(model: type) -> str:
    """The RecBole model whose scores a class has, inherited unchanged; empty for others."""
    for base in inspect.getmro(model):
        if base.__name__ in (*_TABLES, "NeuMF") and base.__module__.startswith("recbole."):
            same = (getattr(model, name) is getattr(base, name) for name in ("forward", "predict", "full_sort_predict"))
            return base.__name__ if all(same) else ""
    return ""


def _ancestors(model: type) -> list[str]:
    return [each.__name__ for each in inspect.getmro(model)]


def _config(
    model: str | type, dataset: str | None, files: Sequence[str], options: Mapping[str, Any], known: Sequence[str]
) -> Any:
    """RecBole's Config, with the defaults of the RecBole models that a class derives from, and no unknown keys."""
    import recbole.config

    folder = Path(inspect.getfile(recbole.config)).parent.parent / "properties" / "model"
    defaults = [] if isinstance(model, str) else [folder / f"{name}.yaml" for name in reversed(_ancestors(model))]
    inherited = [str(path) for path in defaults if path.is_file()]
    argv, sys.argv = sys.argv, sys.argv[:1]
    try:
        config = recbole.config.Config(model, dataset, [*inherited, *files], {"gpu_id": "", **options})
    finally:
        sys.argv = argv
    listed = {name for names in config.parameters.values() for name in names}
    allowed = {*listed, *config.internal_config_dict, *_UNLISTED, *known, "model", "dataset"}
    for path in inherited:
        allowed |= set(config._load_config_files([path]))
    for key in [*config.file_config_dict, *config.variable_config_dict]:
        if key not in allowed:
            near = difflib.get_close_matches(key, sorted(allowed), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"RecBole has no option {key!r} for {config['model']}{hint} (keys of your own: 'known')")
    return config


def _dataset_class(config: Any) -> type:
    """As RecBole chooses, but without unpickling a dataset that lies in the checkpoint folder."""
    import recbole.data.dataset as classes

    return getattr(classes, f"{config['model']}Dataset", classes.Dataset)


def _check_columns(config: Any) -> None:
    """Look for the user, item and chosen columns in the header of the interaction files."""
    folder, name = Path(config["data_path"]), config["dataset"]
    parts = [f".{part}" for part in config["benchmark_filename"] or ()] or [""]
    chosen = (config["load_col"] or {}).get("inter") or ()
    needed = [config["USER_ID_FIELD"], config["ITEM_ID_FIELD"], *chosen]
    for path in (folder / f"{name}{part}.inter" for part in parts):
        if not path.is_file():
            raise FileNotFoundError(
                f"{name!r} must have interactions at {str(path)!r}; there is no such file{_origin(name)}"
            )
        with path.open(encoding=config["encoding"] or "utf-8") as file:
            header = file.readline().rstrip("\r\n").split(config["field_separator"])
        columns = [column.partition(":")[0] for column in header]
        missing = [column for column in needed if column not in columns]
        if missing:
            raise ValueError(f"{str(path)!r} must have the columns {missing}, got {columns}")


def _origin(name: str) -> str:
    """Where RecBole publishes a dataset, if it does."""
    import recbole
    import yaml  # type: ignore[import-untyped]

    urls = yaml.safe_load((Path(recbole.__file__).parent / "properties" / "dataset" / "url.yaml").read_text())
    return f"; RecBole publishes it at {urls[name]}" if name in urls else ""


def _interactions(part: Any, whole: Any) -> Interactions:
    users, items = (torch.as_tensor(part.inter_feat[name]) for name in (whole.uid_field, whole.iid_field))
    return Interactions.from_pairs(users, items, int(whole.user_num), int(whole.item_num), padding=True)


def _three(sides: list[Interactions]) -> list[Interactions]:
    if len(sides) != 3:
        raise ValueError(f"'eval_args' must split into training, validation and test pairs, got {len(sides)} parts")
    return sides


@contextmanager
def _as_found() -> Iterator[None]:
    """RecBole repaired inside the block; the environment, YAML's loader and warnings afterwards as before."""
    with repaired():
        import yaml

        resolvers = yaml.FullLoader.yaml_implicit_resolvers
        yaml.FullLoader.yaml_implicit_resolvers = {key: list(value) for key, value in resolvers.items()}
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            yaml.FullLoader.yaml_implicit_resolvers = resolvers
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
            if visible is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = visible
