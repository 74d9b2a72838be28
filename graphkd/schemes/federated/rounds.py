"""Federated distillation in one process, client after client; ``flower`` runs the same sides in several.

A round: clients receive what the server sent, learn on their own data, and send; the server makes something of it.
After the last round they receive once more, and so end with what they have learnt together. The server reads a
client's weights or its answers on public rows, how many rows it has, and what else a method says.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from tqdm import tqdm

from graphkd.core.view import Batch
from graphkd.schemes.federated.method import Method
from graphkd.schemes.federated.participant import Client, Participant
from graphkd.schemes.federated.server import Server


@dataclass
class Federation:
    """Clients, a server and a method; ``run(rounds)`` trains them.

    public: a batch that the server and, where they send answers, all clients see; labels are needed by few methods.
    server: the server's own model, for methods that have one. Of methods that send weights it has instead a model of
    each of the clients' architectures, the first client's at the start. local, distil: options of ``fit`` on own and
    on public rows, epochs among them; every call has its seed from ``seed``, the round and who it is, so a client's
    training does not depend on the others, and its optimiser starts anew in every round. ``participants`` and
    ``serving`` are the two sides.
    """

    method: Method
    clients: Sequence[Client]
    public: Batch | None = None
    server: nn.Module | None = None
    local: Mapping[str, Any] = field(default_factory=lambda: {"epochs": 20})
    distil: Mapping[str, Any] = field(default_factory=lambda: {"epochs": 50})
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.clients:
            raise ValueError("'clients' must hold one at least, got none")
        models = [client.model for client in self.clients]
        shared: dict[str, Any] = {"distil": self.distil, "seed": self.seed}
        self.serving = Server(self.method, models, self.public, self.server, **shared)
        self.participants = [
            Participant(who, client, self.method, self.public, local=self.local, **shared)
            for who, client in enumerate(self.clients)
        ]

    def run(self, rounds: int, *, progress: bool | None = None) -> list[nn.Module]:
        """So many rounds, then a last receipt; the clients' models, in eval mode."""
        hidden = not (sys.stderr.isatty() if progress is None else progress)
        for number in tqdm(range(rounds), disable=hidden, unit="round"):
            self.receive(number)
            for participant in self.participants:
                participant.learn(number)
            self.serve(number)
        self.receive(rounds)
        return [client.model.eval() for client in self.clients]

    def receive(self, number: int) -> None:
        """Every client gets what the server has for it."""
        for participant in self.participants:
            participant.receive(number, self.serving.broadcast(participant.who))

    def serve(self, number: int) -> None:
        """The server gets what all clients send."""
        self.serving.serve(number, [participant.send() for participant in self.participants])
