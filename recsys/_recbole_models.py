"""Names and kinds of RecBole's models, found without importing any of them."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_FOLDERS = {
    "general_recommender": "GENERAL",
    "context_aware_recommender": "CONTEXT",
    "sequential_recommender": "SEQUENTIAL",
    "knowledge_aware_recommender": "KNOWLEDGE",
    "exlib_recommender": "DECISIONTREE",
}
_ELSEWHERE = {
    "GENERAL": "general recommenders are loaded and built by recsys.bridge",
    "TRADITIONAL": "general recommenders are loaded and built by recsys.bridge",
    "CONTEXT": "context-aware models are loaded and built by recsys.models.context",
    "SEQUENTIAL": "load its data by recsys.bridge.load(..., model='SASRec'), then sequential models are built",
    "KNOWLEDGE": "load its data by recsys.bridge.load(..., model='CKE'), then models of knowledge graphs are built",
    "DECISIONTREE": "decision trees are not taken here",
}


@cache
def kinds() -> dict[str, str]:
    """Map the name of every model to its kind, as RecBole's folders group them; empty without RecBole."""
    found = find_spec("recbole")
    known: dict[str, str] = {}
    for root in (found.submodule_search_locations if found else None) or ():
        for folder, kind in _FOLDERS.items():
            for path in sorted(Path(root, "model", folder).glob("*.py")):
                classes = re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), flags=re.M)
                known |= {name: kind for name in classes if name.lower() == path.stem}
    return known


def check_model(model: str | type, wanted: str, allowed: Sequence[str]) -> None:
    """Raise ValueError for a name that no model has, TypeError for a model that is not of an ``allowed`` kind."""
    if isinstance(model, str):
        if model not in kinds():
            those = ", ".join(name for name, kind in kinds().items() if kind in allowed)
            raise ValueError(f"RecBole has no model {model!r}; {did_you_mean(model) or f'those taken here: {those}'}")
        name, kind = model, kinds()[model]
    else:
        name, kind = _of_class(model, wanted)
    if kind not in allowed:
        raise TypeError(f"'model' must be {wanted}, got {name} of type {kind}: {_ELSEWHERE[kind]}")


def did_you_mean(name: str) -> str:
    """Suggest the model of the nearest name, as a question; empty where none is near."""
    known = {each.lower(): each for each in kinds()}
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {known[near[0]]!r}?" if near else ""


def _of_class(model: type, wanted: str) -> tuple[str, str]:
    """Return the name and kind of a class; TypeError for a class that is not a RecBole model."""
    from recbole.model.abstract_recommender import AbstractRecommender

    if not (inspect.isclass(model) and issubclass(model, AbstractRecommender)):
        got = model.__name__ if inspect.isclass(model) else type(model).__name__
        raise TypeError(
            f"'model' must be {wanted}: the name of one of RecBole's or a class that derives from one, got {got}"
        )
    kind = getattr(getattr(model, "type", None), "name", "")  # every torch module has a method of that name
    if not kind:
        raise TypeError(
            f"'model' must be {wanted}, got {model.__name__}, which does not say what it is: derive it from "
            "recbole.model.abstract_recommender.GeneralRecommender, or from one of RecBole's models"
        )
    return model.__name__, kind
