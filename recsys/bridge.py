"""RecBole's data, splits, configuration and models (release 1.2.1), without its trainer and its side effects."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.rng import seeded
from recsys._recbole_evaluation import check_evaluation, check_metrics
from recsys._recbole_files import check_files
from recsys._recbole_knowledge import KNOWLEDGE, dgl_for_kgat, has_graph, is_knowledge, know
from recsys._recbole_knowledge import USUAL as KNOWLEDGE_USUAL
from recsys._recbole_knowledge import WANTED as KNOWLEDGE_WANTED
from recsys._recbole_models import check_model
from recsys._recbole_options import (
    check_code,
    check_numbers,
    configured,
    explicit,
    idle_here,
    listed,
    noted,
    own_options,
    refuse,
    unread,
)
from recsys._recbole_run import run_of, split_of
from recsys._recbole_sequences import SEQUENTIAL, check_split, is_sequential, sequences_of, usual_of
from recsys._recbole_sequences import WANTED as SEQUENTIAL_WANTED
from recsys._recbole_sequences import run_of as sequential_run_of
from recsys._recbole_training import negatives_of
from recsys._repairs import build_in_time, repaired
from recsys.data.interactions import Interactions, Split
from recsys.data.sequence_rows import SequenceSplit
from recsys.models.recbole import RecBoleModel
from recsys.models.recbole_sequential import RecBoleSequential

GENERAL = ("GENERAL", "TRADITIONAL")
_WANTED = "a general recommender, which scores users and items by their ids alone"


@dataclass
class RecBoleData:
    """A RecBole dataset split once: share it between teacher and student.

    ``split``: training, validation and test pairs with RecBole's ids, of which 0 is padding, and its tokens.
    ``config``, ``dataset``: RecBole's own objects, ``dataset`` being the training part, which its models take;
    ``parts``: all three parts. ``options``, ``known``: those given to ``load``. ``training``, ``task``: options that
    RecBole's give for ``recsys.distil`` and for its task, which read them from here; ``followed``: the RecBole options
    that these come from, for a run's card. ``metrics``: the requested metrics. ``sequences``: the rows of a sequential
    model, as its task takes them; ``split`` then has the same rows as pairs.
    """

    split: Split
    config: Any
    dataset: Any
    options: dict[str, Any] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    parts: tuple[Any, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)
    followed: dict[str, Any] = field(default_factory=dict)
    sequences: SequenceSplit | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """List the requested metrics, the one that chooses the epoch first."""
        return tuple(self.task.get("metrics", ()))


def load(
    dataset: str | None = None,
    model: str | type | None = None,
    *,
    files: Sequence[str | Path] = (),
    options: Mapping[str, Any] | None = None,
    known: Sequence[str] = (),
) -> RecBoleData:
    """Read and split a dataset as RecBole does, from YAML files and a dict of options.

    dataset: a name under ``data_path``; "ml-100k" is inside RecBole's wheel. model: the model whose options and
    defaults apply, "BPR" unless the options name one. files: YAML; later ones win, ``options`` win over all. The
    command line is not read. known: further keys that your own code reads from ``config``. Strings in options are data:
    "8" is a number, none is executed. RecBole's options of data, splits and models are followed here. ``recsys.distil``
    and ``recsys.tune`` follow those of training and evaluation, unless their own arguments are given: ``epochs``,
    ``learner``, ``learning_rate``, ``weight_decay``, ``clip_grad_norm``, ``train_batch_size``,
    ``train_neg_sample_args``, ``eval_step``, ``stopping_step``, ``seed``, ``eval_args`` with its ``mode`` (full, uniN,
    popN, labeled), ``repeatable``, ``metrics``, ``topk``, ``valid_metric``, ``metric_decimal_place``, ``tail_ratio``.
    Only options that are given count: RecBole's training defaults do not apply to a run. All other options are refused.
    Times are compared in float64; ids stay as written. The process's random state, arguments, environment and numpy are
    unchanged afterwards; ``gpu_id`` is empty by default, since ``fit`` moves models.

    Raises ValueError for an unknown key, naming the nearest known one, for a key without effect, for an unsupported
    evaluation, for a column that a file lacks and for rows that cannot be read, with file and line; FileNotFoundError
    for missing data; TypeError for a model that is not a general, sequential or knowledge-graph recommender.
    """
    kinds: tuple[str, ...] = GENERAL
    usual, wanted = dict[str, Any](), _WANTED
    named = model or explicit(files, options).get("model")
    if is_sequential(named):
        kinds, usual, wanted = SEQUENTIAL, usual_of(explicit(files, options)), SEQUENTIAL_WANTED
    elif is_knowledge(named):
        kinds, usual, wanted = KNOWLEDGE, dict(KNOWLEDGE_USUAL), KNOWLEDGE_WANTED
    return read(dataset, model, usual, files=files, options=options, known=known, kinds=kinds, wanted=wanted)


def read(
    dataset: str | None,
    model: str | type | None,
    usual: Mapping[str, Any],
    *,
    files: Sequence[str | Path],
    options: Mapping[str, Any] | None,
    known: Sequence[str],
    kinds: Sequence[str],
    wanted: str,
) -> RecBoleData:
    """Do what ``load`` does, for models of these ``kinds``; ``usual``: options used where files and dict give none."""
    rows = "CONTEXT" in kinds
    mode = "labeled" if rows else "full"
    with _as_found():
        said = {**usual, **explicit(files, options)}
        dataset, model = _dataset_of(dataset, said), _named("model", model, said) or "BPR"
        check_model(model, wanted, kinds)
        refuse(idle_here(said, known, rows=rows), said)
        check_evaluation(said, rows=rows)
        check_metrics(said)
        if kinds == SEQUENTIAL:
            check_split(said)
        if kinds in (GENERAL, KNOWLEDGE):
            negatives_of(said)
        if "eval_args" in said:
            said["eval_args"] = {"mode": mode, **said["eval_args"]}
        config = _configured(model, dataset, said, known)
        check_numbers(config, {key: value for key, value in said.items() if key in listed(config)})
        check_files(config)
        with noted(config) as asked, seeded(int(config["seed"])):
            built = _dataset_class(config)(config)
            parts = build_in_time(built)
        refuse(unread(config, said, {*known, *asked}), said, "nothing reads it for such data and such a model")
        sides = [_interactions(part, built) for part in parts]
        tokens = (tuple(map(str, built.field2id_token[name])) for name in (built.uid_field, built.iid_field))
        split = split_of(_three(sides), list(tokens), parts, {} if rows else said)
        run = sequential_run_of(said, config) if kinds == SEQUENTIAL else run_of(said, config, sides, rows=rows)
        found = RecBoleData(split, config, parts[0], said, tuple(known), tuple(parts), *run)
        if kinds == SEQUENTIAL:
            found.sequences = sequences_of(built, config)
            found.split = found.sequences.pairs()
        return found


def _named(key: str, given: Any, said: dict[str, Any]) -> Any:
    """Return the value given in the call, else that of the options; ValueError where they differ."""
    also = said.pop(key, None)
    if given is not None and also is not None and also != getattr(given, "__name__", given):
        raise ValueError(f"{key!r} must be one, got {given!r} and, among the options, {also!r}: leave one out")
    return also if given is None else given


def _dataset_of(given: str | None, said: dict[str, Any]) -> str:
    """Return the dataset's name; TypeError that says how to give it where it is missing."""
    name = _named("dataset", given, said)
    if not isinstance(name, str) or not name:
        raise TypeError(f"'dataset' must be the name of a folder below 'data_path', or 'ml-100k', got {name!r}")
    if name == "ml-100k" and "data_path" in said:
        raise ValueError("'data_path' has no effect on 'ml-100k', which is RecBole's own: give your files another name")
    return name


