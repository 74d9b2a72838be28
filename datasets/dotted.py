"""Classes of data sets by dotted path, e.g. ``torch_geometric.datasets:Flickr``, and their arguments from text."""

from __future__ import annotations

import ast
import difflib
import hashlib
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch_geometric.data.dataset import Dataset

from datasets.checked import Built, built

__all__ = ["dataset_class", "of_class", "typed_arguments"]

PARTS = ("train", "val", "test")


def dataset_class(path: str) -> type[Dataset]:
    """Return the class of data sets that a dotted path names: a module, a colon, the class.

    Raises:
        ValueError: the path is not of this form, there is no such module or class, or it is no subclass of PyG's
            `Dataset`. Nothing else is ever called.
    """
    module, colon, name = path.partition(":")
    if not (colon and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ValueError(
            f"a class of data sets is named by its module, a colon and its name, 'torch_geometric.datasets:Flickr', "
            f"got {path!r}"
        )
    try:
        held = import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        advice = f"pip install {package}" if package == "ogb" else "is it installed, and spelt so?"
        raise ValueError(f"there is no module {error.name!r} for {path!r}: {advice}") from error
    kind = getattr(held, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, Dataset)):
        what = "there is none of this name" if kind is None else f"it is {kind!r}"
        near = difflib.get_close_matches(name, _classes(held), n=3, cutoff=0.4)
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        raise ValueError(f"{path!r} must be a subclass of torch_geometric.data.Dataset, {what}{hint}")
    return kind


def typed_arguments(texts: Iterable[str]) -> dict[str, Any]:
    """Parse ``key=value`` texts: numbers, booleans and lists in Python's notation, else strings.

    Raises:
        ValueError: a text has no ``=``, or a key occurs twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key.isidentifier()):
            raise ValueError(f"an argument of a data set must be key=value, got {text!r}")
        if key in found:
            raise ValueError(f"the argument {key!r} of a data set is given twice")
        try:
            found[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            found[key] = {"true": True, "false": False}.get(value, value)
    return found


def of_class(
    path: str, arguments: Mapping[str, Any] | None = None, root: str | Path | None = None
) -> Built | Mapping[str, Built]:
    """Build the data set of a dotted path; by parts if the class has published ones as ``split=`` and none is given.

    Raises:
        ValueError: the class does not take a given argument, or needs a missing one.
    """
    kind, given = dataset_class(path), dict(arguments or {})
    parameters = inspect.signature(kind.__init__).parameters
    open_ended = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    unknown = [] if open_ended else sorted({*given} - {*parameters})
    if unknown or "root" in given:
        known = sorted({*parameters} - {"self", "root"})
        raise ValueError(f"{path} takes {known}, got {unknown or ['root']}: the folder of downloads is the cache's")
    lacking = [
        name
        for name, each in parameters.items()
        if name not in ("self", "root", *given)
        and each.default is each.empty
        and each.kind is each.POSITIONAL_OR_KEYWORD
    ]
    if lacking:
        raise ValueError(f"{path} needs {lacking}: give --dataset-args {lacking[0]}=...")
    if "split" not in given and getattr(parameters.get("split"), "default", None) == "train":
        return {part: built(kind, _folder(path, given), {**given, "split": part}, root=root) for part in PARTS}
    return built(kind, _folder(path, given), given, root=root)


def _folder(path: str, arguments: Mapping[str, Any]) -> str:
    """Return a separate folder for each class and its arguments."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", path.rpartition(":")[2])
    about = json.dumps([path, arguments], sort_keys=True, default=str)
    return f"{plain}-{hashlib.sha256(about.encode()).hexdigest()[:8]}"


def _classes(module: Any) -> list[str]:
    return [name for name in dir(module) if inspect.isclass(getattr(module, name, None))]
