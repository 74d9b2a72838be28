"""Checks of messages before they are used: names, shapes, dtypes, and values within bounds."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

_log = logging.getLogger(__name__)
MAX_SIZE = 10**6  # examples of a client
MAX_VALUE = 1e6  # magnitude of a weight or an answer
_MAX_COUNTER = 2**53


class Entry(NamedTuple):
    """Requirements on one entry of a message.

    shape: None stands for a size that the server does not know. dtype: None for any floating one. low, high: the least
    and the greatest value; ``bound``: the server's argument that sets them. Most clients must agree on an unknown size
    or dtype, unless the entry is ``free``.
    """

    shape: tuple[int | None, ...]
    dtype: torch.dtype | None = None
    low: float = -MAX_VALUE
    high: float = MAX_VALUE
    bound: str = "max_value"
    free: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether clients must agree on the size or dtype."""
        return not self.free and (self.dtype is None or None in self.shape)


Reference = Mapping[str, Entry]


def size_entry(max_size: float) -> Entry:
    """Make the requirements on the number of examples that a client learnt from."""
    return Entry((), torch.int64, 1, max_size, "max_size")


def entries_of(state: Mapping[str, Tensor], max_value: float = MAX_VALUE) -> dict[str, Entry]:
    """Make the requirements on weights: floats within ``max_value``, counters at least 0 unless given ones are not."""
    return {name: _entry_of(tensor, max_value) for name, tensor in state.items()}


def _entry_of(tensor: Tensor, max_value: float) -> Entry:
    shape, dtype = tuple(tensor.shape), tensor.dtype
    if tensor.is_floating_point() or tensor.is_complex():
        return Entry(shape, dtype, -max_value, max_value)
    least = 0 if not tensor.numel() or int(tensor.min()) >= 0 else -_MAX_COUNTER
    return Entry(shape, dtype, least, _MAX_COUNTER)


def named(who: int) -> str:
    """Name a client in an error message."""
    return f"client {who} (counted from 0)"


def check_message(message: Any, reference: Reference, sender: str) -> None:
    """Raise ValueError that names the sender and the entry unless a message meets its reference."""
    if message is None:
        raise ValueError(f"{sender}: there must be a message of it, none came: look at its own log")
    check_tensors(message, sender)
    missing, extra = sorted(set(reference) - set(message)), sorted(map(str, set(message) - set(reference)))
    if missing or extra:
        found = " and ".join(
            [*([f"{missing[:3]} missing"] if missing else []), *([f"{extra[:3]} besides"] * bool(extra))]
        )
        raise ValueError(
            f"{sender}: a message must hold the {len(reference)} entries that are expected, got {found}: all must run "
            "one architecture and one method"
        )
    for name, entry in reference.items():
        _check_entry(name, message[name], entry, sender)


def check_tensors(message: Any, sender: str) -> None:
    """Raise ValueError that names the sender and the entry unless a message maps names to dense tensors."""
    if not isinstance(message, Mapping):
        kind = type(message).__name__
        raise ValueError(f"{sender}: a message must map names to tensors, got {kind}: leave it out")  # noqa: TRY004
    for name, value in message.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            kind = str(value.layout) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{sender}: {name!r} must be a dense tensor, got {kind}: send what torch.tensor makes")


def _check_entry(name: str, value: Tensor, entry: Entry, sender: str) -> None:
    fits = len(value.shape) == len(entry.shape) and all(
        want in (None, got) for want, got in zip(entry.shape, value.shape, strict=False)
    )
    right = value.is_floating_point() if entry.dtype is None else value.dtype == entry.dtype
    if not fits or not right:
        want = ("of floats" if entry.dtype is None else str(entry.dtype)), str(entry.shape).replace("None", "any")
        raise ValueError(
            f"{sender}: {name!r} must be {want[0]} of shape {want[1]}, got {value.dtype} of shape "
            f"{tuple(value.shape)}: all must run one architecture and one precision"
        )
    _check_values(name, value, entry, sender)


