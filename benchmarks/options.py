"""What the benchmarks that train models are told: methods by name, their settings, seeds, and where results go."""

from __future__ import annotations

import argparse
import ast
import difflib
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from graphkd.core.method import Metadata

SETTINGS = Path(__file__).parent / "settings"
# What may stand beside a method's hyper-parameters: of its training.
TRAINING: Mapping[str, Any] = {"lr": 0.0, "weight_decay": 0.0, "epochs": 0, "patience": 0}
Groups = Mapping[str, Sequence[str]]


def add_methods(parser: argparse.ArgumentParser, known: Sequence[Metadata], *, default: str, groups: Groups) -> None:
    """Methods and their settings, seeds, threads, and where results go."""
    add = parser.add_argument
    add("--methods", default=default, help=f"comma-separated names or {', '.join(groups)} (default: %(default)s)")
    add("--list", action=_List, known=known, help="print the table of methods and end")
    add("--set", action="append", default=[], metavar="METHOD.NAME=VALUE", help="a setting of a method; repeatable")
    words = "settings of methods: a TOML file, 'kds' (published by others) or 'tuned' (found by '--tune' here)"
    add("--settings", dest="settings_files", action="append", default=[], metavar="FILE", help=f"{words}; repeatable")
    add("--plot", type=Path, help="write quality against latency as a picture")
    add_run_options(parser)


def add_tuning(parser: argparse.ArgumentParser) -> None:
    """The search of settings."""
    words = "search each method's settings on validation rows first, by N trials; what '--set' gives is not searched"
    parser.add_argument("--tune", type=int, metavar="N", help=words)
    again = "the N best settings, and the published one, are trained again (default: %(default)s)"
    parser.add_argument("--tune-finalists", type=int, metavar="N", default=3, help=again)
    parser.add_argument("--tune-seeds", type=int, metavar="N", default=3, help="under N other seeds (%(default)s)")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Seeds, threads, and where results go."""
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="number of seeds: of the data, the weights, the training (%(default)s)")
    add("--first-seed", type=int, default=0)
    add("--threads", type=int, help="threads on the CPU (default: torch's choice)")
    add("--out", type=Path, help="append a JSON line per measured value, run by run")
    add("--runs", type=Path, help="folder of runs: what is there is not run again, what stopped goes on")
    add("--missing", action="store_true", help="train nothing: list the runs that '--runs' lacks, show the others")
    add("--wide", action="store_true", help="all metrics and costs in the table")


def use_methods(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    known: Sequence[Metadata],
    groups: Groups,
    kind: str | Sequence[str] = "",
    student: Callable[[Metadata], Mapping[str, Any]] = lambda _: {},
) -> None:
    """Put the names of methods in place of what was written, and what each is given into ``arguments.given``.

    kind: the teacher's, or several, the narrowest last: whose part of a settings file goes before, see
    ``settings/README.md``. student: method -> further settings, of its student. Asked epochs come before those of a
    file. ``arguments.fixed``: names of what each
    method is given on the command line. Ends with a message where a name is unknown.
    """
    check_runs(parser, arguments)
    if getattr(arguments, "tune", None) is not None and arguments.tune < 1:
        parser.error(f"'--tune' must be at least 1, got {arguments.tune}")
    rows, fixed = {row.name: row for row in known}, defaultdict[str, set[str]](set)
    names = [name for part in arguments.methods.split(",") for name in groups.get(part, [part])]
    arguments.methods = list(dict.fromkeys(names))
    try:
        for name in arguments.methods:
            _check("a method", name, [*rows, *groups], "--list shows all")
        chosen = {name: rows[name] for name in arguments.methods}
        more = {name: {**TRAINING, **student(row), **row.settings} for name, row in chosen.items()}
        found = _of_dataset(arguments, rows, chosen, more, kind)
        if getattr(arguments, "epochs", None) is not None:
            for values in found.values():
                values.pop("epochs", None)
        for text in arguments.set:
            name, setting, written = _asked(text, rows)
            if name not in chosen:
                parser.error(f"'--set {text}' is of no effect: {name!r} is not among '--methods'")
            _check(f"a setting of {name!r}", setting, more[name])
            found[name][setting] = _typed(text, written, more[name][setting])
            fixed[name].add(setting)
    except ValueError as error:
        parser.error(str(error))
    arguments.given, arguments.fixed = found, fixed


def _of_dataset(
    arguments: argparse.Namespace,
    rows: Mapping[str, Metadata],
    chosen: Mapping[str, Metadata],
    known: Mapping[str, Mapping[str, Any]],
    kind: str | Sequence[str],
) -> dict[str, dict[str, Any]]:
    """What the files of the data set, and those that were asked for, say of each method.

    ValueError where one that was asked for says nothing of any.
    """
    dataset = getattr(arguments, "dataset", "")
    asked = {name: _settings_file(name, dataset, rows) for name in getattr(arguments, "settings_files", ())}
    files = [SETTINGS / "all.toml", SETTINGS / f"{dataset}.toml", *asked.values()]
    for name, file in asked.items():
        if not any(_of_files(row, known[each], [file], kind) for each, row in chosen.items()):
            raise ValueError(f"'--settings {name}' is of no effect: {file.name} has nothing for {[*chosen]}, {kind!r}")
    return {name: _of_files(row, known[name], files, kind) for name, row in chosen.items()}


def add_data(parser: argparse.ArgumentParser, datasets: Iterable[str], default: str) -> None:
    """Dataset and split."""
    parser.add_argument("--dataset", choices=sorted(datasets), default=default, help="default: %(default)s")
    parser.add_argument("--split", help="a split of the dataset (default: its first; 'public' or 'cpf' for Cora)")


def parse_run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line of a benchmark whose methods are its own."""
    add_run_options(parser)
    arguments = parser.parse_args(argv)
    check_runs(parser, arguments)
    return arguments


