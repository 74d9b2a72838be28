"""Server's side of a federated method: it broadcasts, and combines what clients send."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import count_rows
from graphkd.core.distiller import Distiller
from graphkd.core.view import Batch, Call
from graphkd.schemes.federated import _messages as wire
from graphkd.schemes.federated._averaging import Averaged
from graphkd.schemes.federated._checks import (
    MAX_SIZE,
    MAX_VALUE,
    Entry,
    Reference,
    believed,
    size_entry,
)
from graphkd.schemes.federated._coding import Coded
from graphkd.schemes.federated._messages import Message, Train
from graphkd.schemes.federated.aggregate import State, mean_state
from graphkd.schemes.federated.rule import Limits, Received, Rule


class Server:
    """Server of a rule; it sees messages, never a client's data.

    models: one of each client's architecture, in their order, where clients send weights; the first of each
    architecture is the initial model of its clients. model: the server's own, for rules that have one. public: one
    batch that all see. distil: options of ``fit`` on it. call: replaces the by-name call of all models. train: the
    training function. ``messages`` are the latest valid ones, of the clients ``present``; ``globals`` has one model per
    architecture.

    Every message is checked before anything changes: its names, shapes and dtypes, that it is finite, that no value is
    above ``max_value`` in magnitude, and that it claims from 1 to ``max_size`` examples; what the server cannot know,
    such as the number of classes where it has no model, must agree with most clients. An invalid message raises
    ValueError, which names the client, counted from 0, and the entry. min_clients: with so many valid messages, by
    default all, a round goes on without the others, and logs a warning.
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
        min_clients: int | None = None,
        max_size: float = MAX_SIZE,
        max_value: float = MAX_VALUE,
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
        for name, value in (("min_clients", min_clients), ("max_size", max_size), ("max_value", max_value)):
            if value is not None and not value > 0:
                raise ValueError(f"{name!r} must be above 0, got {value}")
        self.globals = [copy.deepcopy(models[self.kind_of.index(kind)]) for kind in range(kinds)]
        self.rule, self.public, self.distil, self.seed = rule, public, distil, seed
        self.model = model if rule.sends == "answers" else None
        self.call, self.train, self.min_clients = call, train, min_clients
        self.limits = Limits(_rows_of(public), max_size, max_value)
        self.present: list[int] = []
        self.messages: list[Message] = []
        self.target: Tensor | None = None
        self.coded = Coded(rule.code)

    def begin(self) -> None:
        """Train the global models on public rows before the first round, where the rule does."""
        if self.rule.pretrain is not None:
            for kind, model in enumerate(self.globals):
                trainable, data, options = self.rule.pretrain(model, self.public, self.call)
                seed = wire.seed_of(self.seed, "begin", 0, kind)
                self.train(trainable, f"pretraining-{kind}", data, seed=seed, **options)

    def broadcast(self, who: int) -> Message:
        """Build a client's broadcast: global weights of its architecture, or the last target, if there is one."""
        if self.rule.sends == "weights":
            return wire.pack_state(self.globals[self.kind_of[who]])
        if self.rule.code is not None:
            return self.coded.broadcast(who)
        return {} if self.target is None else {"target": self.target}

    def serve(self, number: int, messages: Sequence[Message | None]) -> None:
        """Combine the clients' messages, in their order, None for one that did not answer, and train on the result."""
        found = self.believed(number, messages)
        self.present, self.messages = list(found), [self.coded.kept(who, message) for who, message in found.items()]
        before: list[State] = [wire.unpack_state(wire.pack_state(model)) for model in self.globals]
        for kind, model in enumerate(self.globals):
            own = [message for who, message in found.items() if self.kind_of[who] == kind]
            if own:
                mean = mean_state([wire.unpack_state(message) for message in own], wire.stack(own, "size"))
                model.load_state_dict(mean)
        if self.rule.refine is not None:
            self._train(number, 0, *self.rule.refine(self.globals[0], self.client_models(), self.messages, self.call))
        elif self.rule.fuse is not None:
            own_answers = None if self.model is None else self.answer(self.model)
            self._distil(number, self.rule.fuse(Received(self.answers(number, before), self.messages, own_answers)))

    # ------------------------------------------------------------------ checks of messages
    def reference(self, who: int) -> Reference:
        """Return the requirements on a client's message."""
        told = {} if self.rule.tells is None else self.rule.tells(self.limits)
        found: dict[str, Entry] = {"size": size_entry(self.limits.max_size), **told}
        if self.rule.sends == "weights":
            return found | wire.weights_entries(self.globals[self.kind_of[who]], self.limits.max_value)
        if self.rule.fuse is not None and self.rule.code is not None:
            found |= self.rule.code.entries
        elif self.rule.fuse is not None:
            bound = self.limits.max_value
            found["answers"] = Entry(self._answers_shape, low=-bound, high=bound)
        return found

    @cached_property
    def _answers_shape(self) -> tuple[int | None, ...]:
        """Return the shape of answers on public rows; without an own model the number of classes is not known."""
        return (self.limits.rows, None) if self.model is None else self._own_shape

    def believed(self, number: int, messages: Sequence[Message | None]) -> dict[int, Message]:
        """Return a round's valid messages by client; ValueError where they are too few."""
        if self.kind_of and len(messages) != len(self.kind_of):
            raise ValueError(f"'messages' must be one of each of {len(self.kind_of)} clients, got {len(messages)}")
        references = [self.reference(who) for who in range(len(messages))]
        return believed(messages, references, number, self.min_clients, self._read)

    def _read(self, who: int, message: Message) -> Message:
        if self.rule.code is None:
            return message
        read = self.coded.read(who, message, self._own_shape)
        place = next((p.device for p in self.model.parameters()), None) if self.model is not None else None
        return {**read, "answers": read["answers"].to(place)}

    @cached_property
    def _own_shape(self) -> tuple[int, ...]:
        """Return the shape of the answers of the server's own model."""
        if self.model is None:
            raise ValueError("coded answers need a model of the server's, which says their shape: give 'server'")
        return tuple(self.answer(self.model).shape)

    def mean_loss(self, number: int, receipts: Sequence[Message | None]) -> float:
        """Average clients' losses, each by its examples: messages of "loss" and "size", checked like others."""
        bound = self.limits.max_value
        told = {"loss": Entry((), torch.float64, -bound, bound), "size": size_entry(self.limits.max_size)}
        found = list(believed(receipts, [told] * len(receipts), number, self.min_clients).values())
        return float(mean_state(found, wire.stack(found, "size"))["loss"])

    # ------------------------------------------------------------------ learning from messages
    def _distil(self, number: int, target: Tensor) -> None:
        for which, learner in enumerate(self.globals if self.model is None else [self.model]):
            if self.rule.server is not None:
                self._learn(number, which, learner, target)
        self.target = self.answer(self.model) if self.rule.returns_server and self.model is not None else target
        self.coded.tell(self.target)

    def _learn(self, number: int, which: int, learner: nn.Module, target: Tensor) -> None:
        """Train a model on a target, by the rule's recipe."""
        rule, options = self.rule, dict(self.distil)
        if rule.recipe is not None:
            options = {**rule.recipe(options["epochs"]), **options}
        own = Distiller if rule.cycles is None else partial(Averaged, cycle=rule.cycles.epochs, start=rule.cycles.start)
        assert rule.server is not None
        learning, data = wire.taught(learner, target, self.public, rule.server, self.call, own)
        self._train(number, which, learning, data, options)
        if isinstance(learning, Averaged):
            learning.settle()

    def _train(self, number: int, which: int, trainable: nn.Module, data: Any, options: Mapping[str, Any]) -> None:
        seed = wire.seed_of(self.seed, "serve", number, which)
        self.train(trainable, f"round-{number + 1}-server-{which}", data, seed=seed, **options)

    def answer(self, model: nn.Module) -> Tensor:
        """Compute a model's answers on the public rows: (N, C)."""
        assert self.public is not None
        return wire.answer(model, self.public, self.call)

    def answers(self, number: int, before: Sequence[State]) -> Tensor:
        """Collect all clients' answers, and where the rule draws further models, the mean's and theirs: (K, N, C)."""
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
        """Make models with the weights that clients sent, in eval mode."""
        pairs = zip(self.messages, self.present, strict=True)
        return [_with(self.globals[self.kind_of[who]], wire.unpack_state(sent)).eval() for sent, who in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes from round to round."""
        own = {} if self.model is None else self.model.state_dict()
        found = {"globals": [model.state_dict() for model in self.globals], "model": own, "target": self.target}
        return {**found, "coded": self.coded.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` left off."""
        for model, known in zip(self.globals, state["globals"], strict=True):
            model.load_state_dict(known)
        if self.model is not None:
            self.model.load_state_dict(state["model"])
        self.target = state["target"]
        self.coded.load_state_dict(state["coded"])


def _rows_of(public: Batch | None) -> int | None:
    """Count the rows of answers; None where that is unknown in advance: for graphs, or rows without features."""
    known = public is not None and "batch" not in public and any(name in public for name in ("n_id", "x", "y"))
    return count_rows(public) if known and public is not None else None


def _with(model: nn.Module, state: State) -> nn.Module:
    """Copy a model with other weights."""
    other = copy.deepcopy(model)
    other.load_state_dict(state)
    return other
