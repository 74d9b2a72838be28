"""The server's side of a federated method: it broadcasts, and makes something of what clients send."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.view import Batch, Call
from graphkd.schemes.federated import _messages as wire
from graphkd.schemes.federated._average import State, average_states
from graphkd.schemes.federated._messages import Message, Train
from graphkd.schemes.federated.rule import Received, Rule


class Server:
    """What the server of a rule has; it sees messages, never a client's data.

    models: one of each client's architecture, in their order, where they send weights: the first of each architecture
    is what its clients start with. model: the server's own, for rules that have one. public: a batch that all see.
    distil: options of ``fit`` on it. call: how all models are called, in place of the by-name call. train: how it
    trains. ``messages`` are the latest of all clients, ``globals`` a model of each architecture.
    """

    def __init__(
        self,
        rule: Rule,
        models: Sequence[nn.Module] = (),
        public: Batch | None = None,
        model: nn.Module | None = None,
        *,
        distil: Mapping[str, Any],
        seed: int = 0,
        call: Call | None = None,
        train: Train = wire.train_alone,
    ) -> None:
        rule.check_public(public)
        if model is None and rule.sends == "answers" and rule.server is not None:
            raise ValueError("this rule trains a model of the server's: give 'server', got None")
        self.kind_of = wire.kinds_of(models) if rule.sends == "weights" else []
        kinds = len(set(self.kind_of))
        if kinds > 1 and (rule.fuse is None or rule.further is not None):
            raise ValueError(
                f"this method averages the weights of 'clients', who must have one architecture, got {kinds}"
            )
        self.globals = [copy.deepcopy(models[self.kind_of.index(kind)]) for kind in range(kinds)]
        self.rule, self.public, self.distil, self.seed = rule, public, distil, seed
        self.model = model if rule.sends == "answers" else None
        self.call, self.train = call, train
        self.messages: list[Message] = []
        self.target: Tensor | None = None

    def broadcast(self, who: int) -> Message:
        """What a client gets before it learns: global weights of its architecture, or the last target, if any."""
        if self.rule.sends == "weights":
            return wire.pack_state(self.globals[self.kind_of[who]])
        return {} if self.target is None else {"target": self.target}

    def serve(self, number: int, messages: Sequence[Message]) -> None:
        """Make something of what all clients sent, in their order."""
        wire.check_finite(messages)
        self.messages = list(messages)
        before: list[State] = [wire.unpack_state(wire.pack_state(model)) for model in self.globals]
        for kind, model in enumerate(self.globals):
            own = [message for message, of in zip(messages, self.kind_of, strict=True) if of == kind]
            states = [wire.unpack_state(message) for message in own]
            model.load_state_dict(average_states(states, [int(message["size"]) for message in own]))
        if self.rule.refine is not None:
            self._train(number, 0, *self.rule.refine(self.globals[0], self.client_models(), self.messages, self.call))
        elif self.rule.fuse is not None:
            own_answers = None if self.model is None else self.answer(self.model)
            self._distil(number, self.rule.fuse(Received(self.answers(number, before), self.messages, own_answers)))

    def _distil(self, number: int, target: Tensor) -> None:
        for which, learner in enumerate(self.globals if self.model is None else [self.model]):
            if self.rule.server is not None:
                learning = wire.taught(learner, target, self.public, self.rule.server, self.call)
                self._train(number, which, *learning, self.distil)
        self.target = self.answer(self.model) if self.rule.returns_server and self.model is not None else target

    def _train(self, number: int, which: int, trainable: nn.Module, data: Any, options: Mapping[str, Any]) -> None:
        seed = wire.seed_of(self.seed, "serve", number, which)
        self.train(trainable, f"round-{number + 1}-server-{which}", data, seed=seed, **options)

    def answer(self, model: nn.Module) -> Tensor:
        """A model's answers on the public rows, as they go over the wire: (N, C)."""
        assert self.public is not None
        return self.rule.encode(wire.answer(model, self.public, self.call))

    def answers(self, number: int, before: Sequence[State]) -> Tensor:
        """Those of all clients, and where the rule draws further models, of the average and these: (K, N, C)."""
        if self.rule.sends == "answers":
            return wire.stack(self.messages, "answers")
        models = self.client_models()
        if self.rule.further is not None:
            generator = torch.Generator().manual_seed(wire.seed_of(self.seed, "draw", number))
            states = [wire.unpack_state(message) for message in self.messages]
            drawn = self.rule.further(before[0], states, generator)
            models += [self.globals[0], *(_with(self.globals[0], state) for state in drawn)]
        return torch.stack([self.answer(model) for model in models])

    def client_models(self) -> list[nn.Module]:
        """Models with the weights that clients sent, in eval mode."""
        pairs = zip(self.messages, self.kind_of, strict=True)
        return [_with(self.globals[kind], wire.unpack_state(message)).eval() for message, kind in pairs]

    def state_dict(self) -> dict[str, Any]:
        """All that changes from round to round."""
        own = {} if self.model is None else self.model.state_dict()
        return {"globals": [model.state_dict() for model in self.globals], "model": own, "target": self.target}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` left off."""
        for model, known in zip(self.globals, state["globals"], strict=True):
            model.load_state_dict(known)
        if self.model is not None:
            self.model.load_state_dict(state["model"])
        self.target = state["target"]


def _with(model: nn.Module, state: State) -> nn.Module:
    """A copy of a model with other weights."""
    other = copy.deepcopy(model)
    other.load_state_dict(state)
    return other
