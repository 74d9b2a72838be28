"""Small runs of every kind that can be resumed: a folder and a log -> what identifies the result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch_geometric.loader import RandomNodeLoader

import graphkd
import recsys
from graphkd import EMA, Cached, Distiller, Snapshot, fit
from graphkd.losses import CE, CRD, KL, RKD
from graphkd.tasks import accuracy
from tests.core.models import graph
from tests.methods import recommenders, scene

Tell = Callable[[dict[str, Any]], None]
Scenario = Callable[[Path, Tell], str]
EPOCHS = 40
SCENARIOS: dict[str, Scenario] = {}

HARD = CE(where="train_mask")


def digest(state: dict[str, Any], *others: Any) -> str:
    """The sha256 of a state and of what else there is."""
    hasher = hashlib.sha256(repr(others).encode())
    for name in sorted(state):
        value = state[name]
        hasher.update(
            f"{name} {tuple(value.shape)}".encode() if isinstance(value, Tensor) else f"{name} {value}".encode()
        )
        if isinstance(value, Tensor):
            hasher.update(value.detach().contiguous().numpy().tobytes())
    return hasher.hexdigest()


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


# ---------------------------------------------------------------- one training
def gcn(seed: int, dropout: float = 0.5, norm: str | None = None) -> nn.Module:
    torch.manual_seed(seed)
    return scene.GCN(6, 8, 2, 3, dropout=dropout, norm=norm)


def trained(task: nn.Module, data: Any, folder: Path, tell: Tell, **options: Any) -> str:
    options = {"epochs": EPOCHS, "save_every": 3, "progress": False, **options}
    model = fit(task, data, checkpoint=folder, resume="auto", log=tell, **options)
    return digest(model.state_dict())


@scenario
def one_training(folder: Path, tell: Tell) -> str:
    return trained(Distiller(gcn(1), gcn(2), HARD + KL(2.0)), graph(), folder, tell)


@scenario
def every_epoch_saved(folder: Path, tell: Tell) -> str:
    return trained(Distiller(gcn(1), gcn(2), HARD + KL(2.0)), graph(), folder, tell, save_every=1)


@scenario
def scheduler(folder: Path, tell: Tell) -> str:
    schedule = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=EPOCHS)
    return trained(Distiller(gcn(1), losses=HARD), graph(), folder, tell, scheduler=schedule)


@scenario
def two_schedulers(folder: Path, tell: Tell) -> str:
    kinds = torch.optim.lr_scheduler

    def schedule(optimizer: Any) -> Any:
        return kinds.SequentialLR(optimizer, [kinds.LinearLR(optimizer), kinds.StepLR(optimizer, 5)], milestones=[10])

    return trained(Distiller(gcn(1), losses=HARD), graph(), folder, tell, scheduler=schedule)


@scenario
def schedule_in_a_hook(folder: Path, tell: Tell) -> str:
    def optimizer(parameters: Any) -> Any:
        made = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
        schedule = torch.optim.lr_scheduler.StepLR(made, 7)
        made.register_step_post_hook(lambda *_: schedule.step())
        return made

    return trained(Distiller(gcn(1), losses=HARD), graph(), folder, tell, optimizer=optimizer)


@scenario
def clip_metric_and_patience(folder: Path, tell: Tell) -> str:
    data = graph()
    metric = partial(accuracy, data=data, mask="val_mask")
    task = Distiller(gcn(1), gcn(2), HARD + KL(2.0))
    return trained(task, data, folder, tell, clip=0.5, metric=metric, metric_every=2, patience=15)


@scenario
def batch_norm_and_dropout(folder: Path, tell: Tell) -> str:
    task = Distiller(gcn(1, norm="batch_norm"), losses=HARD)
    return trained(task, RandomNodeLoader(graph(), 3, shuffle=True), folder, tell)


class Noisy(Dataset):
    """Rows with noise that is drawn when they are looked up."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        noise = torch.randn(6) + float(np.random.rand())  # noqa: NPY002
        return {"x": torch.full((6,), float(index % 3)) + noise, "y": torch.tensor(index % 3)}


def rows(folder: Path, tell: Tell, **options: Any) -> str:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    task = Distiller(model, losses=CE(), call=lambda model, batch: model(batch["x"]))
    loader = DataLoader(Noisy(), 6, shuffle=True, **options)
    return trained(task, loader, folder, tell, epochs=12, save_every=2)


@scenario
def workers(folder: Path, tell: Tell) -> str:
    return rows(folder, tell, num_workers=2)


@scenario
def persistent_worker(folder: Path, tell: Tell) -> str:
    return rows(folder, tell, num_workers=1, persistent_workers=True)


@scenario
def persistent_workers(folder: Path, tell: Tell) -> str:
    return rows(folder, tell, num_workers=2, persistent_workers=True)