def _check_values(name: str, value: Tensor, entry: Entry, sender: str) -> None:
    if value.dtype == torch.bool or not value.numel():
        return
    real = torch.view_as_real(value) if value.is_complex() else value
    low, high = (float(end) for end in real.detach().aminmax())
    if not math.isfinite(low) or not math.isfinite(high):
        raise ValueError(
            f"{sender}: {name!r} must be finite, got NaN or infinity: lower its learning rate, or leave it out"
        )
    if low < entry.low or high > entry.high:
        got = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise ValueError(
            f"{sender}: {name!r} must be from {entry.low:g} to {entry.high:g}, got {got}: leave it out, or give "
            f"{entry.bound!r} if that is true"
        )


def believed(
    messages: Sequence[Mapping[str, Tensor] | None],
    references: Sequence[Reference],
    number: int,
    least: int | None,
    read: Callable[[int, dict[str, Tensor]], dict[str, Tensor]] | None = None,
) -> dict[int, dict[str, Tensor]]:
    """Return the valid messages by client; None stands for a missing one.

    ``read``: (client, message) -> the message as it is used; its ValueError refuses the message too. ``least``
    messages, by default all, must be valid: otherwise raises ValueError that names the client. A round that goes on
    without some logs a warning for each.
    """
    refused: dict[int, ValueError] = {}
    found: dict[int, dict[str, Tensor]] = {}
    for who, (message, reference) in enumerate(zip(messages, references, strict=True)):
        try:
            check_message(message, reference, named(who))
            found[who] = dict(message or {}) if read is None else read(who, dict(message or {}))
        except ValueError as error:
            refused[who] = error
    if found:
        refused |= odd_ones(found, references[next(iter(found))])
    if refused:
        _check_enough(number, len(messages), refused, least)
    return {who: message for who, message in found.items() if who not in refused}


def _check_enough(number: int, clients: int, refused: Mapping[int, ValueError], least: int | None) -> None:
    left, first = clients - len(refused), next(iter(refused.values()))
    if least is None:
        raise first
    if left < least:
        raise ValueError(
            f"round {number + 1} must have 'min_clients' {least} messages to be believed, got {left} of {clients}; the "
            f"first that was refused: {first}"
        ) from first
    for error in refused.values():
        _log.warning("round %d goes on without one client: %s", number + 1, error)


def odd_ones(messages: Mapping[int, Mapping[str, Tensor]], reference: Reference) -> dict[int, ValueError]:
    """Find clients that differ from the majority in open sizes or dtypes; all where there is no majority."""
    found: dict[int, ValueError] = {}
    for name in (name for name, entry in reference.items() if entry.is_open):
        forms = {who: (message[name].dtype, tuple(message[name].shape)) for who, message in messages.items()}
        usual, count = Counter(forms.values()).most_common(1)[0]
        for who, form in forms.items():
            if form != usual or 2 * count <= len(forms):
                found[who] = ValueError(
                    f"{named(who)}: {name!r} must be alike for all, got {form[0]} of shape {form[1]}, {count} of "
                    f"{len(forms)} sent {usual[0]} of shape {usual[1]}: all must have the same classes, features and "
                    "precision"
                )
    return found


def check_sizes(sizes: Sequence[float] | Tensor, clients: int, max_size: float = MAX_SIZE) -> Tensor:
    """Return numbers of examples as a tensor (K,); ValueError that names the client whose number is out of bounds."""
    counts = torch.as_tensor(sizes)
    if counts.shape != (clients,) or counts.dtype == torch.bool or counts.is_complex():
        raise ValueError(f"'sizes' must be {clients} counts, one a client, got {counts.dtype} of {tuple(counts.shape)}")
    for who, count in enumerate(counts.tolist()):
        if not 0 < count <= max_size:  # NaN is neither
            raise ValueError(
                f"{named(who)}: 'sizes' must be {clients} counts above 0 and at most {max_size:g}, got {count:g}: "
                "leave it out, or give 'max_size' if that is true"
            )
    return counts
