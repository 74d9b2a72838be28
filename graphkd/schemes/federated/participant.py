"""Client's side of a federated method: it receives, learns on its own data, and sends."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from graphkd.core.distiller import Distiller
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch
from graphkd.schemes.federated import _messages as wire
from graphkd.schemes.federated._checks import MAX_VALUE, Entry, check_message, named
from graphkd.schemes.federated._coding import DeltaCode, checksum
from graphkd.schemes.federated._messages import Message, Train
from graphkd.schemes.federated.aggregate import mean_state
from graphkd.schemes.federated.client import Client
from graphkd.schemes.federated.rule import Rule

_CODE = "code."
_TOLD = "told."  # prefix of a state's entries that hold the rule's one-off message


class Participant:
    """Client number ``who``, from 0, that follows a rule; it knows nothing of the others.

    public: one batch that all see. local, distil: options of ``fit`` on own and on public rows, including "epochs".
    Every training has a new optimiser and a seed made of ``seed``, the round and ``who``, so that it does not depend on
    other clients. told: the one-off message of ``rule.tell``, if known already. train: the training function. It sends
    its weights or its answers, its number of labelled rows, and what ``rule.tell`` adds. The server's messages are
    checked before use: names, shapes, dtypes, finite values, and no value above ``max_value`` in magnitude. Raises
    ValueError for a ``who`` that is no such number, for a client without labelled rows, and where the rule needs
    ``public`` and it is None.
    """

    def __init__(
        self,
        who: int,
        client: Client,
        rule: Rule,
        public: Batch | None = None,
        *,
        local: Mapping[str, Any],
        distil: Mapping[str, Any],
        seed: int = 0,
        told: Message | None = None,
        train: Train = wire.train_alone,
        max_value: float = MAX_VALUE,
    ) -> None:
        rule.check_public(public)
        if type(who) is not int or who < 0:
            raise ValueError(f"'who' must be the client's number, an integer from 0, got {who!r}: do not convert it")
        if not client.size:
            raise ValueError(f"{named(who)} must have labelled rows to learn from, it has none: leave it out")
        self.who, self.client, self.rule, self.public = who, client, rule, public
        self.local, self.distil, self.seed, self.told, self.train = local, distil, seed, told, train
        self.max_value = max_value
        self.past: list[dict[str, Tensor]] = []  # the global weights it received, the latest last
        self.codes: dict[str, Tensor] = {}  # the last code that it "sent", the last that it "got"
        self.known = 0  # the checksum of the code of its own that the server has

    def receive(self, number: int, message: Message) -> None:
        """Load the global weights, or learn the target on public rows, if any came."""
        rule, client = self.rule, self.client
        self._check(message)
        if rule.code is not None:
            message = self._decoded(message, rule.code)
        if rule.sends == "weights":
            self.past = [*self.past, wire.unpack_state(message)][-max(rule.history, 1) :]
            client.model.load_state_dict(self.past[-1])
        elif rule.client is not None and "target" in message and self.public is not None:
            digest, public = wire.taught(client.model, message["target"], self.public, rule.client, client.call)
            seed = wire.seed_of(self.seed, "digest", number, self.who)
            self.train(digest, f"{self._stage(number)}-digest", public, seed=seed, **self.distil)

    def _check(self, message: Message) -> None:
        """Raise ValueError unless the server's message is valid."""
        model, bound = self.client.model, self.max_value
        if self.rule.sends == "weights":
            check_message(message, wire.weights_entries(model, bound), "the server")
        elif self.rule.code is not None:
            own = self.rule.code.entries
            check_message(message, own if "coded" in message else {"known": own["known"]}, "the server")
        elif message:
            width = self.client.classes
            check_message(message, {"target": Entry((None, width), low=-bound, high=bound)}, "the server")

    def _decoded(self, message: Message, code: DeltaCode) -> Message:
        """Decode the target in a coded message."""
        self.known = int(message["known"])
        if "coded" not in message:
            return {}
        self.codes["got"] = code.read(message, self.codes.get("got"), self._shape, "the server")
        return {"target": code.decoded(self.codes["got"], self._shape).to(next(self.client.model.parameters()).device)}

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        """Return the shape of its answers on public rows."""
        return tuple(self._answers().shape)

    def _answers(self) -> Tensor:
        assert self.public is not None
        return wire.answer(self.client.model, self.public, self.client.call)

    def tell(self) -> Message:
        """Return what the rule sends besides weights or answers; it is computed once."""
        if self.told is None:
            self.told = {} if self.rule.tell is None else self.rule.tell(self.client, self.public)
        return self.told

    def learn(self, number: int) -> None:
        """Learn on own data; in round 0 first the labels of public rows where the rule has ``transfer``."""
        client = self.client
        self.tell()  # of the first global weights, before they change
        if number == 0 and self.rule.transfer is not None:
            first = Distiller(client.model, losses=copy.deepcopy(self.rule.transfer), call=client.call)
            seed = wire.seed_of(self.seed, "transfer", 0, self.who)
            self.train(first, f"{self._stage(0)}-transfer", self.public, seed=seed, **self.distil)
        known = copy.deepcopy(client.model)
        if self.past:
            known.load_state_dict(mean_state(self.past))
        loss = self.rule.local(client, known, self.public)
        needed = any(part.needs_teacher for _, part in loss.parts())
        teacher = Frozen(known, call=client.call) if needed else None
        distiller = Distiller(client.model, teacher, loss, call=client.call)
        seed = wire.seed_of(self.seed, "learn", number, self.who)
        self.train(distiller, self._stage(number), client.data, seed=seed, **self.local)

    def send(self) -> Message:
        """Build the message for the server."""
        client, rule = self.client, self.rule
        message = {"size": torch.tensor(client.size), **self.tell()}
        if rule.sends == "weights":
            return message | wire.pack_state(client.model)
        if rule.fuse is not None and rule.code is not None:
            return message | self._coded(rule.code)
        if rule.fuse is not None:
            message["answers"] = self._answers()
        return message

    def _coded(self, code: DeltaCode) -> Message:
        """Code its answers, against its last code if the server has that."""
        last = self.codes.get("sent")
        base = last if last is not None and int(checksum(last)) == self.known else None
        self.codes["sent"] = code.coded(self._answers())
        return code.message(self.codes["sent"], base, self.codes.get("got"))

    def state_dict(self) -> Message:
        """Return all that changes from round to round, for a client that is started anew for each of them."""
        past = {f"{age}.{name}": value for age, state in enumerate(self.past) for name, value in state.items()}
        told = {_TOLD + name: value for name, value in (self.told or {}).items()}
        codes = {_CODE + name: value for name, value in self.codes.items()}
        return {"rounds": torch.tensor(len(self.past)), **wire.pack_state(self.client.model), **past, **told, **codes}

    def load_state_dict(self, state: Message) -> None:
        """Go on where ``state_dict`` left off."""
        self.client.model.load_state_dict(wire.unpack_state(state))
        names = list(self.client.model.state_dict())
        self.past = [{name: state[f"{age}.{name}"] for name in names} for age in range(int(state["rounds"]))]
        told = {name.removeprefix(_TOLD): value for name, value in state.items() if name.startswith(_TOLD)}
        self.told = told or self.told
        self.codes = {name.removeprefix(_CODE): value for name, value in state.items() if name.startswith(_CODE)}

    def _stage(self, number: int) -> str:
        return f"round-{number + 1}-client-{self.who + 1}"