@scenario
def generator_of_its_own(folder: Path, tell: Tell) -> str:
    return rows(folder, tell, generator=torch.Generator().manual_seed(9))


class Neighbours:
    """A neighbour sampler: seeds in random order, each batch with random neighbours of its seeds."""

    def __iter__(self) -> Iterator[Any]:
        data = graph()
        for seeds in torch.randperm(30).split(10):
            source, target = data.edge_index[:, torch.isin(data.edge_index[1], seeds)]
            some = torch.rand(source.numel()) < 0.5
            others = source[some][~torch.isin(source[some], seeds)].unique()
            n_id = torch.cat([seeds, others])
            place = torch.full((30,), -1).index_copy(0, n_id, torch.arange(n_id.numel()))
            edges = place[torch.stack([source[some], target[some]])]
            yield {"x": data.x[n_id], "y": data.y[n_id], "edge_index": edges, "n_id": n_id, "batch_size": 10}

    def __len__(self) -> int:
        return 3


@scenario
def neighbour_batches(folder: Path, tell: Tell) -> str:
    task = Distiller(gcn(1), Cached(gcn(2), graph()), CE(where="seed") + KL(2.0, where="seed"))
    return trained(task, Neighbours(), folder, tell, epochs=15)


@scenario
def moving_average(folder: Path, tell: Tell) -> str:
    student = gcn(1)
    average = EMA(student, 0.9)
    task = Distiller(student, average, HARD + KL(1.0))
    data = graph()
    metric = partial(accuracy, data=data, mask="val_mask")
    return trained(task, data, folder, tell, serve=lambda _: average.model, metric=metric)


@scenario
def snapshots(folder: Path, tell: Tell) -> str:
    student = gcn(1)
    return trained(Distiller(student, Snapshot(student, 4), HARD + KL(1.0)), graph(), folder, tell)


@scenario
def teacher_on_disk(folder: Path, tell: Tell) -> str:
    data = graph()
    teacher = Cached(gcn(2, dropout=0.0), data, path=folder.parent / f"{folder.name}-store")
    task = Distiller(gcn(1), teacher, HARD + KL(2.0) + RKD(where="train_mask"), taps={"hidden": "convs.0"})
    return trained(task, data, folder, tell)


@scenario
def memories(folder: Path, tell: Tell) -> str:
    data = graph()
    torch.manual_seed(4)
    loss = CRD(30, 8, 8, 4, negatives=5)
    task = Distiller(gcn(1), gcn(2), HARD + loss, taps={"hidden": "convs.0"})
    return trained(task, data, folder, tell)


# ---------------------------------------------------------------- searches
@scenario
def search(folder: Path, tell: Tell) -> str:
    options = {"trials": 6, "seeds": 1, "finalists": 2, "epochs": 9, "save_every": 3, "progress": False}
    make = partial(scene.GCN, 6, 8, 2, 3)
    found = graphkd.tune(
        "kd", lambda dropout: make(dropout=dropout), gcn(2), graph(), checkpoint=folder, log=tell, **options
    )
    trials = [(row["state"], row["score"], row["epochs"], row["setting"]) for row in found.trials]
    return digest({}, found.score, found.published, found.values, trials)


# ---------------------------------------------------------------- methods
def distilled(name: str, folder: Path, tell: Tell, of: Any = scene, **options: Any) -> str:
    module = graphkd if of is scene else recsys
    row = next(row for row in module.methods() if row.name == name)
    given = {**of.arguments(row), "epochs": 12, "save_every": 3, **options}
    result = of.run(row, given, checkpoint=folder, resume="auto", log=tell)
    return digest(result.model.state_dict(), result.scores, result.history)


def method(name: str, of: Any = scene, **options: Any) -> None:
    SCENARIOS[name if of is scene else f"recsys-{name}"] = partial(distilled, name, of=of, **options)


for several_stages in ("ban", "takd", "supervision_transfer", "bidirectional", "cycada", "pate", "sftn"):
    method(several_stages)
for students in ("glnn", "nosmog", "cpf_tra", "ffg2m", "tinygnn"):
    method(students)
for rounds in ("noisy_student", "phased_labels", "tri_training", "tmkd"):
    method(rounds)
for federated in ("fedavg", "feddf", "fedbe", "fedftg", "fedmd", "fedcad", "cfd"):
    method(federated, epochs=3, save_every=1)
method("fedaux", epochs=3, save_every=1, pretrain_epochs=3)
for policy in ("rl_kd", "tscl", "cc_class_uniform", "stochastic"):
    method(policy, epochs=30)
for players in ("kdgan", "dml", "mean_teacher", "metadistil"):
    method(players)
for sources in ("rrd", "cd", "dcd", "hetcomp", "unkd", "rcekd"):
    method(sources, of=recommenders, epochs=6, save_every=1)
