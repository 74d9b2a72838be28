"""Federated distillation in one process, client after client: what the methods of ``methods`` have in common.

A round: clients receive what the server sent, learn on their own data, and send; the server makes something of it.
After the last round they receive once more, and so end with what they have learnt together. The server reads a
client's weights or its answers on public rows, how many rows it has, and what else a method says.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch
from graphkd.losses.response import CE
from graphkd.schemes.federated.aggregate import State, average_states, sample_state

Local = Callable[["Federation", nn.Module], Loss]
Fuse = Callable[[Tensor, "Federation"], Tensor]
Refine = Callable[["Federation", int], None]


@dataclass
class Client:
    """A model and the data it alone sees: one batch with ``train_mask``, the whole of it labelled if it has none."""

    model: nn.Module
    data: Batch

    @property
    def size(self) -> int:
        """How many labelled rows it learns from."""
        return int(self.data["train_mask"].sum()) if "train_mask" in self.data else int(self.data["y"].size(0))


def labels(federation: Federation, _: nn.Module) -> Loss:
    """The cross-entropy of a client's labelled rows."""
    return CE(where="train_mask" if all("train_mask" in client.data for client in federation.clients) else None)


@dataclass(frozen=True)
class Method:
    """What clients send, what the server makes of it, and by which losses they learn.

    sends: "weights", which the server averages architecture by architecture, or "answers" (logits on public rows).
    local: (federation, global model) -> the loss on a client's data. history: its teacher, if it needs one, is the mean
    of so many of the last broadcast models. fuse: answers (K, N, C) -> one target, as logits, (N, C). server: by which
    the server's models learn that target. client: by which clients that send answers learn what they get on public
    rows; ``returns_server``: it is the server's own answers, not the target. encode: what is done to answers on the
    wire. samples: models drawn around the clients' weights (FedBE), who answer too. refine: in place of ``fuse``.
    """

    sends: Literal["weights", "answers"] = "weights"
    local: Local = labels
    history: int = 1
    fuse: Fuse | None = None
    server: Loss | None = None
    client: Loss | None = None
    returns_server: bool = False
    encode: Callable[[Tensor], Tensor] = lambda answers: answers
    samples: int = 0
    refine: Refine | None = None


def architecture(model: nn.Module) -> tuple:
    """What models whose weights can be averaged share: class, names and shapes."""
    shapes = ((name, tuple(tensor.shape)) for name, tensor in model.state_dict().items())
    return (type(model).__module__, type(model).__qualname__, *shapes)


class Answers(nn.Module):
    """A model that says the same of the same rows: what came over the wire, as a teacher."""

    logits: Tensor

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self) -> Tensor:
        """What was sent."""
        return self.logits


