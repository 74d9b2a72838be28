"""Result of a search for settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphkd.core.files import replacing
from graphkd.core.space import Setting


@dataclass(frozen=True)
class Tuned:
    """Result of a search for settings.

    method: its name. setting: the best one; ``setting.student`` are the arguments of the student's function. score: its
    mean on validation rows over ``seeds`` trainings of ``epochs``, by the task's first metric; published: the mean of
    the first setting, the published one unless ``start`` changed it. trials: one row per trial, with its state
    ("complete", "pruned" where others did better, "fail") and, of a failed one, the error. seconds: of all trainings.
    given: further arguments of ``distil``; kept: those among them that are settings of the method, epochs or patience.
    """

    method: str
    setting: Setting
    score: float
    published: float
    seeds: int
    epochs: int
    trials: Sequence[Mapping[str, Any]]
    seconds: float
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def options(self) -> dict[str, Any]:
        """Return all arguments to train with the setting: ``distil(name, student, teacher, data, **tuned.options)``."""
        return {**self.given, **self.setting.options}

    @property
    def values(self) -> dict[str, Any]:
        """Return the setting in plain values by name, with the given settings that were not searched."""
        return {**{name: value for name, value in self.kept.items() if _is_plain(value)}, **self.setting.values}

    def toml(self) -> str:
        """Write the setting as a table of a settings file, with scores, trials and time in a comment.

        Example::

            Path("cora.toml").write_text(tuned.toml())
        """
        known = (
            f"# validation {self.score:.4f}, of the first setting {self.published:.4f}, means of {self.seeds} "
            f"seeds; {len(self.trials)} trials, {self.seconds:.0f} s"
        )
        values = (f"{name} = {_written(value)}" for name, value in self.values.items() if value is not None)
        return "\n".join([known, f"[{self.method}]", *values]) + "\n"

    def save(self, path: str | Path) -> None:
        """Write ``toml()`` to a file, atomically."""
        with replacing(Path(path)) as file:
            file.write(self.toml().encode())


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str))


def _written(value: Any) -> str:
    """Write a value in TOML, floats with all their digits."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_written, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, str)) else repr(value)