def recommender(
    data: RecBoleData,
    model: str | type,
    options: Mapping[str, Any] | None = None,
    *,
    known: Sequence[str] = (),
    tables: Callable[[Any], tuple[Tensor, Tensor]] | None = None,
) -> Any:
    """Build a RecBole model, by name or by class, on data that was loaded before.

    options: of the model, over those of ``load``; strings are data, as there. A class of your own gets the defaults of
    the RecBole model from which it derives. tables: a function, model -> (user, item) tables whose inner products are
    the scores; not needed for BPR and LightGCN. Other general recommenders are scored by ``forward`` (NeuMF) or
    ``predict``.

    Raises ValueError for an option that the model does not have or does not read, and for a string where a number
    belongs; TypeError for a model of another kind than the data; ImportError for a missing package that a model needs.
    """
    if getattr(data, "sequences", None) is not None:
        made = build(data, model, options, known=known, kinds=SEQUENTIAL, wanted=SEQUENTIAL_WANTED)
        return RecBoleSequential(made, {**data.config.final_config_dict, **data.options, **dict(options or {})})
    graph = has_graph(getattr(data, "dataset", None))
    kinds, wanted = (KNOWLEDGE, KNOWLEDGE_WANTED) if graph else (GENERAL, _WANTED)
    return RecBoleModel(build(data, model, options, known=known, kinds=kinds, wanted=wanted), tables)