@dataclass
class Federation:
    """Clients, a server and a method; ``run(rounds)`` trains them.

    public: a batch that the server and, where they send answers, all clients see; labels are needed by few methods.
    server: the server's own model, for methods that have one. Of methods that send weights it has instead a model of
    each of the clients' architectures, ``globals``, the first client's at the start. local, distil: options of ``fit``
    on own and on public rows, epochs among them; every call has its seed from ``seed``, the round and who it is, so a
    client's training does not depend on the others' order, and its optimiser starts anew in every round.
    """

    method: Method
    clients: Sequence[Client]
    public: Batch | None = None
    server: nn.Module | None = None
    local: Mapping[str, Any] = field(default_factory=lambda: {"epochs": 20})
    distil: Mapping[str, Any] = field(default_factory=lambda: {"epochs": 50})
    seed: int = 0

    def __post_init__(self) -> None:
        method = self.method
        if not self.clients:
            raise ValueError("'clients' must hold one at least, got none")
        if self.public is None and (method.fuse is not None or method.sends == "answers"):
            raise ValueError("this method compares answers on public rows: give 'public', got None")
        if self.server is None and method.sends == "answers" and method.server is not None:
            raise ValueError("this method trains a model of the server's: give 'server', got None")
        keys = [architecture(client.model) for client in self.clients]
        self.kinds = list(dict.fromkeys(keys))
        self.kind_of = [self.kinds.index(key) for key in keys]
        mixed = method.sends == "answers" or (method.fuse is not None and not method.samples)
        if len(self.kinds) > 1 and not mixed:
            raise ValueError(
                f"this method averages the weights of 'clients', who must have one architecture, got {len(self.kinds)}"
            )
        firsts = [self.clients[self.kind_of.index(kind)].model for kind in range(len(self.kinds))]
        self.globals = [copy.deepcopy(model) for model in firsts] if method.sends == "weights" else []
        self.past: list[list[State]] = []  # what was broadcast, the latest last
        self.sent: Tensor | None = None

    def run(self, rounds: int, *, progress: bool | None = None) -> list[nn.Module]:
        """So many rounds, then a last receipt; the clients' models, in eval mode."""
        hidden = not (sys.stderr.isatty() if progress is None else progress)
        for number in tqdm(range(rounds), disable=hidden, unit="round"):
            self.receive(number)
            for who in range(len(self.clients)):
                self.learn(who, number)
            self.serve(number)
        self.receive(rounds)
        return [client.model.eval() for client in self.clients]

    def receive(self, number: int) -> None:
        """Clients take the global weights, or learn what came about the public rows, if anything did."""
        if self.method.sends == "weights":
            latest: list[State] = [_state(model) for model in self.globals]
            self.past = [*self.past, latest][-max(self.method.history, 1) :]
        for who, client in enumerate(self.clients):
            if self.method.sends == "weights":
                client.model.load_state_dict(self.globals[self.kind_of[who]].state_dict())
            elif self.sent is not None and self.method.client is not None:
                self.teach(client.model, self.sent, self.method.client, self.seed_of(number, who) + 1)

    def learn(self, who: int, number: int) -> None:
        """One client on its own data."""
        client = self.clients[who]
        known = copy.deepcopy(client.model)
        if self.past:
            known.load_state_dict(average_states([states[self.kind_of[who]] for states in self.past]))
        loss = self.method.local(self, known)
        teacher = known if any(part.needs_teacher for _, part in loss.parts()) else None
        task = Distiller(client.model, teacher, loss)
        fit(task, client.data, seed=self.seed_of(number, who), progress=False, **self.local)

    def serve(self, number: int) -> None:
        """What the server makes of what all clients sent."""
        method = self.method
        if method.sends == "weights":
            for kind, model in enumerate(self.globals):
                own = [client for client, of in zip(self.clients, self.kind_of, strict=True) if of == kind]
                states = [client.model.state_dict() for client in own]
                model.load_state_dict(average_states(states, [client.size for client in own]))
        if method.refine is not None:
            method.refine(self, number)
        elif method.fuse is not None:
            target = method.fuse(self.answers(number), self)
            models = [self.server] if self.server is not None and method.sends == "answers" else self.globals
            for which, learner in enumerate(models):
                if method.server is not None:
                    self.teach(learner, target, method.server, self.seed_of(number, len(self.clients) + which))
            self.sent = self.answer(self.server) if method.returns_server and self.server is not None else target

    def teach(self, model: nn.Module, target: Tensor, loss: Loss, seed: int) -> None:
        """One model learns a target on the public rows."""
        assert self.public is not None
        fit(
            Distiller(model, Answers(target), copy.deepcopy(loss)),
            self.public,
            seed=seed,
            progress=False,
            **self.distil,
        )

    @torch.no_grad()
    def answer(self, model: nn.Module) -> Tensor:
        """A model's answers on the public rows, as they go over the wire: (N, C)."""
        assert self.public is not None
        return self.method.encode(Frozen(model)(self.public)["logits"])

    def answers(self, number: int) -> Tensor:
        """Those of all clients, and with ``samples`` those of the average and of drawn models: (K, N, C)."""
        models = [client.model for client in self.clients]
        if self.method.samples:
            models = [*models, self.globals[0], *self._samples(number)]
        return torch.stack([self.answer(model) for model in models])

    def _samples(self, number: int) -> list[nn.Module]:
        base, states = self.past[-1][0], [client.model.state_dict() for client in self.clients]
        generator = torch.Generator().manual_seed(self.seed_of(number, -1))
        draw = partial(torch.randn, generator=generator)
        drawn = []
        for _ in range(self.method.samples):
            noise = {name: draw(tensor.shape).to(tensor) for name, tensor in base.items()}
            model = copy.deepcopy(self.globals[0])
            model.load_state_dict(sample_state(base, states, noise))
            drawn.append(model)
        return drawn

    def seed_of(self, number: int, who: int) -> int:
        """The seed of a participant's training in a round; clients come first, then the server's models."""
        return self.seed + 2 * (1 + who + number * (len(self.clients) + len(self.kinds) + 2))


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
