"""A model at successive stages of its training: the easy-to-hard teachers of HetComp."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from graphkd.core import checkpoint as files
from graphkd.core.fit import fit


def trajectory(
    task: nn.Module,
    data: Any,
    at: Iterable[int],
    *,
    checkpoint: str | Path | None = None,
    log: Callable[[dict[str, float]], None] | None = None,
    **options: Any,
) -> list[nn.Module]:
    """Train as ``fit`` does; copies of the student after the epochs ``at``, from 1, and the student itself as the last.

    Epochs later than the one that ``fit`` chooses are left out: they are no stage on the way to it. task, data,
    options: those of ``fit``. checkpoint: a folder that keeps the stages too, ``stage-8.pt`` being the state after
    epoch 8; a temporary one by default. ValueError where a resumed run went past a stage without keeping it.
    """
    wanted = sorted(set(at))
    with ExitStack() as stack:
        folder = Path(checkpoint or stack.enter_context(TemporaryDirectory()))
        student: nn.Module = getattr(task, "student", task)

        def keep(report: dict[str, float]) -> None:
            if report["epoch"] in wanted:
                files.save(student.state_dict(), _file(folder, int(report["epoch"])))
            if log is not None:
                log(report)

        student = fit(task, data, checkpoint=folder, log=keep, **options)
        progress = files.load(folder / "last.pt")["progress"]
        chosen = progress["best_epoch"] if progress["best_state"] else progress["epoch"]
        return [*(_stage(student, folder, epoch) for epoch in wanted if epoch < chosen), student]


def _file(folder: Path, epoch: int) -> Path:
    return folder / f"stage-{epoch}.pt"


def _stage(student: nn.Module, folder: Path, epoch: int) -> nn.Module:
    if not _file(folder, epoch).is_file():
        raise ValueError(
            f"'checkpoint' must be a new folder or one of this trajectory, but the run in {str(folder)!r} went past "
            f"epoch {epoch} and did not keep it"
        )
    stage = copy.deepcopy(student)
    stage.load_state_dict(files.load(_file(folder, epoch)))
    return stage
