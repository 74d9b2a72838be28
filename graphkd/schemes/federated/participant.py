"""The client's side of a federated method: it receives, learns on its own data, and sends."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.view import Batch
from graphkd.schemes.federated.aggregate import average_states
from graphkd.schemes.federated.method import (
    Message,
    Method,
    answer,
    check_public,
    pack_state,
    seed_of,
    teach,
    unpack_state,
)


@dataclass
class Client:
    """A model and the data it alone sees: one batch with ``train_mask``, the whole of it labelled if it has none."""

    model: nn.Module
    data: Batch

    @property
    def size(self) -> int:
        """How many labelled rows it learns from."""
        return int(self.data["train_mask"].sum()) if "train_mask" in self.data else int(self.data["y"].size(0))


class Participant:
    """A client that takes part in a method as number ``who``; it knows nothing of the others.

    ``public``, ``local``, ``distil`` and ``seed`` are ``Federation``'s, and the same for all. What it sends are its
    weights or its answers, how many rows it learnt from, and what else the method tells.
    """

    def __init__(
        self,
        who: int,
        client: Client,
        method: Method,
        public: Batch | None = None,
        *,
        local: Mapping[str, Any],
        distil: Mapping[str, Any],
        seed: int = 0,
    ) -> None:
        check_public(method, public)
        self.who, self.client, self.method, self.public = who, client, method, public
        self.local, self.distil, self.seed = local, distil, seed
        self.past: list[dict[str, Tensor]] = []  # the global weights it got, the latest last

    def receive(self, number: int, message: Message) -> None:
        """Take the global weights, or learn what came about the public rows, if anything did."""
        method, model = self.method, self.client.model
        if method.sends == "weights":
            self.past = [*self.past, unpack_state(message)][-max(method.history, 1) :]
            model.load_state_dict(self.past[-1])
        elif method.client is not None and "target" in message and self.public is not None:
            seed = seed_of(self.seed, "digest", number, self.who)
            teach(model, message["target"], method.client, self.public, seed=seed, options=self.distil)

    def learn(self, number: int) -> None:
        """Learn on own data."""
        known = copy.deepcopy(self.client.model)
        if self.past:
            known.load_state_dict(average_states(self.past))
        loss = self.method.local(self, known)
        teacher = known if any(part.needs_teacher for _, part in loss.parts()) else None
        task = Distiller(self.client.model, teacher, loss)
        seed = seed_of(self.seed, "learn", number, self.who)
        fit(task, self.client.data, seed=seed, progress=False, **self.local)

    def send(self) -> Message:
        """What the server gets to see."""
        message = {"size": torch.tensor(self.client.size), **self.method.tell(self)}
        if self.method.sends == "weights":
            return message | pack_state(self.client.model)
        if self.method.fuse is not None and self.public is not None:
            message["answers"] = answer(self.method, self.client.model, self.public)
        return message

    def state_dict(self) -> Message:
        """All that changes from round to round, for a client that is started anew for each of them."""
        past = {f"{age}.{name}": value for age, state in enumerate(self.past) for name, value in state.items()}
        return {"rounds": torch.tensor(len(self.past)), **pack_state(self.client.model), **past}

    def load_state_dict(self, state: Message) -> None:
        """Go on where ``state_dict`` left off."""
        self.client.model.load_state_dict(unpack_state(state))
        names = list(self.client.model.state_dict())
        self.past = [{name: state[f"{age}.{name}"] for name in names} for age in range(int(state["rounds"]))]
