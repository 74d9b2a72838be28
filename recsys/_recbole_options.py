"""RecBole's options as data: read from YAML and dicts, never executed; each is followed or refused by name."""

from __future__ import annotations

import ast
import copy
import difflib
import inspect
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Options that RecBole reads but names in none of its lists.
_UNLISTED = {
    *("convert_token_to_onehot", "discretization", "encoding", "numerical_features", "tail_ratio"),
    "token_num_threshold",
}
_OF_THE_CALL = {"model", "dataset", "gpu_id"}
_WIDTH = re.compile(r"embedding_size|hidden_size|hidden_dimension|latent_dimension|hidden_size_list|rank|dims_dnn")
_NEGATIVES = "say 'train_neg_sample_args', as RecBole 1.2.1 has it"
_NO_FILES = "nothing is written: torch.save keeps a split"

# Options without effect here, and what to use instead; ``_AS_HERE`` lists values that match what is done here.
_ELSEWHERE: Mapping[str, str] = {
    "train_neg_sample_args": "rows of clicks have labels: leave it out, or say None",
    "neg_sampling": _NEGATIVES,
    "training_neg_sample_num": _NEGATIVES,
    "shuffle": "RankingBatches are always in random order",
    "transform": "batches are as recsys.data.batches makes them",
    "loss_decimal_place": "losses are not rounded",
    "valid_metric_bigger": "it follows from the metric",
    "repeatable": "clicks are no rankings",
    "enable_amp": "give fit or recsys.distil fabric=Fabric(precision=...)",
    "enable_scaler": "give fit or recsys.distil fabric=Fabric(precision=...)",
    "use_gpu": "give 'device' to recsys.distil",
    "nproc": "give 'fabric' to fit or recsys.distil",
    "worker": "batches are made in this process",
    "reproducibility": "call torch.use_deterministic_algorithms",
    "state": "set the level of Python's logging",
    "show_progress": "give 'progress' to fit or recsys.distil",
    "log_wandb": "give 'log' to fit or recsys.distil",
    "wandb_project": "give 'log' to fit or recsys.distil",
    "checkpoint_dir": "give 'checkpoint' to fit or recsys.distil",
    "save_dataset": _NO_FILES,
    "dataset_save_path": _NO_FILES,
    "save_dataloaders": _NO_FILES,
    "dataloaders_save_path": _NO_FILES,
    "config_file": "give 'files'",
    "metrics": "recsys.tasks.Clicks has its own",
    "topk": "clicks are no rankings",
    "valid_metric": "recsys.tasks.Clicks has its own",
    "metric_decimal_place": "values of clicks are not rounded",
    "tail_ratio": "clicks are no rankings",
}
# Options that recsys.distil and recsys.tune take from the loaded data unless they are given in the call.
TRAINING = (
    *("epochs", "train_batch_size", "learner", "learning_rate", "weight_decay", "clip_grad_norm"),
    *("eval_step", "stopping_step"),
)
OF_RANKINGS = (
    *("metrics", "topk", "valid_metric", "metric_decimal_place", "tail_ratio", "train_neg_sample_args", "repeatable"),
)
UNFELT = ("eval_batch_size",)  # changes no result here; RecBole's own evaluation reads it from ``config``
_OFF = ("repeatable", "enable_amp", "enable_scaler", "log_wandb", "save_dataset", "save_dataloaders")
_AS_HERE: Mapping[str, Sequence[Any]] = {
    **dict.fromkeys(_OFF, (False, None)),
    "shuffle": (True,),
    "transform": (None,),
    "valid_metric_bigger": (True,),
}


