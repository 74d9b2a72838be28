"""Data of the user's on the command line: a class of PyG's data sets by its path, or files."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Collection
from pathlib import Path

from benchmarks.graph.task_scenes import KINDS, Made, given_set
from benchmarks.rows import Row
from datasets import load
from datasets.checked import Built
from datasets.dotted import dataset_class, typed_arguments
from datasets.given import FEATURES, given
from datasets.loaded import Loaded
from graphkd.loaders import read_graph

_OPTIONS = {"--dataset-args": "dataset_args", "--split": "split", "--node-type": "node_type", "--features": "features"}


def add_own_data(parser: argparse.ArgumentParser, first: str, known: Collection[str]) -> None:
    """``--dataset``, a name or a class, or ``--data``, a file; and what they need to be told."""
    add = parser.add_argument
    words = f"one of {', '.join(sorted(known))}, or a class of PyG's data sets, torch_geometric.datasets:Flickr"
    add("--dataset", default=first, help=f"{words} (default: %(default)s)")
    add("--data", type=Path, metavar="FILE", help="a graph of one's own in its place: .npz, .pt, or edges as .csv")
    add("--nodes", type=Path, metavar="FILE", help="the table of nodes that goes with edges as .csv")
    add("--dataset-args", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the class")
    add("--split", choices=["random"], help="draw the split of a class or file by the seed (default: the one it has)")
    add("--node-type", help="of a class or file with several types of nodes: the one that is predicted")
    add("--features", choices=[name for name in FEATURES if name], help="what stands for features where there are none")


def own_data(parser: argparse.ArgumentParser, arguments: argparse.Namespace, known: Collection[str]) -> None:
    """Put who makes the data, and what they depend on, into ``arguments.made`` and ``arguments.options``.

    Ends with a message where a name is unknown or an option has no effect.
    """
    arguments.made, arguments.options = None, {}
    wrong = _wrong(arguments, known)
    if wrong:
        parser.error(wrong)
    try:
        if arguments.data is not None:
            arguments.made, arguments.options = _of_file(arguments)
            arguments.dataset = arguments.data.stem
        elif ":" in arguments.dataset:
            arguments.made, arguments.options = _of_class(arguments)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))


def _wrong(arguments: argparse.Namespace, known: Collection[str]) -> str:
    """What does not go together, or ''."""
    asked = sorted(text for text, name in _OPTIONS.items() if getattr(arguments, name))
    if arguments.data is not None:
        return "'--dataset-args' is of a class, '--data' names a file: leave one out" if arguments.dataset_args else ""
    if arguments.nodes is not None:
        return "'--nodes' goes with '--data', edges as .csv"
    if ":" in arguments.dataset:
        return ""
    if arguments.dataset not in known:
        near = f"one of {', '.join(sorted(known))}, or a class, torch_geometric.datasets:Flickr"
        return f"'--dataset' must be {near}, got {arguments.dataset!r}"
    return f"{asked} have no effect on {arguments.dataset!r}: they are of a class or a file" if asked else ""


def _of_class(arguments: argparse.Namespace) -> tuple[Made, Row]:
    dataset_class(arguments.dataset)
    about = {"arguments": typed_arguments(arguments.dataset_args), **_asked(arguments)}
    asked = {"task": KINDS[arguments.task], **about}

    def found(seed: int, inductive: bool) -> Loaded:
        return load(arguments.dataset, seed=seed, inductive=inductive, **asked)

    return given_set(arguments.task, found), about


def _of_file(arguments: argparse.Namespace) -> tuple[Made, Row]:
    files = [path for path in (arguments.data, arguments.nodes) if path is not None]
    graph, asked = read_graph(arguments.data, arguments.nodes), _asked(arguments)

    def found(seed: int, inductive: bool) -> Loaded:
        return given(KINDS[arguments.task], Built([graph]), seed=seed, inductive=inductive, **asked)

    contents = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return given_set(arguments.task, found), {"data": contents[:12], **asked}


def _asked(arguments: argparse.Namespace) -> Row:
    return {name: getattr(arguments, name) for name in ("split", "node_type", "features")}
