"""Files of a training: 'last.pt', from which it resumes bit for bit, and 'best.pt', which serves."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from graphkd.core import checkpoint as files
from graphkd.core.asked import Asked, Groups, set_groups
from graphkd.core.card import difference
from graphkd.core.folder import contents
from graphkd.core.hooks import has_state, hook_states, set_hook_states, warn_of_hooks
from graphkd.core.loaders import generator_states, set_generator_states
from graphkd.core.plain import plain
from graphkd.core.processes import from_first, gather_objects
from graphkd.core.progress import Progress
from graphkd.core.rng import rng_state, set_rng_state
from graphkd.core.wrappers import load_plain_state, plain_state

if TYPE_CHECKING:
    from graphkd.core.processes import Processes

Resume = bool | Literal["auto"]
LAST, BEST = "last.pt", "best.pt"
_HELD = ("trainable", "optimizer", "rng", "progress")


def check_resume(resume: Any, checkpoint: Any) -> None:
    """Raise ValueError for an invalid ``resume``, or for one without the folder that it needs."""
    if resume not in (True, False, "auto"):
        raise ValueError(f"'resume' must be True, False or 'auto', got {resume!r}")
    if resume and checkpoint is None:
        raise ValueError("'resume' needs the folder of the run: give 'checkpoint', got None")


def warn_of_no_run(folder: Path) -> None:
    """Warn that there is no run to resume, and say what the folder holds instead."""
    found = contents(folder)
    warnings.warn(
        f"'resume' found no run in {str(folder)!r}, which {f'holds {found[:5]}' if found else 'is new or empty'}: "
        "training begins at the first epoch; resume='auto' begins or goes on without a word",
        stacklevel=2,
    )


class Kept:
    """State of a training in a folder: all that changes during it, and the requested settings.

    given: the user's objects that may have a ``state_dict``, by name, "data" among them. groups: settings of the
    optimiser's groups before any scheduler. asked: the requested settings, see ``asked_of``.
    """

    def __init__(
        self,
        folder: Path,
        fabric: Processes,
        trainable: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        given: Mapping[str, Any],
        groups: Groups,
        asked: Asked,
    ) -> None:
        self.path, self.fabric, self.trainable, self.data = folder / LAST, fabric, trainable, given["data"]
        self.stateful = {name: each for name, each in given.items() if has_state(each)}
        self.optimizer, self.scheduler, self.groups, self.asked = optimizer, scheduler, groups, plain(asked)
        self.differing: list[str] = []  # settings that differ from those of the saved run
        self._saved: int | None = None  # the epoch of the last save
        warn_of_hooks(optimizer)

    # ------------------------------------------------------------------ writing
    def begin(self, progress: Progress, best: Mapping[str, Any]) -> None:
        """Write the run's initial state, replacing any other run; a state that cannot be saved raises now."""
        lazy = any(nn.parameter.is_lazy(parameter) for parameter in self.trainable.parameters())
        from_first(self.fabric, lambda: self._replace(wholly=lazy))
        if not lazy:
            self.save(progress, best)

    def _replace(self, *, wholly: bool) -> None:
        """Remove an earlier run's files; its best weights stay under another name."""
        best, older = self.path.with_name(BEST), files.older_of(self.path)
        if self.path.is_file() or older.is_file():
            warnings.warn(
                f"'checkpoint' {str(self.path.parent)!r} holds a run, in whose place this one begins: give resume=True "
                "to go on with it, or another folder to keep it",
                stacklevel=2,
            )
        older.unlink(missing_ok=True)
        if wholly:
            self.path.unlink(missing_ok=True)
        if best.is_file():
            best.replace(files.older_of(best))

    def save(self, progress: Progress, best: Mapping[str, Any]) -> None:
        """Write last.pt and best.pt, unless they hold this epoch already."""
        if self._saved == progress.epoch:
            return
        rng, *others = gather_objects(rng_state())

        def write() -> None:
            state = {"trainable": plain_state(self.trainable), "optimizer": self.optimizer.state_dict(), "rng": rng}
            state |= {"other_rngs": others, "progress": asdict(progress), "asked": self.asked}
            state |= {"generators": generator_states(self.data), "hooks": hook_states(self.optimizer)}
            if self.scheduler is not None:
                state["scheduler"] = self.scheduler.state_dict()
            state |= {name: each.state_dict() for name, each in self.stateful.items()}
            if progress.epoch == 0:
                files.save(state, self.path)
            else:
                files.save_next(state, self.path)
                files.save(best, self.path.with_name(BEST))

        from_first(self.fabric, write)
        self._saved = progress.epoch

    # ------------------------------------------------------------------ going on
    def load(self, progress: Progress, resume: Resume) -> Progress | None:
        """Load the state that ``save`` wrote; return its progress, or None where there is nothing."""
        found = from_first(self.fabric, lambda: files.load_newest(self.path))
        if found is None:
            if resume != "auto" and self.fabric.is_global_zero:
                warn_of_no_run(self.path.parent)
            return None
        state, path = found
        known = self._progress(state, path)
        if known.seed != progress.seed:
            raise ValueError(f"'seed' must be {known.seed}, that of the run in {str(path)!r}, got {progress.seed}")
        asked = state.get("asked", self.asked)
        self._check(state, asked, path)
        load_plain_state(self.trainable, state["trainable"])
        self._load_optimizer(state, asked, known.epoch)
        for name in self.stateful.keys() & state.keys():
            self.stateful[name].load_state_dict(state[name])
        set_generator_states(self.data, state.get("generators", ()))
        rngs = [state["rng"], *state.get("other_rngs", ())]
        if self.fabric.global_rank < len(rngs):
            set_rng_state(rngs[self.fabric.global_rank])
        self._saved = known.epoch if asked == self.asked else None
        self._say(asked, path)
        return known

    @staticmethod
    def _progress(state: Any, path: Path) -> Progress:
        """Read a run's progress from a saved state; ValueError where the state is not a run's."""
        try:
            if all(name in state for name in _HELD):
                return Progress(**state["progress"])
        except TypeError:
            pass
        what = f"a dict of {list(state)[:5]}" if isinstance(state, dict) else f"a {type(state).__name__}"
        raise ValueError(
            f"{str(path)!r} must be what 'fit' keeps of a run, with {list(_HELD)}, but holds {what}: give another "
            "folder as 'checkpoint'"
        )

    def _check(self, state: Mapping[str, Any], asked: Asked, path: Path) -> None:
        """Raise ValueError where a file holds another model or kind of optimiser, before anything is changed."""
        kinds = ({name: each.get(name) for name in ("trainable", "optimizer")} for each in (asked, self.asked))
        wrong = difference(*kinds)
        sizes = [[len(group["params"]) for group in groups] for groups in _both(state["optimizer"], self.optimizer)]
        if not wrong and sizes[0] != sizes[1]:
            wrong = [f"the optimiser had groups of {sizes[0]} parameters, has {sizes[1]}"]
        wrong += _misfits(self.trainable, state["trainable"])
        if wrong:
            more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise ValueError(
                f"{str(path)!r} holds a run of something else: {'; '.join(wrong[:5])}{more}. Ask for what was saved, "
                "or give another folder as 'checkpoint'"
            )

    def _load_optimizer(self, state: Mapping[str, Any], asked: Asked, epochs: int) -> None:
        """Load the saved optimiser and schedule, except for settings whose requested values have changed."""
        begun = [{name: value for name, value in group.items() if name != "params"} for group in self._groups()]
        self.optimizer.load_state_dict(state["optimizer"])
        names = {name for name in (*asked, *self.asked) if name.startswith(("scheduler", "optimizer."))}
        changed = any(asked.get(name) != self.asked.get(name) for name in names)
        if not changed and self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        elif changed and (self.scheduler is not None or asked.get("scheduler") is not None):
            for group, settings in zip(self._groups(), begun, strict=True):
                group.update(settings)
            self._replay(epochs)
        elif changed:
            set_groups(self.optimizer, self.groups, asked)
        set_hook_states(self.optimizer, state.get("hooks", ()))

    def _replay(self, epochs: int) -> None:
        """Advance the requested schedule to the run's epoch."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            for _ in range(epochs if self.scheduler is not None else 0):
                self.scheduler.step()

    def _groups(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self.optimizer.param_groups
        return groups

    def _say(self, asked: Asked, path: Path) -> None:
        """Warn of every setting that differs from the saved run's."""
        self.differing = difference(asked, self.asked)
        if self.differing and self.fabric.is_global_zero:
            warnings.warn(
                f"the run in {str(path)!r} goes on otherwise than it began: {'; '.join(self.differing)}. What is asked "
                "for now holds from here on",
                stacklevel=2,
            )


def _both(saved: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> tuple[list[Any], list[Any]]:
    return saved["param_groups"], optimizer.param_groups


def _misfits(trainable: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """List where a state has other names or shapes than a trainable; none if the trainable loads it nevertheless."""
    now = plain_state(trainable)
    lazy = {name for name, value in now.items() if nn.parameter.is_lazy(value)}
    shapes = (
        {n: list(v.shape) for n, v in each.items() if isinstance(v, Tensor) and n not in lazy} for each in (state, now)
    )
    wrong = [f"the shape of {words}" for words in difference(*shapes)]
    try:
        if wrong:
            load_plain_state(copy.deepcopy(trainable), state)
    except Exception:
        return wrong
    return []
