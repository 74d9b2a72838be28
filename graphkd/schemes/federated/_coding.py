"""Soft labels as bytes: in few bits, and as the difference to what was sent before (CFD)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkd.schemes.federated._checks import Entry, Reference, named
from graphkd.schemes.federated._messages import LEAST, Message

_SUM = Entry((), torch.int64, 0, 2**32 - 1, "max_value")


def quantise(probabilities: Tensor, bits: int = 1) -> Tensor:
    """Code probabilities in few bits: (N, C) -> (N, C). Sattler et al., TNSE 2021, arXiv:2012.00632 (CFD).

    The point nearest in L1 whose entries are multiples of 1 / (2^bits - 1) and sum to 1: every entry rounded down, the
    units that are left to the largest remainders, of equal ones to the first class. One bit is the one-hot argmax.
    O(N C log C).
    """
    if not 1 <= bits <= 16:
        raise ValueError(f"'bits' must be from 1 to 16, got {bits}")
    levels = 2**bits - 1
    scaled = probabilities * levels
    units = scaled.floor()
    left = (levels - units.sum(dim=-1, keepdim=True)).round()
    rank = (scaled - units).argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    return (units + (rank < left)) / levels


def checksum(code: Tensor | None) -> Tensor:
    """A number that tells codes apart, 0 of none."""
    return torch.tensor(0 if code is None else zlib.crc32(code.numpy().tobytes()))


@dataclass(frozen=True)
class DeltaCode:
    """How soft labels go over the wire: ``bits`` bits an entry; ``delta`` codes changes alone.

    A message has "coded", the bytes of a code or, where both sides have the code before it, of what differs between the
    two; "base", the ``checksum`` of that one, 0 of none; and "known", the checksum of the latest code that the sender
    got. So a side that lost a message is sent a whole code.
    """

    bits: int = 1
    delta: bool = True

    def coded(self, answers: Tensor) -> Tensor:
        """Bytes of the quantised probabilities of logits, (N, C) -> (n,)."""
        units = quantise(answers.softmax(dim=-1), self.bits).cpu().mul(2**self.bits - 1).round().long()
        planes = units.flatten()[:, None].bitwise_right_shift(torch.arange(self.bits)).bitwise_and(1)
        return torch.from_numpy(np.packbits(planes.numpy().astype(np.uint8)))

    def decoded(self, code: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Logarithms of the quantised probabilities, (n,) -> (N, C)."""
        entries = int(np.prod(shape))
        planes = torch.from_numpy(np.unpackbits(code.numpy(), count=entries * self.bits)).long()
        units = (planes.reshape(entries, self.bits) << torch.arange(self.bits)).sum(dim=1)
        return (units.reshape(shape) / (2**self.bits - 1)).clamp_min(LEAST).log()

    def message(self, code: Tensor, base: Tensor | None, known: Tensor | None) -> Message:
        """What is sent: a code, against ``base`` if there is one, and what the sender has of the other side."""
        base = base if self.delta else None
        body = code if base is None else code ^ base
        sent = torch.from_numpy(np.frombuffer(zlib.compress(body.numpy().tobytes(), 9), dtype=np.uint8).copy())
        return {"coded": sent, "base": checksum(base), "known": checksum(known)}

    def read(self, message: Message, base: Tensor | None, shape: tuple[int, ...], sender: str) -> Tensor:
        """The code in a message; ValueError that names the sender where it is none, or against another than ours."""
        size = -(-int(np.prod(shape)) * self.bits // 8)
        unpacker = zlib.decompressobj()
        try:
            body = unpacker.decompress(message["coded"].numpy().tobytes(), size + 1)
        except zlib.error as error:
            raise ValueError(f"{sender}: 'coded' must be what zlib packed, it is not: {error}") from error
        if len(body) != size or not unpacker.eof:
            raise ValueError(f"{sender}: 'coded' must be the {size} bytes of {shape} entries, got others: same 'bits'?")
        code, against = torch.from_numpy(np.frombuffer(body, dtype=np.uint8).copy()), int(message["base"])
        if against == 0:
            return code
        if base is None or int(checksum(base)) != against:
            raise ValueError(f"{sender}: 'base' must be the code that came before, got another: send it whole")
        return code ^ base

    @property
    def entries(self) -> Reference:
        """What a coded message must hold."""
        return {"coded": Entry((None,), torch.uint8, 0, 255, free=True), "base": _SUM, "known": _SUM}


class Coded:
    """What a server has sent and got in a code: the last code of every client, and the last two targets'."""

    def __init__(self, code: DeltaCode | None) -> None:
        self.code = code
        self.codes: dict[int, Tensor] = {}
        self.known: dict[int, int] = {}  # the checksum of the target that a client says it has
        self.targets: list[Tensor] = []

    def broadcast(self, who: int) -> Message:
        """The last target, if there is one, and which code of the client's is known here."""
        assert self.code is not None
        if not self.targets:
            return {"known": checksum(self.codes.get(who))}
        has = [code for code in self.targets[:-1] if self.known.get(who) == int(checksum(code))]
        return self.code.message(self.targets[-1], has[0] if has else None, self.codes.get(who))

    def tell(self, target: Tensor) -> None:
        """Keep a target that goes out next."""
        if self.code is not None:
            self.targets = [*self.targets, self.code.coded(target)][-2:]

    def read(self, who: int, message: Message, shape: tuple[int, ...]) -> Message:
        """A client's message with the answers that it codes."""
        assert self.code is not None
        code = self.code.read(message, self.codes.get(who), shape, named(who))
        return {**message, "code": code, "answers": self.code.decoded(code, shape)}

    def kept(self, who: int, message: Message) -> Message:
        """A message that is believed, its code kept as the next one's base."""
        if self.code is not None:
            self.codes[who], self.known[who] = message.pop("code"), int(message["known"])
        return message

    def state_dict(self) -> dict[str, Any]:
        """All that changes from round to round."""
        return {"codes": dict(self.codes), "known": dict(self.known), "targets": list(self.targets)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` left off."""
        self.codes, self.known, self.targets = dict(state["codes"]), dict(state["known"]), list(state["targets"])
