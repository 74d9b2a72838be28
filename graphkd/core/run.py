"""Runner of methods: trains their stages, saves them in a folder, and resumes interrupted runs."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core import checkpoint as files
from graphkd.core.adam import adam
from graphkd.core.card import described, difference
from graphkd.core.clients import Clients
from graphkd.core.fit import fit
from graphkd.core.folder import contents, empty, hold, size_of
from graphkd.core.hooks import has_state
from graphkd.core.loss import Loss
from graphkd.core.method import Method
from graphkd.core.plain import plain
from graphkd.core.problem import Problem
from graphkd.core.processes import default_fabric, from_first
from graphkd.core.resume import BEST, LAST, Resume, warn_of_no_run
from graphkd.core.rng import rng_state, seeded, set_rng_state
from graphkd.core.wrappers import load_plain_state, plain_state

EPOCHS, LR, WEIGHT_DECAY = 200, 0.01, 5e-4  # where neither the user nor the paper gives others
_START, _STAGE, _DONE, _ROUNDS = "start.pt", "stage.pt", "done.pt", "rounds.pt"
_OPTIONS = ("epochs", "optimizer", "scheduler", "clip", "patience", "metric_every")  # that identify a stage


class Reports:
    """Log for ``fit`` that saves a stage's reports with its state, and passes them on with the stage's name."""

    def __init__(self, stage: str, log: Callable[[dict[str, Any]], None] | None) -> None:
        self.stage, self.log = stage, log
        self.heard: list[dict[str, Any]] = []

    def __call__(self, report: dict[str, float]) -> None:
        """Record the report of an epoch."""
        self.heard.append({"stage": self.stage, **report})
        if self.log is not None:
            self.log(self.heard[-1])

    def state_dict(self) -> dict[str, Any]:
        """Return the recorded reports."""
        return {"heard": list(self.heard)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the recorded reports."""
        self.heard = list(state["heard"])


