"""Models inside methods: new weights, and views without training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import on_device
from graphkd.core.modes import evaluating
from graphkd.core.teachers import Frozen, ask
from graphkd.core.view import Call, View, Viewer


def reset_parameters(model: nn.Module) -> None:
    """Give a model new weights, from the global generator, by the ``reset_parameters`` of its modules.

    Raises ValueError for a module with own parameters but no ``reset_parameters``: they would keep their values.
    """
    for path, module in model.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
        elif any(True for _ in module.parameters(recurse=False)) and not _is_reset_above(model, path):
            place = repr(path) if path else "the top"
            raise ValueError(
                f"{type(module).__name__} at {place} has parameters but no 'reset_parameters', so it cannot be made "
                "anew: give it one, or give 'student' as a factory, student=lambda: Model(...)"
            )


def _is_reset_above(model: nn.Module, path: str) -> bool:
    """Tell whether a module around the one at ``path`` resets it."""
    parts = path.split(".")
    above = [model.get_submodule(".".join(parts[:depth])) for depth in range(len(parts))]
    return any(hasattr(module, "reset_parameters") for module in above)


@contextmanager
def shown(
    model: nn.Module | Frozen, call: Call | None = None, path: str | None = None
) -> Iterator[Callable[[Any], View]]:
    """Show the views of a model or a teacher, in eval mode and without gradients; ``path`` adds ``hidden``.

    Yields a function batch -> view; after each call the model's modules are back in their train or eval mode.
    """
    taps = {} if path is None else {"hidden": path}
    if isinstance(model, Frozen):
        of = getattr(model, "model", None)
        place = next((p.device for p in of.parameters()), None) if isinstance(of, nn.Module) else None
        model.attach(taps)
        yield lambda batch: ask(model, batch if place is None else on_device(batch, place), taps)
        return
    viewer = Viewer(model, taps=taps, call=call)
    device = next((p.device for p in model.parameters()), None)

    @torch.no_grad()
    def show(batch: Any) -> View:
        with evaluating(model):
            view = viewer(batch if device is None else on_device(batch, device))
        return {name: view[name].detach() for name in view if isinstance(view[name], Tensor)}

    yield show
