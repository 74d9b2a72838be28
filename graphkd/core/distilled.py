"""Result of a run: the trained model, and a card that describes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from safetensors.torch import load, save
from torch import Tensor, nn

from graphkd.core.files import replacing
from graphkd.core.store import sealed
from graphkd.core.wrappers import load_plain_state, plain_state

_WEIGHTS, _CARD = "model.safetensors", "card.json"
_SUM = "sha256"  # of the weights, in the card


@dataclass
class Distilled:
    """A trained student.

    model: the module that serves, plain and in eval mode. scores: {"val": {...}, "test": {...}}, by the task's metrics,
    for the parts that the data have. method: its name. history: one report per epoch, with the name of its stage. card:
    method, settings, seed, data, versions and scores in plain values, as ``save`` writes them.
    """

    model: nn.Module
    scores: dict[str, dict[str, float]]
    method: str
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)
    card: dict[str, Any] = field(default_factory=dict, repr=False)

    def save(self, folder: str | Path) -> None:
        """Write the weights (safetensors) and the card (JSON), with checksums, into a folder, created if missing.

        Raises TypeError where the model's state has anything but tensors.

        Example::

            result.save("student/")
            student = Distilled.load("student/", Student()).model
        """
        folder = Path(folder)
        state = plain_state(self.model)
        others = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
        if others:
            raise TypeError(f"weights must be tensors to be saved; {type(self.model).__name__} has others in {others}")
        weights = save({name: value.detach().cpu().contiguous().clone() for name, value in state.items()})
        folder.mkdir(parents=True, exist_ok=True)
        card = sealed({**self.card, _SUM: hashlib.sha256(weights).hexdigest()})
        for name, content in ((_WEIGHTS, weights), (_CARD, card)):
            with replacing(folder / name) as file:
                file.write(content)

    @classmethod
    def load(cls, folder: str | Path, model: nn.Module) -> Self:
        """Read what ``save`` wrote into a model of the same architecture; nothing that is read runs as code.

        Raises FileNotFoundError where a file is missing; ValueError where one is damaged or belongs to another student,
        and where the weights of ``model`` have other names or shapes.
        """
        folder = Path(folder)
        for name in (_WEIGHTS, _CARD):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"no saved student at {str(folder)!r}: it has no {name}")
        weights, card = _checked(folder)
        try:
            load_plain_state(model, load(weights))
        except RuntimeError as error:
            raise ValueError(
                f"'model' must be the architecture that was saved, {card.get('model')}: {error}"
            ) from error
        return cls(model.eval(), dict(card["scores"]), str(card["method"]), card=card)


def _checked(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """Read the weights and the card in a folder; ValueError where they were not written together."""
    weights, raw = ((folder / name).read_bytes() for name in (_WEIGHTS, _CARD))
    try:
        card = dict(json.loads(raw))
    except (ValueError, TypeError, RecursionError):
        card = {_SUM: ""}
    seal, checksum = card.pop("seal", None), card.pop(_SUM, None)
    if seal is not None or checksum is not None:
        wrong = [_CARD] if sealed({**card, _SUM: checksum}) != raw else []
        wrong += [_WEIGHTS] if hashlib.sha256(weights).hexdigest() != checksum else []
        if wrong:
            raise ValueError(
                f"the student saved at {str(folder)!r} is damaged, not what was written: {' and '.join(wrong)}; take "
                "another copy, or save it again"
            )
    return weights, card