def explicit(files: str | Path | Sequence[str | Path], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Merge options of YAML files and of a dict, later ones winning; its strings are read as literals, never run."""
    said: dict[str, Any] = {}
    for path in [files] if isinstance(files, (str, Path)) else files:
        said |= _read_yaml(Path(path))
    return said | {key: _literal(value) for key, value in (options or {}).items()}


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    class Loader(yaml.SafeLoader):
        """Read numbers as RecBole does: 1e-3 is a number."""

    number = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789."))
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - it derives from the safe one
    except yaml.YAMLError as error:
        raise ValueError(f"{str(path)!r} must be YAML of plain values: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise TypeError(f"{str(path)!r} must be YAML that maps options to values, got a {type(found).__name__}")
    return found


def _literal(value: Any) -> Any:
    """Parse a string that spells a number, list, dict, boolean or None; return anything else unchanged."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value
    plain = found is None or isinstance(found, (bool, int, float, str, list, tuple, dict))
    return found if plain else value


def configured(model: str | type, dataset: str, said: Mapping[str, Any], known: Collection[str]) -> Any:
    """Build RecBole's Config of these options, with the defaults of the models that a class derives from.

    Raises ValueError for an option that RecBole does not have, and names the nearest one.
    """
    from recbole.config import Config

    folder = _models_folder()
    lines = [] if isinstance(model, str) else [folder / f"{each.__name__}.yaml" for each in inspect.getmro(model)]
    inherited = explicit([path for path in reversed(lines) if path.is_file()], None)
    config = Config.__new__(Config)
    # RecBole's own methods evaluate every string as Python and read this process's command line as options.
    own = {"_convert_config_dict": lambda options: options, "_load_cmd_line": dict}
    vars(config).update(own)
    Config.__init__(config, model, dataset, None, copy.deepcopy({"gpu_id": "", **inherited, **said}))
    for name in own:
        del vars(config)[name]
    allowed = {*listed(config), *config.internal_config_dict, *inherited, *_UNLISTED, *known, *_OF_THE_CALL}
    for key in said:
        if key not in allowed:
            raise ValueError(_unknown(key, config["model"], allowed, own_options(config)))
    return config


def own_options(config: Any) -> list[str]:
    """List the options specific to the model or to the models that it derives from."""
    folder = _models_folder()
    lines = [folder / f"{each.__name__}.yaml" for each in inspect.getmro(config.model_class)]
    return [*explicit([path for path in lines if path.is_file()], None)]


def _models_folder() -> Path:
    import recbole

    return Path(recbole.__file__).parent / "properties" / "model"


def listed(config: Any) -> set[str]:
    """Return the names of RecBole's options that belong to no model."""
    return {name for names in config.parameters.values() for name in names}


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Suggest the nearest name, as a question; empty where none is near."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _unknown(key: str, model: str, allowed: Collection[str], own: Sequence[str]) -> str:
    widths = [name for name in own if _WIDTH.search(name)]
    near = difflib.get_close_matches(key, sorted(allowed), n=1)
    if _WIDTH.fullmatch(key):
        hint = f", whose widths are {widths}" if widths else ", which has no width: leave it out"
    else:
        hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"RecBole has no option {key!r} for {model}{hint} (keys of your own: 'known')"


def idle_here(said: Mapping[str, Any], known: Collection[str], *, rows: bool = False) -> list[str]:
    """List options that have no effect for any model; ``rows``: the data are rows of features, not rankings."""
    names = {*_ELSEWHERE} - {*known, *(() if rows else OF_RANKINGS)}
    return [key for key in said if key in names and not _is_so_here(key, said[key], rows)]


def refuse(idle: Sequence[str], said: Collection[str], why: str = "") -> None:
    """Raise ValueError if there are options without effect; it names each one and its replacement, if any."""
    if not idle:
        return
    lines = [f"  {key!r}: {_ELSEWHERE.get(key, why)}" for key in idle]
    followed = [key for key in (*TRAINING, *OF_RANKINGS) if key in said and key not in idle]
    lines += [f"  {key!r} is followed by recsys.distil" for key in followed]
    raise ValueError(
        f"{list(idle)} of RecBole's options have no effect here: leave them out, or list in 'known' what code of your "
        "own reads\n" + "\n".join(lines)
    )


def _is_so_here(key: str, value: Any, rows: bool) -> bool:
    """Tell whether an option's value is what this library does anyway."""
    if key == "train_neg_sample_args":
        return rows and value is None
    return any(value is each for each in _AS_HERE.get(key, ()))


def unread(config: Any, said: Collection[str], read: Collection[str]) -> list[str]:
    """List options neither ``read`` while the data were built nor named in the source of the model's classes."""
    lines = [each for each in inspect.getmro(config.model_class) if each.__module__.partition(".")[0] != "torch"]
    source = "\n".join(map(_source, lines))
    judged = {*read, *_ELSEWHERE, *TRAINING, *OF_RANKINGS, *UNFELT, *own_options(config)}
    return [key for key in said if key not in judged and f'["{key}"]' not in source]


def _source(owner: type) -> str:
    try:
        return inspect.getsource(owner)
    except (OSError, TypeError):  # a class defined at a prompt
        return ""


class Asked(dict[str, Any]):
    """Record which options are read; copies share the record."""

    def __init__(self, options: Mapping[str, Any], asked: set[str]) -> None:
        super().__init__(options)
        self.asked = asked

    def get(self, key: str, default: Any = None) -> Any:
        """Return an option, or the default."""
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)

    def __deepcopy__(self, memo: dict[int, Any]) -> Asked:
        return Asked(copy.deepcopy(dict(self), memo), self.asked)


@contextmanager
def noted(config: Any) -> Iterator[set[str]]:
    """Collect in a set the options that are read from a config inside the block."""
    asked: set[str] = set()
    config.final_config_dict = Asked(config.final_config_dict, asked)
    try:
        yield asked
    finally:
        config.final_config_dict = dict(config.final_config_dict)


def check_numbers(config: Any, said: Mapping[str, Any]) -> None:
    """Raise ValueError for an option whose default is a number and whose value is a string."""
    for key, value in said.items():
        usual = config.internal_config_dict.get(key)
        if isinstance(usual, (bool, int, float)) and isinstance(value, str):
            raise ValueError(  # noqa: TRY004 - of a value, in a text
                f"{key!r} must be of type {type(usual).__name__}, as {usual!r}, got the text {value!r}"
            )


def check_code(config: Any) -> None:
    """Raise ValueError unless the string that KD_DAGFM evaluates as Python is the name of one of its networks."""
    known = ("CrossNet", "CINComp", "CIN")
    runs = any(each.__name__ == "KD_DAGFM" for each in inspect.getmro(config.model_class))
    if runs and config["teacher"] not in known:
        raise ValueError(f"'teacher' must be one of {list(known)}, got {config['teacher']!r}")