class Run:
    """One run of a method; ``__call__`` returns the model that serves.

    asked: the user's options of ``fit``, which take precedence over those of stages and of the method. folder: of the
    run, with one sub-folder per stage. log: called with the report of every epoch, which has the name of its stage.
    """

    def __init__(
        self,
        method: Method,
        problem: Problem,
        asked: Mapping[str, Any],
        *,
        folder: Path | None = None,
        resume: Resume = False,
        log: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.method, self.problem, self.folder, self.resume, self.log = method, problem, folder, resume, log
        self.asked = dict(asked)
        self.fabric = self.asked.pop("fabric", None) or default_fabric(problem.device)
        self.fabric.launch()
        self.names: list[str] = []  # of stages and of values made once, in order
        self.history: list[dict[str, Any]] = []  # reports of all epochs
        problem.run = self

    def __call__(self, settings: Mapping[str, Any], card: Mapping[str, Any]) -> nn.Module:
        """Run the method; a resumed run must have the same ``card`` as the saved one."""
        with ExitStack() as stack:
            if self.folder is not None:
                hold(self.folder, 3 * sum(map(size_of, self._parts(settings).values())), self.fabric, stack)
                self._begin(self.folder, settings, card)
            stack.enter_context(seeded(self.problem.seed))
            found = self.method.function(self.problem, **settings)
            if isinstance(found, Loss):
                found = self.problem.train(self.problem.distiller(self.problem.student, self.problem.teacher, found))
        if not isinstance(found, nn.Module):
            raise TypeError(f"{self.method.name!r} must return a Loss or a trained module, got {type(found).__name__}")
        return found.eval()

    # ------------------------------------------------------------------ the start
    def _begin(self, folder: Path, settings: Mapping[str, Any], card: Mapping[str, Any]) -> None:
        """Save the run's initial weights, or load those that were saved."""
        path, parts = folder / _START, self._parts(settings)
        inside = self._shared(lambda: contents(folder))
        if inside and _START not in inside:
            raise ValueError(
                f"'checkpoint' must be an empty folder or that of a run, {str(folder)!r} holds {inside[:3]}: give "
                "another folder"
            )
        if inside and self.resume:
            self._go_on(self._shared(lambda: files.load(path)), folder, parts, card)
            return
        if self.resume is True and self._is_first():
            warn_of_no_run(folder)
        if inside:
            self._shared(lambda: empty(folder))
        self._write({"card": dict(card), "parts": {name: plain_state(part) for name, part in parts.items()}}, path)

    def _go_on(self, known: Any, folder: Path, parts: Mapping[str, nn.Module], card: Mapping[str, Any]) -> None:
        """Load the initial weights of the run in the folder; ValueError where it is another run."""
        if not isinstance(known, dict) or set(known) != {"card", "parts"}:
            raise ValueError(f"{str(folder / _START)!r} must be what a run starts from, but is another file")
        wrong = difference(known["card"], card)
        if wrong:
            raise ValueError(
                f"'checkpoint' {str(folder)!r} holds another run: {'; '.join(wrong)}. Ask for what it was, or give "
                "another folder"
            )
        for name, part in parts.items():
            load_plain_state(part, known["parts"][name])

    def _parts(self, settings: Mapping[str, Any]) -> dict[str, nn.Module]:
        """Collect all modules that the run may train: the student, its first state, and those among the settings."""
        found = {"student": self.problem.student, "start": self.problem.start}
        if isinstance(self.problem.data, Clients):
            found |= {f"client {place}": each for place, each in enumerate(self.problem.data.students or ())}
        for name, value in settings.items():
            several = value if isinstance(value, (list, tuple)) else [value]
            found |= {f"{name}.{place}": each for place, each in enumerate(several)}
        return {name: each for name, each in found.items() if isinstance(each, nn.Module)}

    # ------------------------------------------------------------------ stages
    def train(
        self,
        trainable: nn.Module,
        name: str,
        data: Any,
        *,
        serve: Callable[[Any], nn.Module] | None,
        choose: bool,
        seed: int | None,
        published: Mapping[str, Any],
    ) -> nn.Module:
        """Train a stage, see ``Problem.train``."""
        folder = self._folder(name)
        data = self.problem.batches() if data is None else data
        options = self._options(published, serve, choose)
        options["seed"] = self.problem.seed if seed is None else seed
        student: nn.Module = getattr(trainable, "student", trainable)
        shapes = {key: list(v.shape) for key, v in plain_state(trainable).items() if isinstance(v, Tensor)}
        about = {"trainable": type(trainable).__name__, "shapes": shapes, "seed": options["seed"]}
        about["options"] = {key: described(options[key]) for key in _OPTIONS if key in options}
        with torch.enable_grad():
            done = self._finished(folder, plain(about))
            if done is None:
                self._fit(folder, name, trainable, data, options)
            else:
                load_plain_state(trainable, done["trainable"])
                if "data" in done:
                    data.load_state_dict(done["data"])
                self.history += done["history"]
        served = (student if serve is None else serve(student)).eval()
        if done is not None:
            load_plain_state(served, done["served"])
        elif folder is not None:
            self._finish(folder, trainable, served, data)
        return served

    def _fit(self, folder: Path | None, name: str, trainable: nn.Module, data: Any, options: dict[str, Any]) -> None:
        """Train, from the epoch at which the stage was interrupted."""
        reports = self._reports = Reports(name, self.log)
        going_on: Resume = "auto" if folder is not None and self.resume else False
        fit(trainable, data, fabric=self.fabric, checkpoint=folder, resume=going_on, log=reports, title=name, **options)
        self.history += reports.heard

    def _finish(self, folder: Path, trainable: nn.Module, served: nn.Module, data: Any) -> None:
        """Save the result of a stage, and remove the checkpoints from which it would have resumed."""
        state = {"trainable": plain_state(trainable), "served": plain_state(served), "history": self._reports.heard}
        if has_state(data):
            state["data"] = data.state_dict()
        self._write(state, folder / _DONE)
        if self._is_first():
            for left in (LAST, files.older_of(Path(LAST)), BEST):
                (folder / left).unlink(missing_ok=True)

    def _finished(self, folder: Path | None, about: Mapping[str, Any]) -> Any:
        """Load the result of a finished stage of this run, or None; ValueError where it began as another stage."""
        if folder is None:
            return None
        known = self._shared(lambda: files.load(folder / _STAGE) if (folder / _STAGE).is_file() else None)
        if known is None or not self.resume:
            self._write(dict(about), folder / _STAGE)
            return None
        known, now = dict(known), dict(about)
        others = difference(known.pop("options", {}), now.pop("options"))
        wrong = difference(known, now)
        if wrong:
            raise ValueError(f"the stage at {str(folder)!r} began otherwise: {'; '.join(wrong)}")
        done = self._shared(lambda: files.load(folder / _DONE) if (folder / _DONE).is_file() else None)
        if done is not None and others and self._is_first():
            warnings.warn(
                f"the stage at {str(folder)!r} is finished and taken as it is, although {'; '.join(others)}: remove "
                "that folder to train it anew",
                stacklevel=2,
            )
        return done

    def _folder(self, name: str) -> Path | None:
        """Return the folder of the next stage; ValueError for a name that was used before."""
        self._name(name)
        return None if self.folder is None else self.folder / f"{len(self.names)}-{name}"

    def _name(self, name: str) -> None:
        if name in self.names:
            raise ValueError(f"two stages, or things made once, of {self.method.name!r} are named {name!r}")
        self.names.append(name)

    def _options(
        self, published: Mapping[str, Any], serve: Callable[[Any], nn.Module] | None, choose: bool
    ) -> dict[str, Any]:
        """Merge options of ``fit``: asked beats stage, stage beats method, method beats the defaults."""
        usual = {"epochs": EPOCHS, "lr": LR, "weight_decay": WEIGHT_DECAY, **self.problem.training}
        found = {**usual, **self.method.published, **published}
        optimizer = adam(self.fabric, lr=found.pop("lr"), weight_decay=found.pop("weight_decay"))
        found = {"optimizer": optimizer, **found, **self.asked}
        optimizer_of = found.pop("optimizer_of", None)
        if optimizer_of is not None:
            found["optimizer"] = optimizer_of(found["optimizer"])
        problem, task = self.problem, self.problem.task
        with seeded(problem.seed):  # reading a loader draws random numbers
            choose = choose and task.has("val", problem.data)
        if choose:
            first = self.problem.call_of
            found.setdefault("metric", lambda model: task.progress(model, problem.data, first(model)))
            found["serve"] = serve
        else:
            found.pop("patience", None)
            found.pop("metric_every", None)
        return found

    # ------------------------------------------------------------------ once, and rounds
    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Make something once a run, see ``Problem.once``."""
        self._name(name)
        path = None if self.folder is None else self.folder / "once" / f"{name}.pt"
        if path is not None and self.resume and self._shared(path.is_file):
            return self._shared(lambda: files.load(path))
        with seeded(self.problem.seed):
            value = self._shared(make)
        value = plain({name: value})[name]
        if path is not None:
            self._write(value, path)
        return value

    def rounds(self, count: int, states: Sequence[Any]) -> Iterator[int]:
        """Count rounds, see ``Problem.rounds``."""
        folder, first = self.folder, 0
        path = None if folder is None else folder / _ROUNDS
        found = self._shared(lambda: files.load_newest(path)) if path is not None and self.resume else None
        if found is not None:
            known, _ = found
            first, self.names, self.history = known["next"], list(known["names"]), list(known["history"])
            for state, value in zip(states, known["states"], strict=True):
                state.load_state_dict(value)
            set_rng_state(known["rng"])
        for number in range(first, count):
            yield number
            if path is not None and folder is not None:
                known = {"next": number + 1, "names": self.names, "history": self.history, "rng": rng_state()}
                known["states"] = [state.state_dict() for state in states]
                self._write(known, path, files.save_next)
                for done in folder.glob(f"*/{_DONE}") if self._is_first() else ():
                    shutil.rmtree(done.parent)

    # ------------------------------------------------------------------ processes
    def _is_first(self) -> bool:
        return bool(self.fabric.is_global_zero)

    def _shared(self, make: Callable[[], Any]) -> Any:
        return from_first(self.fabric, make)

    def _write(self, state: Any, path: Path, write: Callable[[Any, Path], None] | None = None) -> None:
        self._shared(lambda: (write or files.save)(state, path))
