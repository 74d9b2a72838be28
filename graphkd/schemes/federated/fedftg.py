"""FedFTG: the averaged model is refined on generated rows, so that the server needs no public ones.

Zhang, Shen, Ding, Tao and Duan, "Fine-tuning Global Model via Data-Free Knowledge Distillation for Non-IID Federated
Learning", CVPR 2022, arXiv:2203.09249.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.rng import seeded
from graphkd.core.view import Viewer
from graphkd.schemes.federated.method import Message, Method, seed_of, stack
from graphkd.schemes.federated.objectives import class_shares, fedftg_generator, fedftg_student
from graphkd.schemes.federated.participant import Participant
from graphkd.schemes.federated.server import Server


class Generator(nn.Module):
    """Rows of features from noise and a class, by one hidden layer; the last is linear, its rows standardised."""

    def __init__(self, noise: int, classes: int, features: int, hidden: int = 64) -> None:
        super().__init__()
        self.classes = classes
        self.layers = nn.Sequential(nn.Linear(noise + classes, hidden), nn.ReLU(), nn.Linear(hidden, features))
        self.norm = nn.BatchNorm1d(features)

    def forward(self, noise: Tensor, y: Tensor) -> Tensor:
        """(N, m), (N,) -> (N, d)."""
        return self.norm(self.layers(torch.cat([noise, F.one_hot(y, self.classes).to(noise.dtype)], dim=1)))


def fedftg(
    classes: int,
    *,
    noise: int = 32,
    rows: int = 64,
    steps: int = 10,
    generator_steps: int = 1,
    student_steps: int = 5,
    lr: float = 1e-3,
) -> Method:
    """FedAvg, refined on rows that a generator makes to be hard. Choose it for skewed labels and no public rows.

    Clients send how many rows of each class they have, besides weights. In every round a new generator and the global
    model play ``steps`` times: classes are drawn from the pooled counts, ``generator_steps`` steps lower the sum of
    ``fedftg_generator`` over clients, ``student_steps`` steps lower ``fedftg_student``; both by Adam. On graphs a fake
    row has no edges: a model that needs neighbours learns less from it.
    """
    return Method(
        refine=partial(
            _refine,
            classes=classes,
            noise=noise,
            rows=rows,
            steps=steps,
            generator_steps=generator_steps,
            student_steps=student_steps,
            lr=lr,
        ),
        tell=partial(_counts, classes=classes),
    )


def _counts(participant: Participant, classes: int) -> Message:
    data = participant.client.data
    labels = data["y"][data["train_mask"]] if "train_mask" in data else data["y"]
    return {"counts": torch.bincount(labels, minlength=classes), "width": torch.tensor(data["x"].size(1))}


def _refine(
    server: Server,
    number: int,
    *,
    classes: int,
    noise: int,
    rows: int,
    steps: int,
    generator_steps: int,
    student_steps: int,
    lr: float,
) -> None:
    counts = stack(server.messages, "counts")
    student = server.globals[0]
    like = next(student.parameters())
    teachers = [Viewer(model) for model in server.client_models()]
    own = Viewer(student)
    edges = torch.empty(2, 0, dtype=torch.long, device=like.device)

    def answer(viewer: Viewer, x: Tensor) -> Tensor:
        return viewer({"x": x, "edge_index": edges})["logits"]

    with seeded(seed_of(server.seed, "serve", number)):
        generator = Generator(noise, classes, int(server.messages[0]["width"])).to(like)
        learners = [torch.optim.Adam(model.parameters(), lr=lr) for model in (generator, student)]
        for _ in range(steps):
            y = torch.multinomial(counts.sum(dim=0).double(), rows, replacement=True)
            z = torch.randn(rows, noise).to(like)
            weights = class_shares(y, counts).to(like)
            student.eval()
            for _ in range(generator_steps):
                x = generator(z, y)
                known = answer(own, x)
                losses = [
                    fedftg_generator(x, z, known, answer(teacher, x), y, weight, clients=len(teachers)).loss
                    for teacher, weight in zip(teachers, weights, strict=True)
                ]
                _step(learners[0], torch.stack(losses).sum())
            with torch.no_grad():
                x = generator(z, y)
                taught = torch.stack([answer(teacher, x) for teacher in teachers])
            student.train()
            for _ in range(student_steps):
                _step(learners[1], fedftg_student(answer(own, x), taught, weights))
        student.zero_grad()


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
