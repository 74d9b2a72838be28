"""Shared code of both sides of a federated method: messages, seeds, learning from answers, and training of stages."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import torch
from torch import Tensor, nn

from graphkd.core.adam import adam
from graphkd.core.batches import changed
from graphkd.core.distiller import Distiller
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.models import shown
from graphkd.core.view import Batch, Call
from graphkd.schemes.augment import told
from graphkd.schemes.federated._checks import Entry, entries_of

Message = dict[str, Tensor]  # what goes over the wire

LEAST = 1e-12  # a probability of 0 over the wire
WEIGHTS = "weights."  # prefix of a message's entries that hold weights
Role = Literal["learn", "digest", "serve", "draw", "transfer", "begin"]


class Train(Protocol):
    """Training function of a participant or a server: ``Problem.train`` in ``graphkd.distil``, else ``train_alone``."""

    def __call__(self, trainable: nn.Module, name: str, data: Any, *, seed: int, **options: Any) -> Any:
        """Train; ``options`` are "epochs", "lr" and others of ``fit``."""


def train_alone(trainable: nn.Module, name: str, data: Any, *, seed: int, lr: float = 0.01, **options: Any) -> None:
    """Train by ``fit``, by Adam with the rate ``lr`` unless ``options`` have another optimiser.

    If a folder is given as ``checkpoint``, each training has its own folder in it, called ``name``.
    """
    options = {"optimizer": adam(lr=lr), "progress": False, **options}
    if options.get("checkpoint") is not None:
        options["checkpoint"] = Path(options["checkpoint"]) / name
        options["resume"] = "auto" if options.get("resume") else False
    fit(trainable, data, seed=seed, title=name, **options)


def seed_of(seed: int, role: Role, number: int, who: int = 0) -> int:
    """Compute a participant's seed in a round; it does not depend on the order and number of participants."""
    return int(np.random.SeedSequence((seed, get_args(Role).index(role), number, who)).generate_state(1)[0]) >> 1


def pack_state(model: nn.Module) -> Message:
    """Copy a model's weights into entries of a message."""
    return {WEIGHTS + name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def weights_entries(model: nn.Module, max_value: float) -> dict[str, Entry]:
    """Return the requirements on a message of this architecture's weights."""
    return {WEIGHTS + name: entry for name, entry in entries_of(model.state_dict(), max_value).items()}


def unpack_state(message: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights in a message."""
    return {name.removeprefix(WEIGHTS): tensor for name, tensor in message.items() if name.startswith(WEIGHTS)}


def stack(messages: Sequence[Message], name: str) -> Tensor:
    """Stack one entry of all messages: (K, ...)."""
    return torch.stack([message[name] for message in messages])


def taught(
    model: nn.Module,
    target: Tensor,
    public: Any,
    loss: Loss,
    call: Call | None,
    kind: Callable[..., Distiller] = Distiller,
) -> tuple[Distiller, Any]:
    """Make the distiller of a model on a target, and public rows with that target."""
    return kind(model, told("told"), copy.deepcopy(loss), call=call), changed(public, told=target)


def answer(model: nn.Module, public: Batch, call: Call | None = None) -> Tensor:
    """Compute a model's answers on public rows: (N, C)."""
    with shown(model, call) as show:
        return show(public)["logits"]


def kinds_of(models: Iterable[nn.Module]) -> list[int]:
    """Number the models' architectures (class, names and shapes) in order of first occurrence."""
    keys = [(type(model), *((name, value.shape) for name, value in model.state_dict().items())) for model in models]
    kinds = list(dict.fromkeys(keys))
    return [kinds.index(key) for key in keys]
