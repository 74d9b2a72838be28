"""Optuna study of a search: in memory, or in a text file of a folder, from which a killed search resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from graphkd.core.card import difference
from graphkd.core.folder import held

_JOURNAL = "trials.journal"


@contextmanager
def study_of(folder: Path | None, about: Mapping[str, Any]) -> Iterator[Any]:
    """Open the study, in memory or in a folder, which is claimed for this search meanwhile.

    about: a description of the search in plain values. Raises ImportError without optuna, ValueError where the folder
    holds another search.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("to tune, install optuna: pip install 'graphkd[tune]'") from error

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with nullcontext() if folder is None else held(folder):
            study = optuna.create_study(
                direction="maximize", study_name="tune", storage=_storage(folder), load_if_exists=True
            )
            _check(study, folder, json.loads(json.dumps(about, default=str)))
            yield study
    finally:
        optuna.logging.set_verbosity(level)


def _check(study: Any, folder: Path | None, now: Mapping[str, Any]) -> None:
    """Record what is searched; ValueError where the study is of another search."""
    known = study.user_attrs.get("about")
    if known is None:
        study.set_user_attr("about", now)
        return
    wrong = difference(known, now)
    if wrong:
        raise ValueError(
            f"'checkpoint' {str(folder)!r} holds another search: {'; '.join(wrong)}. Ask for what it was, or give "
            "another folder"
        )


def _storage(folder: Path | None) -> Any:
    """Return the folder's journal; None, for memory, without a folder."""
    if folder is None:
        return None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    journal = folder / _JOURNAL
    _mend(journal)
    return JournalStorage(JournalFileBackend(str(journal)))


def _mend(journal: Path) -> None:
    """Remove the lock of a killed process and the last line if it is incomplete; the folder is ours alone."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.exists():
        written = journal.read_bytes()
        whole = written.rfind(b"\n") + 1
        if whole < len(written):
            with journal.open("r+b") as file:
                file.truncate(whole)
