"""The models of the click-through benchmark by name, what they cost, and how good their clicks are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.measure import timed
from datasets.clicks import Clicks
from recsys.data.rows import RowBatches
from recsys.evaluate.clicks import predicted, quality
from recsys.models.clicks import ClickNet, Several

CONTEXT = ("FM", "DeepFM", "DCN", "WideDeep")  # of RecBole's models those that were tried; others go by name too
_BLOCK = 8192


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


def hidden(model: nn.Module) -> tuple[str, int]:
    """Path and width of the last hidden layer."""
    if isinstance(model, ClickNet):
        return "layers", model.head.in_features
    inner: Any = model.model
    if not hasattr(inner, "mlp_layers"):
        raise ValueError(f"the hint needs a hidden layer, which {type(inner).__name__} has not")
    return "model.mlp_layers", int(inner.mlp_hidden_size[-1])


def embeddings(model: nn.Module) -> list[str]:
    """Paths of the embeddings, which light net and booster share."""
    if isinstance(model, ClickNet):
        return ["embedding"]
    tables = ("model.token_embedding_table", "model.token_seq_embedding_table")
    return [path for path in tables if hasattr(model.model, path.partition(".")[2])]


class Averaged(nn.Module):
    """The mean probability of several models, as logits."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.several = Several(models)

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """See the class."""
        return {"logits": self.several(batch)["logits"].double().sigmoid().mean(dim=1).logit()}


def judge(model: nn.Module, clicks: Clicks, ids: Tensor) -> dict[str, float]:
    """AUC, log loss and expected calibration error on some rows."""
    logits = predicted(model, RowBatches(clicks.rows, ids, batch_size=_BLOCK, shuffle=False))
    return quality(logits, clicks.rows.columns["y"][ids])


def cost(model: nn.Module, call: Callable[[], Any]) -> dict[str, float]:
    """Parameters, and milliseconds of a call that scores 1,000 rows, the median of nine."""
    model.eval()
    with torch.no_grad():
        call()
        seconds = sorted(timed(call, 9))[4]
    return {"parameters": sum(p.numel() for p in model.parameters()), "latency_ms": 1e3 * seconds}