def build(
    data: RecBoleData,
    model: str | type,
    options: Mapping[str, Any] | None = None,
    *,
    known: Sequence[str] = (),
    kinds: Sequence[str],
    wanted: str,
) -> nn.Module:
    """Build RecBole's plain module of a model whose kind is among ``kinds``, else TypeError that names ``wanted``."""
    if not isinstance(data, RecBoleData):
        raise TypeError(f"'data' must be what recsys.bridge.load gives, got {type(data).__name__}")
    with _as_found():
        check_model(model, wanted, kinds)
        now, known = explicit((), options), (*data.known, *known)
        said = {**data.options, **now}
        config = _configured(model, data.config["dataset"], said, known)
        check_numbers(config, said)
        check_code(config)
        with noted(config) as asked, dgl_for_kgat():
            built = _needing(config["model"], lambda: config.model_class(config, data.dataset))
            know(built, data.dataset, config)
        own, exempt = own_options(config), {*known, *asked, "gpu_id"}
        idle = [key for key in said if key not in exempt and (key in now or key in own)]
        refuse(idle, (), f"{config['model']} does not read it; options of the data belong to 'load'")
        return built


def _configured(model: str | type, dataset: str, said: Mapping[str, Any], known: Sequence[str]) -> Any:
    return _needing(str(model), lambda: configured(model, dataset, said, known))


def _needing(model: str, make: Callable[[], Any]) -> Any:
    """Call ``make``; raise an error that names the package, or the column of the data, that the model lacks."""
    try:
        return make()
    except ModuleNotFoundError as error:
        raise ImportError(f"{model} needs {error.name!r}, which is not installed: {error}") from error
    except KeyError as error:
        raise ValueError(
            f"{model} reads {error} of the data, which do not have it: load the columns that it needs ('load_col'), or "
            "take another model"
        ) from error
    except NotImplementedError as error:
        raise ValueError(f"{model} cannot be taken here, RecBole says of it: {error}") from error


def _dataset_class(config: Any) -> type:
    """Choose the class as RecBole does, but never unpickle a dataset from the checkpoint folder."""
    import recbole.data.dataset as classes

    usual = classes.KnowledgeBasedDataset if config["MODEL_TYPE"].name == "KNOWLEDGE" else classes.Dataset
    return getattr(classes, f"{config['model']}Dataset", usual)


def _interactions(part: Any, whole: Any) -> Interactions:
    users, items = (torch.as_tensor(part.inter_feat[name]) for name in (whole.uid_field, whole.iid_field))
    return Interactions.from_pairs(users, items, int(whole.user_num), int(whole.item_num), padding=True)


def _three(sides: list[Interactions]) -> list[Interactions]:
    if len(sides) != 3:
        raise ValueError(f"'eval_args' must split into training, validation and test pairs, got {len(sides)} parts")
    return sides


@contextmanager
def _as_found() -> Iterator[None]:
    """Repair RecBole inside the block; afterwards restore the environment, YAML's loader and the warnings."""
    with repaired():
        import yaml  # type: ignore[import-untyped]

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
