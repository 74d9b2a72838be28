"""Sequences in which the next item follows from the last one most of the time."""

from __future__ import annotations

import torch

from recsys.data import Sequences, SequenceSplit


def chains(users: int = 60, items: int = 40, *, length: int = 9, seed: int = 0) -> Sequences:
    """Users walk along one fixed ring of items from where they begin, and now and then jump."""
    generator = torch.Generator().manual_seed(seed)
    ring = torch.randperm(items, generator=generator) + 1
    events = []
    for user in range(1, users + 1):
        place = int(torch.randint(items, (1,), generator=generator))
        for _ in range(2 + int(torch.randint(length, (1,), generator=generator))):
            events.append((user, int(ring[place])))
            jump = float(torch.rand(1, generator=generator)) < 0.1
            place = int(torch.randint(items, (1,), generator=generator)) if jump else (place + 1) % items
    found = torch.tensor(events)
    return Sequences.from_events(found[:, 0], found[:, 1], num_items=items + 1)


def chain_split(max_length: int = 6, **options: int) -> SequenceSplit:
    """The same, split."""
    return SequenceSplit.leave_one_out(chains(**options), max_length)
