"""What a federated method is, and what both sides of it share: messages, seeds, learning from answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch
from graphkd.losses.response.ce import CE

if TYPE_CHECKING:
    from graphkd.schemes.federated.participant import Participant
    from graphkd.schemes.federated.server import Server

Message = dict[str, Tensor]  # what goes over the wire
Local = Callable[["Participant", nn.Module], Loss]
Fuse = Callable[[Tensor, "Server"], Tensor]
Refine = Callable[["Server", int], None]
Tell = Callable[["Participant"], Message]

_WEIGHTS = "weights."  # what a message's entries of a state begin with
_ROLES = ("learn", "digest", "serve", "draw")


def labels(participant: Participant, _: nn.Module) -> Loss:
    """The cross-entropy of a client's labelled rows."""
    return CE(where="train_mask" if "train_mask" in participant.client.data else None)


@dataclass(frozen=True)
class Method:
    """What clients send, what the server makes of it, and by which losses they learn.

    sends: "weights", which the server averages architecture by architecture, or "answers" (logits on public rows).
    local: (participant, global model) -> the loss on a client's data. history: its teacher, if it needs one, is the
    mean of so many of the last broadcast models. fuse: answers (K, N, C) -> one target, as logits, (N, C). server: by
    which the server's models learn that target. client: by which clients that send answers learn what they get on
    public rows; ``returns_server``: it is the server's own answers, not the target. encode: what is done to answers on
    the wire. samples: models drawn around the clients' weights (FedBE), who answer too. refine: in place of ``fuse``.
    tell: what else a client sends.
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
    tell: Tell = lambda _: {}


def seed_of(seed: int, role: Literal["learn", "digest", "serve", "draw"], number: int, who: int = 0) -> int:
    """The seed of what a participant does in a round: neither order nor how many take part changes it."""
    words = np.random.SeedSequence((seed, _ROLES.index(role), number, who)).generate_state(1)
    return int(words[0]) >> 1


def pack_state(model: nn.Module) -> Message:
    """A model's weights as entries of a message: copies."""
    return {_WEIGHTS + name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def unpack_state(message: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that a message holds."""
    return {name.removeprefix(_WEIGHTS): tensor for name, tensor in message.items() if name.startswith(_WEIGHTS)}


class Answers(nn.Module):
    """A model that says the same of the same rows: what came over the wire, as a teacher."""

    logits: Tensor

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self) -> Tensor:
        """What was sent."""
        return self.logits


def teach(
    model: nn.Module, target: Tensor, loss: Loss, public: Batch, *, seed: int, options: Mapping[str, Any]
) -> None:
    """One model learns a target on the public rows; ``options`` of ``fit``."""
    device = next((p.device for p in model.parameters()), target.device)
    task = Distiller(model, Answers(target.to(device)), copy.deepcopy(loss))
    fit(task, public, seed=seed, progress=False, **options)


@torch.no_grad()
def answer(method: Method, model: nn.Module, public: Batch) -> Tensor:
    """A model's answers on the public rows, as they go over the wire: (N, C)."""
    return method.encode(Frozen(model)(public)["logits"])


def check_public(method: Method, public: Batch | None) -> None:
    """Raise ValueError where the method needs public rows and there are none."""
    if public is None and (method.fuse is not None or method.client is not None):
        raise ValueError("this method compares answers on public rows: give 'public', got None")


def stack(messages: Sequence[Message], name: str) -> Tensor:
    """One entry of all messages: (K, ...)."""
    return torch.stack([message[name] for message in messages])


def architecture(model: nn.Module) -> tuple:
    """What models whose weights can be averaged share: class, names and shapes."""
    shapes = ((name, tuple(tensor.shape)) for name, tensor in model.state_dict().items())
    return (type(model).__module__, type(model).__qualname__, *shapes)


def kinds_of(models: Iterable[nn.Module]) -> list[int]:
    """The number of each model's architecture, counted as they first come."""
    keys = [architecture(model) for model in models]
    kinds = list(dict.fromkeys(keys))
    return [kinds.index(key) for key in keys]
