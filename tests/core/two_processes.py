"""What the tests of several processes run in two: ``torchrun --nproc_per_node 2 -m tests.core.two_processes FOLDER``.

Every process writes what it found to ``FOLDER/RANK.pt``. The same functions run in one process in the tests.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch_geometric.loader import RandomNodeLoader

from graphkd import Distiller, distil, fit, save
from graphkd.core.batches import changed
from graphkd.core.processes import gather_rows
from graphkd.losses import CE, GCRD, GSP, KL
from tests.core.models import CLASSES, FEATURES, graph

WIDTH, TEACHER = 8, 5
LOSSES = {
    "gcrd": lambda: GCRD(WIDTH, TEACHER, 4, 0.3).gathered(),
    "gcrd_masked": lambda: GCRD(WIDTH, TEACHER, 4, 0.3, where="train_mask").gathered(),
    "gsp": lambda: GSP().gathered(),
    "gsp_rbf": lambda: GSP("rbf").gathered(),
    "kl": lambda: KL(2.0).gathered(),
    "sum": lambda: (0.9 * KL() + 0.1 * GCRD(WIDTH, TEACHER, 4, 0.3) + CE(where="train_mask")).gathered(),
}
TAPS = {"hidden": ("0", "0")}
ROWS = (18, 12)  # of the two processes


def student(seed: int = 1, dropout: float = 0.0, *, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    middle = nn.BatchNorm1d(WIDTH) if norm else nn.Identity()
    layers = nn.Linear(FEATURES, WIDTH), middle, nn.Tanh(), nn.Dropout(dropout), nn.Linear(WIDTH, CLASSES)
    return nn.Sequential(*layers).double()


def teacher() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(FEATURES, TEACHER), nn.Tanh(), nn.Linear(TEACHER, CLASSES)).double()


def batch(rows: Tensor) -> dict[str, Tensor]:
    """These rows of the graph, without its edges, in float64."""
    data = graph()
    return {"input": data.x[rows].double(), "y": data.y[rows], "train_mask": data.train_mask[rows], "n_id": rows}


def task(name: str, seed: int = 1) -> Distiller:
    loss = LOSSES[name]()
    for part in loss.parts():
        part[1].double()
    return Distiller(student(seed), teacher(), loss, taps=TAPS)


def gradients(module: nn.Module) -> dict[str, Tensor]:
    found = {name.removeprefix("module."): p.grad for name, p in module.named_parameters()}
    return {name: grad for name, grad in found.items() if grad is not None}


def loss_and_gradients(name: str, rows: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Of one batch; in several processes, as DDP leaves them."""
    torch.manual_seed(0)
    module: nn.Module = task(name)
    if dist.is_initialized():
        module = DistributedDataParallel(module, find_unused_parameters=True)
    loss = module(batch(rows)).loss
    loss.backward()
    return loss.detach(), gradients(module)


def fitted(name: str, batches: list[Tensor], fabric: Fabric) -> dict[str, Any]:
    """Weights after four epochs, and what was logged. Every process starts from weights of its own."""
    logged: list[dict[str, float]] = []
    module, data = task(name, seed=1 + fabric.global_rank), [batch(rows) for rows in batches]
    found = fit(module, data, epochs=4, fabric=fabric, log=logged.append)
    return {"weights": found.state_dict(), "logged": logged}


def gathered(rank: int) -> dict[str, Tensor]:
    """Rows (3 and 5 of them) of both processes, and their gradients; a process without any."""
    rows = torch.arange(1.0, 4.0 if rank == 0 else 6.0)[:, None].requires_grad_()
    whole = gather_rows(rows)
    (whole * torch.arange(1.0, 9.0)[:, None] * (rank + 1)).sum().backward()
    assert rows.grad is not None
    few = gather_rows(torch.arange(2 if rank else 0, dtype=torch.int64))
    mask = gather_rows(torch.tensor([True, False])[: 1 + rank])
    halves = gather_rows(torch.full((1, 2), float(rank), dtype=torch.bfloat16))
    return {"whole": whole.detach(), "grad": rows.grad, "few": few, "mask": mask, "halves": halves}


