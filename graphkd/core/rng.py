"""Random generators: a seed for a block of code, and their whole state as plain tensors for checkpoints."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch, numpy and random inside the block, and restore their states after it; ValueError for no such seed."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= seed < 1 << 32:
        raise ValueError(f"'seed' must be a whole number from 0 to 2^32 - 1, which is what numpy takes, got {seed!r}")
    before = rng_state()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - loaders of others draw from the global generator
    torch.manual_seed(seed)
    try:
        yield
    finally:
        set_rng_state(before)


def rng_state() -> dict[str, Any]:
    """Return the state of torch's, numpy's and random's global generators, in types that ``checkpoint.save`` takes."""
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    version, words, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(gauss)),
        "random": (version, list(words), gauss_next),
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Restore the global generators from ``rng_state``."""
    keys, *rest = state["numpy"]
    version, words, gauss_next = state["random"]
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate((version, tuple(words), gauss_next))
