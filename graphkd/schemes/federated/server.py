"""The server's side of a federated method: it broadcasts, and makes something of what clients send."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.view import Batch
from graphkd.schemes.federated.aggregate import State, average_states, sample_state
from graphkd.schemes.federated.method import (
    Message,
    Method,
    answer,
    check_public,
    kinds_of,
    pack_state,
    seed_of,
    stack,
    teach,
    unpack_state,
)


class Server:
    """What the server of a method has; it sees messages, never a client's data.

    models: one of each client's architecture, in their order, where they send weights: the first of each architecture
    is what its clients start with. model: the server's own, for methods that have one. public, distil, seed:
    ``Federation``'s. ``messages`` are the latest of all clients, in their order, ``globals`` a model of each
    architecture.
    """

    def __init__(
        self,
        method: Method,
        models: Sequence[nn.Module] = (),
        public: Batch | None = None,
        model: nn.Module | None = None,
        *,
        distil: Mapping[str, Any],
        seed: int = 0,
    ) -> None:
        check_public(method, public)
        if model is None and method.sends == "answers" and method.server is not None:
            raise ValueError("this method trains a model of the server's: give 'server', got None")
        self.kind_of = kinds_of(models) if method.sends == "weights" else []
        kinds = len(set(self.kind_of))
        if kinds > 1 and (method.fuse is None or method.samples):
            raise ValueError(
                f"this method averages the weights of 'clients', who must have one architecture, got {kinds}"
            )
        self.globals = [copy.deepcopy(models[self.kind_of.index(kind)]) for kind in range(kinds)]
        self.method, self.public, self.model, self.distil, self.seed = method, public, model, distil, seed
        self.messages: list[Message] = []
        self.target: Tensor | None = None

    def broadcast(self, who: int) -> Message:
        """What a client gets before it learns: global weights of its architecture, or the last target, if any."""
        if self.method.sends == "weights":
            return pack_state(self.globals[self.kind_of[who]])
        return {} if self.target is None else {"target": self.target}

    def serve(self, number: int, messages: Sequence[Message]) -> None:
        """Make something of what all clients sent, in their order."""
        method, self.messages = self.method, list(messages)
        before: list[State] = [unpack_state(pack_state(model)) for model in self.globals]
        for kind, model in enumerate(self.globals):
            own = [message for message, of in zip(messages, self.kind_of, strict=True) if of == kind]
            states = [unpack_state(message) for message in own]
            model.load_state_dict(average_states(states, [int(message["size"]) for message in own]))
        if method.refine is not None:
            method.refine(self, number)
        elif method.fuse is not None:
            self._distil(number, method.fuse(self.answers(number, before), self))

    def _distil(self, number: int, target: Tensor) -> None:
        method, own = self.method, self.model if self.method.sends == "answers" else None
        for which, learner in enumerate(self.globals if own is None else [own]):
            if method.server is not None and self.public is not None:
                seed = seed_of(self.seed, "serve", number, which)
                teach(learner, target, method.server, self.public, seed=seed, options=self.distil)
        self.target = self.answer(own) if method.returns_server and own is not None else target

    def answer(self, model: nn.Module) -> Tensor:
        """A model's answers on the public rows, as they go over the wire: (N, C)."""
        assert self.public is not None
        return answer(self.method, model, self.public)

    def answers(self, number: int, before: Sequence[State]) -> Tensor:
        """Those of all clients, and with ``samples`` those of the average and of drawn models: (K, N, C)."""
        if self.method.sends == "answers":
            return stack(self.messages, "answers")
        models = self.client_models()
        if self.method.samples:
            models += [self.globals[0], *self._samples(number, before[0])]
        return torch.stack([self.answer(model) for model in models])

    def client_models(self) -> list[nn.Module]:
        """Models with the weights that clients sent, in eval mode."""
        models = []
        for message, kind in zip(self.messages, self.kind_of, strict=True):
            model = copy.deepcopy(self.globals[kind])
            model.load_state_dict(unpack_state(message))
            models.append(model.eval())
        return models

    def _samples(self, number: int, base: State) -> list[nn.Module]:
        states = [unpack_state(message) for message in self.messages]
        generator = torch.Generator().manual_seed(seed_of(self.seed, "draw", number))
        draw = partial(torch.randn, generator=generator)
        drawn = []
        for _ in range(self.method.samples):
            noise = {name: draw(tensor.shape).to(tensor) for name, tensor in base.items()}
            model = copy.deepcopy(self.globals[0])
            model.load_state_dict(sample_state(base, states, noise))
            drawn.append(model)
        return drawn
