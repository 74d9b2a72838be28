"""What a run gives back: the model that serves, and a card that says what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

_WEIGHTS, _CARD = "model.safetensors", "card.json"


@dataclass
class Distilled:
    """A trained student.

    model: what serves, a plain module in eval mode. scores: {"val": {...}, "test": {...}}, in the task's metric, for
    the parts that there are. method: its name. history: a report an epoch, with the name of its stage. card: method,
    settings, seed, data, versions and scores in plain values, as ``save`` writes them.
    """

    model: nn.Module
    scores: dict[str, dict[str, float]]
    method: str
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)
    card: dict[str, Any] = field(default_factory=dict, repr=False)

    def save(self, folder: str | Path) -> None:
        """Write the weights (safetensors) and the card (JSON) into a folder, which is made.

        Example::

            result.save("student/")
            student = Distilled.load("student/", Student()).model
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = self.model.state_dict()
        others = sorted(name for name, value in state.items() if not isinstance(value, Tensor))
        if others:
            raise TypeError(f"weights must be tensors to be saved; {type(self.model).__name__} has others in {others}")
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in state.items()}, folder / _WEIGHTS)
        (folder / _CARD).write_text(json.dumps(self.card, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: str | Path, model: nn.Module) -> Self:
        """Read what ``save`` wrote into a model of the same architecture; nothing that is read runs as code.

        Raises FileNotFoundError where there is none, ValueError where the model's weights have other names or shapes.
        """
        folder = Path(folder)
        for name in (_WEIGHTS, _CARD):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"no saved student at {str(folder)!r}: it has no {name}")
        card: Mapping[str, Any] = json.loads((folder / _CARD).read_text())
        try:
            model.load_state_dict(load_file(folder / _WEIGHTS))
        except RuntimeError as error:
            raise ValueError(
                f"'model' must be the architecture that was saved, {card.get('model')}: {error}"
            ) from error
        return cls(model.eval(), dict(card["scores"]), str(card["method"]), card=dict(card))
