"""Pairs in safetensors files: written atomically, and read only if they are unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from graphkd.core.files import replacing
from graphkd.core.fingerprint import fingerprint
from recsys.data.ids import check_ids
from recsys.data.interactions import Interactions, Split

_SEAL = "sha256"
_OF_EVENTS = ("repeats", "times", "rows")
_PARTS = ("train", "valid", "test")
TOKENS = ("user_tokens", "item_tokens")
Tokens = tuple[tuple[str, ...] | None, tuple[str, ...] | None]


def packed(pairs: Interactions, name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a set of pairs, and its sizes and tokens as text, all under a name."""
    tensors = {"ptr": pairs.ptr, "items": pairs.items, **{key: getattr(pairs, key) for key in _OF_EVENTS}}
    sizes = {"num_users": pairs.num_users, "num_items": pairs.num_items, "padding": pairs.padding}
    texts = {name: json.dumps(sizes), **texts_of(pairs, f"{name}.")}
    return {f"{name}.{key}": each for key, each in tensors.items() if each is not None}, texts


def texts_of(tokens: Any, prefix: str = "") -> dict[str, str]:
    """Return as text the tokens of users and items of an object, where it has them."""
    known = {name: getattr(tokens, name, None) for name in TOKENS}
    return {f"{prefix}{name}": json.dumps(found) for name, found in known.items() if found is not None}


def tokens_in(texts: Mapping[str, str], sizes: Sequence[int], prefix: str = "") -> Tokens:
    """Read the tokens of users and items; ValueError where their number differs from the number of rows."""
    found = [tuple(json.loads(texts[key])) if (key := f"{prefix}{name}") in texts else None for name in TOKENS]
    for name, tokens, size in zip(TOKENS, found, sizes, strict=True):
        if tokens is not None and len(tokens) != size:
            raise ValueError(f"{prefix + name!r} must name {size} rows, got {len(tokens)} names")
    return found[0], found[1]


def unpacked(tensors: Mapping[str, Tensor], texts: Mapping[str, str], name: str) -> Interactions:
    """Rebuild a set of pairs; ValueError for invalid entries."""
    sizes = json.loads(texts[name])
    ptr, items, repeats, times, rows = (tensors.get(f"{name}.{key}") for key in ("ptr", "items", *_OF_EVENTS))
    if ptr is None or items is None or ptr.shape != (sizes["num_users"] + 1,) or items.dim() != 1:
        raise ValueError(f"{name!r} must hold pairs of {sizes}, got the entries {sorted(tensors)}")
    steps = ptr.diff()
    if int(ptr[0]) != 0 or int(ptr[-1]) != len(items) or bool((steps < 0).any()):
        raise ValueError(f"{name!r} must hold pointers that rise from 0 to {len(items)}, got {ptr[:3].tolist()} ...")
    if repeats is not None and repeats.shape != items.shape:
        raise ValueError(f"{name!r} must count each of its {len(items)} pairs, got {len(repeats)} counts")
    count = len(items) if repeats is None else int(repeats.sum())
    if any(each is not None and each.shape != (count,) for each in (times, rows)):
        raise ValueError(f"{name!r} must have times and rows of each of its {count} events, got others")
    check_ids(name, items, sizes["num_items"], sizes["padding"])
    numbers = sizes["num_users"], sizes["num_items"]
    users, things = tokens_in(texts, numbers, f"{name}.")
    return Interactions(ptr.long(), items.int(), *numbers, sizes["padding"], repeats, times, rows, users, things)


def save(pairs: Interactions, path: str | Path) -> None:
    """Write a set of pairs to a safetensors file, atomically."""
    write(path, *packed(pairs, "pairs"))


def load(path: str | Path) -> Interactions:
    """Read a set of pairs that ``save`` wrote; ValueError for a file that is damaged or has other contents."""
    tensors, texts = read(path)
    if "pairs" not in texts:
        raise ValueError(f"{str(path)!r} must hold pairs, as Interactions.save writes them, got {sorted(tensors)}")
    return unpacked(tensors, texts, "pairs")


def save_split(split: Split, path: str | Path) -> None:
    """Write the three sets of a split to a safetensors file, atomically, and its tokens once."""
    tensors, texts = dict[str, Tensor](), texts_of(split)
    for name in _PARTS:
        nameless = replace(getattr(split, name), user_tokens=None, item_tokens=None)
        pairs, sizes = packed(nameless, name)
        tensors |= pairs
        texts |= sizes
    write(path, tensors, texts)


def load_split(path: str | Path) -> Split:
    """Read a split that ``save_split`` wrote; ValueError for a file that is damaged or has other contents."""
    tensors, texts = read(path)
    if not set(_PARTS) <= set(texts):
        raise ValueError(f"{str(path)!r} must hold a split, as Split.save writes it, got {sorted(tensors)}")
    sets = [unpacked(tensors, texts, name) for name in _PARTS]
    users, items = tokens_in(texts, (sets[0].num_users, sets[0].num_items))
    train, valid, test = (replace(each, user_tokens=users, item_tokens=items) for each in sets)
    return Split(train, valid, test, users, items)


def write(path: str | Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write tensors and texts with a fingerprint, atomically: an interruption leaves the old file unchanged."""
    from safetensors.torch import save as encoded

    path = Path(path)
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(encoded(kept, {**texts, _SEAL: fingerprint((kept, dict(texts)))}))


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and texts; ValueError that names the file unless it is exactly as ``write`` wrote it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            names = file.keys()
            tensors, texts = {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{str(path)!r} must be a safetensors file, but could not be read as one: {error}") from error
    seal = texts.pop(_SEAL, None)
    if seal is not None and seal != fingerprint((tensors, texts)):
        raise ValueError(f"{str(path)!r} is damaged: what it holds is not what was written; copy or export it again")
    return tensors, texts
