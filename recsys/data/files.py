"""Pairs in safetensors files: written whole or not at all, and read only as they were written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from graphkd.core.files import replacing
from graphkd.core.fingerprint import fingerprint
from recsys.data.ids import check_ids
from recsys.data.interactions import Interactions

_SEAL = "sha256"


def packed(pairs: Interactions, name: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Give the tensors of a set of pairs and its sizes as text, both under a name."""
    tensors = {"ptr": pairs.ptr, "items": pairs.items, "repeats": pairs.repeats}
    sizes = {"num_users": pairs.num_users, "num_items": pairs.num_items, "padding": pairs.padding}
    return {f"{name}.{key}": each for key, each in tensors.items() if each is not None}, {name: json.dumps(sizes)}


def unpacked(tensors: Mapping[str, Tensor], texts: Mapping[str, str], name: str) -> Interactions:
    """Build the set of pairs again; ValueError for entries that are none."""
    sizes = json.loads(texts[name])
    ptr, items, repeats = (tensors.get(f"{name}.{key}") for key in ("ptr", "items", "repeats"))
    if ptr is None or items is None or ptr.shape != (sizes["num_users"] + 1,) or items.dim() != 1:
        raise ValueError(f"{name!r} must hold pairs of {sizes}, got the entries {sorted(tensors)}")
    steps = ptr.diff()
    if int(ptr[0]) != 0 or int(ptr[-1]) != len(items) or bool((steps < 0).any()):
        raise ValueError(f"{name!r} must hold pointers that rise from 0 to {len(items)}, got {ptr[:3].tolist()} ...")
    if repeats is not None and repeats.shape != items.shape:
        raise ValueError(f"{name!r} must count each of its {len(items)} pairs, got {len(repeats)} counts")
    check_ids(name, items, sizes["num_items"], sizes["padding"])
    return Interactions(ptr.long(), items.int(), sizes["num_users"], sizes["num_items"], sizes["padding"], repeats)


def save(pairs: Interactions, path: str | Path) -> None:
    """Write a set of pairs to a safetensors file, atomically."""
    write(path, *packed(pairs, "pairs"))


def load(path: str | Path) -> Interactions:
    """Read what ``save`` wrote; ValueError for a file that is damaged or holds something else."""
    tensors, texts = read(path)
    if "pairs" not in texts:
        raise ValueError(f"{str(path)!r} must hold pairs, as Interactions.save writes them, got {sorted(tensors)}")
    return unpacked(tensors, texts, "pairs")


def write(path: str | Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write tensors and texts, sealed by their fingerprint: an interruption leaves the old file as it was."""
    from safetensors.torch import save as encoded

    path = Path(path)
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(encoded(kept, {**texts, _SEAL: fingerprint((kept, dict(texts)))}))


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and texts; ValueError that names the file where it is not what ``write`` wrote."""
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
