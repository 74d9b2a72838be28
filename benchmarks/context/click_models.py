"""The models of the click-through benchmark by name, and what they cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import timed
from datasets.clicks import Clicks
from recsys.models.clicks import ClickNet, Several

CONTEXT = ("FM", "DeepFM", "DCN", "WideDeep")  # of RecBole's models those that were tried; others go by name too


def check_model(text: str, dataset: str) -> None:
    """ValueError that says how models are named."""
    name, _, layers = _parts(text)
    if name != "net" and dataset != "ml-100k":
        raise ValueError(f"{text!r} is a model of RecBole, which needs 'ml-100k', got {dataset!r}; ours is net:8:16")
    if name != "net" and find_spec("recbole") is None:
        raise ValueError(f"{text!r} is a model of RecBole, which is not installed; ours is net:8:16")
    if name == "net" and not layers:
        raise ValueError(f"a net has layers, as in net:8:16, got {text!r}")


def _parts(text: str) -> tuple[str, int, list[int]]:
    found = re.fullmatch(r"(\w+):([1-9]\d*)(?::([1-9]\d*(?:-[1-9]\d*)*))?", text)
    if found is None:
        raise ValueError(
            f"a model is NAME:WIDTH or NAME:WIDTH:LAYER-LAYER-..., NAME being net or one of {', '.join(CONTEXT)} or "
            f"another context-aware model of RecBole, got {text!r}"
        )
    name, width, layers = found.groups()
    return name, int(width), [int(layer) for layer in (layers or "").split("-") if layer]


def build(text: str, clicks: Clicks) -> nn.Module:
    """The model NAME:WIDTH:LAYERS: embeddings of WIDTH; dropout 0.2 in the layers of RecBole's, as in its defaults."""
    name, width, layers = _parts(text)
    if name == "net":
        return ClickNet(clicks.rows.fields, width, layers)
    from recsys.models.context import context_model

    sizes: dict[str, Any] = {"embedding_size": width}
    return context_model(clicks.context, name, {**sizes, "mlp_hidden_size": layers} if layers else sizes)


def hidden(model: nn.Module) -> str:
    """Path of the last hidden layer."""
    if isinstance(model, ClickNet):
        return "layers"
    if not hasattr(model.model, "mlp_layers"):
        raise ValueError(f"the hint needs a hidden layer, which {type(model.model).__name__} has not")
    return "model.mlp_layers"


class Averaged(nn.Module):
    """The mean probability of several models, as logits."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.several = Several(models)

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """See the class."""
        return {"logits": self.several(batch)["logits"].double().sigmoid().mean(dim=1).logit()}


def cost(model: nn.Module, call: Callable[[], Any]) -> dict[str, float]:
    """Parameters, and milliseconds of a call that scores 1,000 rows, the median of nine."""
    model.eval()
    with torch.no_grad():
        call()
        seconds = sorted(timed(call, 9))[4]
    return {"parameters": sum(p.numel() for p in model.parameters()), "latency_ms": 1e3 * seconds}
