"""Rounds between clients and a server, by a rule, in one process; ``flower`` runs the same sides in several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from graphkd.core.batches import changed, node_ids
from graphkd.core.clients import Clients
from graphkd.core.problem import Problem
from graphkd.core.view import Batch, names
from graphkd.schemes._together import Together
from graphkd.schemes.federated.client import Client
from graphkd.schemes.federated.participant import Participant
from graphkd.schemes.federated.rule import Rule
from graphkd.schemes.federated.server import Server


def federated(
    problem: Problem,
    rule: Rule,
    rounds: int,
    local_epochs: int,
    distil_epochs: int = 0,
    public: Batch | None = None,
    server: nn.Module | None = None,
) -> nn.Module:
    """Run rounds: clients receive the server's message, learn on their own data and send; the server combines theirs.

    A client's training on its own data in a round is a stage "round-1-client-1", its training on public rows
    "round-2-client-1-digest" (after the last round "round-<rounds + 1>-..."), the server's training "round-1-server-0";
    before the first round there may be "pretraining-0" and "round-1-client-1-transfer". ``epochs`` given by the user
    hold for each stage. Clients start with copies of the student, or with models of their own. Returns the server's
    model where there is one, the global model where all have one architecture, else the clients' models as one,
    ``Together``. Raises ValueError for fewer than one round, TypeError where ``public`` is not one batch.
    """
    if rounds < 1:
        raise ValueError(f"'rounds' must be at least 1, got {rounds}")
    if public is not None and names(public) is None:
        raise TypeError(f"'public' must be one batch of rows that all see, got {type(public).__name__}")
    sides, serving = _sides(problem, rule, public, server, local_epochs, distil_epochs)
    for number in problem.rounds(rounds, *sides, serving):
        if number == 0:
            serving.begin()
        _receive(number, sides, serving)
        if number == 0 and rule.tell is not None:
            _tell(problem, sides)
        for side in sides:
            side.learn(number)
        serving.serve(number, [side.send() for side in sides])
    if serving.model is not None or len(serving.globals) == 1:
        return serving.globals[0] if serving.model is None else serving.model
    return _together(rounds, sides, serving, learn=rule.revisits)


def _tell(problem: Problem, sides: Sequence[Participant]) -> None:
    """Compute every client's one-off message before it learns; being expensive, it is stored with the run."""
    told = problem.once("told", lambda: [side.tell() for side in sides])
    for side, own in zip(sides, told, strict=True):
        side.told = own


def _together(number: int, sides: Sequence[Participant], serving: Server, *, learn: bool) -> nn.Module:
    """Combine the clients' models into one, after the last broadcast."""
    _receive(number, sides, serving)
    for side in sides if learn else ():
        side.learn(number)
    return Together([side.client.model for side in sides])


def _receive(number: int, sides: Sequence[Participant], serving: Server) -> None:
    """Give every client the server's message for it."""
    for side in sides:
        side.receive(number, serving.broadcast(side.who))


def _sides(
    problem: Problem, rule: Rule, public: Batch | None, server: nn.Module | None, local_epochs: int, distil_epochs: int
) -> tuple[list[Participant], Server]:
    """Make both sides, which train by the run's stages."""

    def train(trainable: nn.Module, name: str, data: Any, *, seed: int, **options: Any) -> Any:
        return problem.train(trainable, name, data, choose=False, seed=seed, **{"weight_decay": 0.0, **options})

    clients = _clients(problem)
    models = [client.model for client in clients]
    if rule.sends == "answers" and rule.server is not None and server is None:
        server = problem.fresh_student(1) if problem.student is not None else problem.fresh(models[0], 1)
    shared: dict[str, Any] = {"distil": {"epochs": distil_epochs}, "seed": problem.seed, "train": train}
    largest = max(client.size for client in clients)
    serving = Server(rule, models, public, server, call=clients[0].call, max_size=largest, **shared)
    shared["local"] = {"epochs": local_epochs}
    return [Participant(who, client, rule, public, **shared) for who, client in enumerate(clients)], serving


def _clients(problem: Problem) -> list[Client]:
    """Make the clients of a run, each with a model of its own."""
    data: Clients = problem.data
    if problem.teachers:
        raise ValueError("clients teach one another: give None as 'teacher', got a teacher")
    if data.students is None and problem.student is None:
        raise ValueError("clients start with a model: give 'student', or Clients(data, students=[...]), got neither")
    pairs = zip([problem.student] * len(data) if data.students is None else data.students, data, strict=True)
    return [Client(problem.twin(model), own, problem.task, problem.call_of(model)) for model, own in pairs]


def labelled_rows(problem: Problem, public: Batch) -> Any:
    """Prepare public rows, all of them labelled, for the task; ValueError where they have no labels."""
    rows = torch.ones_like(node_ids(public), dtype=torch.bool)
    try:
        return problem.task.prepare(changed(public, **{problem.labelled: rows}))
    except ValueError as error:
        raise ValueError(f"this method needs labelled public rows, 'public' with labels: {error}") from error