def check_runs(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with a message where there is no seed to run, or no folder of runs where it is needed."""
    if arguments.seeds < 1:
        parser.error(f"'--seeds' must be at least 1, got {arguments.seeds}")
    check_missing(parser, arguments)


def check_missing(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with a message where missing runs are asked for, and no folder that could lack them is given."""
    if arguments.missing and arguments.runs is None:
        parser.error("'--missing' needs the folder of runs, '--runs', got none")


def seeds(arguments: argparse.Namespace) -> range:
    """The seeds that were asked for."""
    return range(arguments.first_seed, arguments.first_seed + arguments.seeds)


def split_settings(
    row: Metadata, given: Mapping[str, Any], *, with_student: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hyper-parameters of a method, and what is of its training; some have a hyper-parameter of such a name.

    with_student: the benchmark makes the student, so that ``dropout`` is not that of one which the method would make.
    """
    own = {name: value for name, value in given.items() if name in row.settings}
    if with_student:
        own.pop("dropout", None)
    return own, {name: value for name, value in given.items() if name not in own}


def settings_folders() -> list[str]:
    """The names that ``--settings`` knows: folders of settings which others published, or which a search found."""
    return sorted(path.name for path in SETTINGS.iterdir() if path.is_dir())


def _settings_file(name: str, dataset: str, methods: Iterable[str]) -> Path:
    """The file that ``--settings`` means; ValueError where there is none, or it is of a method that there is not.

    Of a folder that of the dataset, or of its name up to the first "-".
    """
    file = Path(name)
    if name in settings_folders():
        known = {path.stem: path for path in (SETTINGS / name).glob("*.toml")}
        if not (found := [known[each] for each in (dataset, dataset.partition("-")[0]) if each in known]):
            raise ValueError(
                f"'--settings {name}' has none for {dataset!r}, but for {sorted(known)}: --set gives others"
            )
        return found[0]
    if not file.is_file():
        raise ValueError(
            f"'--settings' must be a TOML file, or one of {settings_folders()}, got {name!r}: there is no such file"
        )
    try:
        tables = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"'--settings {name}' must be a TOML file: {error}") from error
    for method, table in tables.items():
        _check(f"a method in {file.name}", method, methods, "--list shows all")
        if not isinstance(table, dict):  # argparse takes ValueError alone
            raise ValueError(  # noqa: TRY004
                f"'--settings {name}' must have a table of settings for {method!r}, got {table!r}"
            )
    return file


def _of_files(
    row: Metadata, known: Mapping[str, Any], files: Iterable[Path], kind: str | Sequence[str]
) -> dict[str, Any]:
    """What settings files say of a method, the later and the narrower before others."""
    found: dict[str, Any] = {}
    for file in files:
        table = tomllib.loads(file.read_text()).get(row.name, {}) if file.exists() else {}
        narrow: dict[str, Any] = {}
        for each in [kind] if isinstance(kind, str) else kind:
            narrow |= table.get(each, {})
        for name, value in {**table, **narrow}.items():
            if not isinstance(value, dict):
                _check(f"a setting of {row.name!r} in {file.name}", name, known)
                found[name] = value
    return found


def _asked(text: str, rows: Iterable[str]) -> tuple[str, str, str]:
    """Method, setting and what is written of METHOD.NAME=VALUE."""
    left, equals, value = text.partition("=")
    name, dot, setting = left.rpartition(".")
    if not equals or not dot:
        raise ValueError(f"'--set' must be METHOD.NAME=VALUE, got {text!r}")
    _check("a method", name, rows, "--list shows all")
    return name, setting, value


def _typed(text: str, value: str, default: Any) -> Any:
    """A value of the default's type; of a default that says nothing, what it looks like."""
    truth = {"true": True, "false": False}
    if isinstance(default, bool):
        if value.lower() not in truth:
            raise ValueError(f"'--set {text}' must be true or false")
        return truth[value.lower()]
    if isinstance(default, str):
        return value
    if isinstance(default, (int, float)):
        try:
            return type(default)(value)
        except ValueError:
            raise ValueError(f"'--set {text}' must be of type {type(default).__name__}") from None
    try:
        return ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return truth.get(value.lower(), value)


def _check(what: str, name: str, known: Iterable[str], hint: str = "") -> None:
    """Raise ValueError that names the three nearest, unless a name is known."""
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.0)
        hint = f"; {hint}" if hint else ""
        raise ValueError(f"{name!r} is not {what}; the nearest are {', '.join(map(repr, near))}{hint}")


class _List(argparse.Action):
    """``--list``: print the table of methods and end."""

    def __init__(self, *args: Any, known: Sequence[Metadata], **options: Any) -> None:
        super().__init__(*args, nargs=0, **options)
        self.known = known

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        table = Table(*("method", "family", "paper", "needs"))
        for row in self.known:
            table.add_row(row.name, row.family, row.paper, ", ".join(row.needs))
        Console().print(table, markup=False)
        parser.exit()