class Seen(Distiller):
    """Notes which nodes every batch had."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.nodes: list[Tensor] = []

    def forward(self, batch: Any) -> Any:
        self.nodes.append(batch["n_id"])
        return super().forward(batch)


def from_a_loader(fabric: Fabric, epochs: int, folder: Path | None = None, **options: Any) -> dict[str, Any]:
    """Shuffled, with dropout and batch norm: all that draws and all that processes do not share by themselves."""
    data = graph()
    data.x, data.n_id = data.x.double(), torch.arange(30)
    logged: list[dict[str, float]] = []
    module = Seen(student(dropout=0.5, norm=True), teacher(), KL(), call=lambda model, batch: model(batch.x))
    found = fit(
        module,
        RandomNodeLoader(data, 3, shuffle=True),
        epochs=epochs,
        fabric=fabric,
        log=logged.append,
        metric=lambda model: float(model[1].running_mean.sum()) + fabric.global_rank,
        checkpoint=folder,
        save_every=1,
        **options,
    )
    return {"nodes": module.nodes, "weights": found.state_dict(), "logged": logged}


def distilled(rank: int, folder: Path) -> dict[str, Any]:
    """A run of two stages and of something made once, then the same again from its folder."""
    made: list[int] = []

    def method(problem: Any) -> nn.Module:
        chosen = problem.once("chosen", lambda: made.append(rank) or torch.tensor([rank, 7]))
        weight = float(chosen[1]) / 7
        first = problem.train(problem.distiller(problem.student, None, weight * problem.supervised()), "labels")
        return problem.train(problem.distiller(problem.twin(first), problem.teacher, problem.soft(2.0)), "soft")

    def run(**options: Any) -> Any:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(FEATURES, 8), nn.Dropout(0.5), nn.Linear(8, CLASSES))
        call = lambda model, batch: model(batch["x"])  # noqa: E731
        parts = [changed(graph(), n_id=torch.arange(30)) for _ in range(2)]
        options |= {"checkpoint": folder, "call": call, "epochs": 3, "progress": False}
        return distil(method, model, model, parts, **options)

    one, other = run(), run(resume=True)
    return {"weights": one.model.state_dict(), "again": other.model.state_dict(), "made": len(made)}


def not_finite(rank: int, fabric: Fabric) -> str:
    """A loss that one process alone sees diverge."""
    bad = batch(torch.arange(6) + 6 * rank)
    bad["input"] = bad["input"] * (float("inf") if rank else 1.0)
    try:
        fit(Distiller(student(), losses=CE(where="all")), [bad, bad], epochs=1, fabric=fabric)
    except ValueError as error:
        return str(error)
    return ""


def in_the_way(folder: Path, fabric: Fabric) -> str:
    """A folder that the first process alone tries to make."""
    place = folder / "file"
    place.touch()
    try:
        fit(
            Distiller(student(), losses=CE(where="all")),
            [batch(torch.arange(6))],
            epochs=1,
            fabric=fabric,
            checkpoint=place,
        )
    except OSError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=2, precision="64-true")
    fabric.launch()
    rank = fabric.global_rank
    own = torch.arange(30).split(list(ROWS))[rank]
    none_here = torch.tensor([0, 3, 6]) if rank else torch.tensor([1, 2, 4, 5])  # process 0 has no labelled row
    five = list(torch.arange(30).split(6))
    four = list(torch.arange(24).split(6))
    run = partial(from_a_loader, fabric, folder=folder / f"of_{rank}")
    found = {
        "gathered": gathered(rank),
        "gradients": {name: loss_and_gradients(name, own) for name in LOSSES},
        "masked": {name: loss_and_gradients(name, none_here) for name in ("gcrd_masked", "sum")},
        "fitted": {name: fitted(name, four, fabric) for name in ("sum", "kl")},
        "filled_up": fitted("kl", five, fabric),
        "whole": run(epochs=4),
        "not_finite": not_finite(rank, fabric),
        "in_the_way": in_the_way(folder, fabric),
    }
    found["distilled"] = distilled(rank, folder / "run")
    shared = partial(from_a_loader, fabric, folder=folder / "shared")
    shared(epochs=2)
    found["resumed"] = shared(epochs=4, resume=True)
    save(found, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
