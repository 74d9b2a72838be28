"""Rules of federated methods: what clients send, how the server combines it, and the losses by which they learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.view import Batch, Call
from graphkd.schemes.federated._checks import Reference
from graphkd.schemes.federated._coding import DeltaCode
from graphkd.schemes.federated._messages import Message
from graphkd.schemes.federated.aggregate import State
from graphkd.schemes.federated.client import Client


class Received(NamedTuple):
    """Inputs of a server's ``fuse``: answers on public rows, (K, N, C), all messages, and its own answers, (N, C).

    The messages are the clients', in their order; the answers may include those of further models.
    """

    answers: Tensor
    messages: Sequence[Message]
    own: Tensor | None


class Limits(NamedTuple):
    """Limits of messages: rows of the public batch, examples of a client, magnitude of a value."""

    rows: int | None
    max_size: float
    max_value: float


class Cycles(NamedTuple):
    """Averaging of the server's weights over its training: epochs of a cycle, and the share before the first."""

    epochs: int
    start: float


class Refinement(NamedTuple):
    """Training stage of the server: the module, its data, and options of ``fit``."""

    trainable: nn.Module
    data: Any
    options: Mapping[str, Any]


def supervised(client: Client, _: nn.Module, __: Batch | None) -> Loss:
    """Make the loss of a client's labelled rows."""
    return client.task.supervised()


@dataclass(frozen=True)
class Rule:
    """Rule of a federated method: what clients send, how the server combines it, and the losses by which they learn.

    sends: "weights", which the server averages architecture by architecture, or "answers" (logits on public rows).
    transfer: the loss by which clients learn labels of public rows before all else. local: (client, global model,
    public) -> the loss on a client's data. history: the teacher of that loss, if it needs one, is the mean of the
    weights of so many of the last broadcast models. revisits: clients learn on their own data once more after the last
    broadcast. pretrain: (model, public, call) -> a training of each global model before the first round. fuse:
    ``Received`` -> one target, as logits, (N, C). server: the loss by which the server's models learn that target.
    recipe: epochs -> options of ``fit`` for that training. cycles: average the weights over that training. client: the
    loss by which clients that send answers learn the broadcast target on public rows; ``returns_server``: broadcast the
    answers of the server's own model instead of the target. code: the encoding of answers as bytes. further: (weights
    before, clients' weights, generator) -> weights of further models that answer beside the clients' and their average
    (FedBE). refine: (global model, clients' models, messages, call) -> a training of the global model, in place of
    ``fuse``. tell: (client, public) -> what else a client sends, computed once, with the first global weights. tells:
    ``Limits`` -> the requirements on what ``tell`` returns.
    """

    sends: Literal["weights", "answers"] = "weights"
    transfer: Loss | None = None
    local: Callable[[Client, nn.Module, Batch | None], Loss] = supervised
    history: int = 1
    revisits: bool = False
    pretrain: Callable[[nn.Module, Batch | None, Call | None], Refinement] | None = None
    fuse: Callable[[Received], Tensor] | None = None
    server: Loss | None = None
    recipe: Callable[[int], Mapping[str, Any]] | None = None
    cycles: Cycles | None = None
    client: Loss | None = None
    returns_server: bool = False
    code: DeltaCode | None = None
    further: Callable[[State, Sequence[State], torch.Generator], Sequence[State]] | None = None
    refine: Callable[[nn.Module, Sequence[nn.Module], Sequence[Message], Call | None], Refinement] | None = None
    tell: Callable[[Client, Batch | None], Message] | None = None
    tells: Callable[[Limits], Reference] | None = None

    def __post_init__(self) -> None:
        if (self.tell is None) != (self.tells is None):
            raise ValueError(
                "'tell' says what else clients send and 'tells' what the server believes of it: give both or none"
            )

    def check_public(self, public: Batch | None) -> None:
        """Raise ValueError where public rows are needed and there are none."""
        needed = (self.fuse, self.client, self.transfer, self.pretrain)
        if public is None and any(each is not None for each in needed):
            raise ValueError("this rule learns on public rows: give 'public', got None")
