"""Coding of soft labels as bytes: few bits an entry, and differences to the code sent before (CFD)."""

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

    Returns the point nearest in L1 whose entries are multiples of 1 / (2^bits - 1) and sum to 1: every entry is rounded
    down, and the remaining units go to the largest remainders, the first class among equal ones. One bit gives the
    one-hot argmax. O(N C log C).
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
    """Compute a number that tells codes apart, 0 for none."""
    return torch.tensor(0 if code is None else zlib.crc32(code.numpy().tobytes()))


@dataclass(frozen=True)
class DeltaCode:
    """Code of soft labels in messages: ``bits`` bits per entry; with ``delta`` only changes are sent.

    A message has "coded", the bytes of a code or, where both sides have the previous code, of the difference from it;
    "base", the ``checksum`` of that previous code, 0 for none; and "known", the checksum of the latest code that the
    sender received. So a side that missed a message is sent a whole code.
    """

    bits: int = 1
    delta: bool = True

    def coded(self, answers: Tensor) -> Tensor:
        """Encode the quantised probabilities of logits as bytes, (N, C) -> (n,)."""
        units = quantise(answers.softmax(dim=-1), self.bits).cpu().mul(2**self.bits - 1).round().long()
        planes = units.flatten()[:, None].bitwise_right_shift(torch.arange(self.bits)).bitwise_and(1)
        return torch.from_numpy(np.packbits(planes.numpy().astype(np.uint8)))

    def decoded(self, code: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Decode bytes to logarithms of the quantised probabilities, (n,) -> (N, C)."""
        entries = int(np.prod(shape))
        planes = torch.from_numpy(np.unpackbits(code.numpy(), count=entries * self.bits)).long()
        units = (planes.reshape(entries, self.bits) << torch.arange(self.bits)).sum(dim=1)
        return (units.reshape(shape) / (2**self.bits - 1)).clamp_min(LEAST).log()

    def message(self, code: Tensor, base: Tensor | None, known: Tensor | None) -> Message:
        """Build a message: a code, against ``base`` if there is one, and the checksum of the other side's last code."""
        base = base if self.delta else None
        body = code if base is None else code ^ base
        sent = torch.from_numpy(np.frombuffer(zlib.compress(body.numpy().tobytes(), 9), dtype=np.uint8).copy())
        return {"coded": sent, "base": checksum(base), "known": checksum(known)}

    def read(self, message: Message, base: Tensor | None, shape: tuple[int, ...], sender: str) -> Tensor:
        """Read the code in a message; ValueError that names the sender where it is invalid, or against another base."""
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
        """Return the requirements on a coded message."""
        return {"coded": Entry((None,), torch.uint8, 0, 255, free=True), "base": _SUM, "known": _SUM}


class Coded:
    """Codes that a server has sent and received: the last one of every client, and the last two targets'."""

    def __init__(self, code: DeltaCode | None) -> None:
        self.code = code
        self.codes: dict[int, Tensor] = {}
        self.known: dict[int, int] = {}  # the checksum of the target that a client says it has
        self.targets: list[Tensor] = []

    def broadcast(self, who: int) -> Message:
        """Build the message with the last target, if there is one, and the checksum of the client's last code."""
        assert self.code is not None
        if not self.targets:
            return {"known": checksum(self.codes.get(who))}
        has = [code for code in self.targets[:-1] if self.known.get(who) == int(checksum(code))]
        return self.code.message(self.targets[-1], has[0] if has else None, self.codes.get(who))

    def tell(self, target: Tensor) -> None:
        """Encode the target that is sent next, and store the code."""
        if self.code is not None:
            self.targets = [*self.targets, self.code.coded(target)][-2:]

    def read(self, who: int, message: Message, shape: tuple[int, ...]) -> Message:
        """Decode the answers in a client's message."""
        assert self.code is not None
        code = self.code.read(message, self.codes.get(who), shape, named(who))
        return {**message, "code": code, "answers": self.code.decoded(code, shape)}

    def kept(self, who: int, message: Message) -> Message:
        """Return a valid message, and store its code as the base of the next one."""
        if self.code is not None:
            self.codes[who], self.known[who] = message.pop("code"), int(message["known"])
        return message

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes from round to round."""
        return {"codes": dict(self.codes), "known": dict(self.known), "targets": list(self.targets)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` left off."""
        self.codes, self.known, self.targets = dict(state["codes"]), dict(state["known"]), list(state["targets"])
