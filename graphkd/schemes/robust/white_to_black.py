"""White-to-black: a network that in one pass makes the changes of features that a white-box attack finds in many.

Gil, Chai, Gorodissky and Berant, "White-to-Black: Efficient Distillation of Black-Box Adversarial Attacks", NAACL 2019,
arXiv:1904.02405.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.batches import changed, on_device
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.view import Batch, Call
from graphkd.losses._checks import check_positive
from graphkd.losses.response.bce import BCE
from graphkd.losses.response.ce import CE
from graphkd.schemes.robust.ard import attacked


class AttackNet(nn.Module):
    """Network that tells which way to change every feature of a node: (N, F) -> logits of "upwards" (N, F)."""

    def __init__(self, features: int, inner: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, inner), nn.ReLU(), nn.Linear(inner, features))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits."""
        return self.layers(x)


class OnePassAttack(nn.Module):
    """Network that changes features, in front of the model it was learnt from; shows ``logits`` and the changed ``x``.

    ``attack(x)`` gives the features alone, in one pass of the net, for any model that reads such features. ``forward``
    takes what the source does. epsilon: how far each feature is changed.
    """

    def __init__(self, net: nn.Module, source: nn.Module, epsilon: float) -> None:
        super().__init__()
        self.net, self.source, self.epsilon = net, source, epsilon

    def attack(self, x: Tensor) -> Tensor:
        """Change features by epsilon, each the way that the net tells: (N, F) -> (N, F)."""
        return x + self.epsilon * self.net(x).sign()

    @property
    def forward(self) -> Callable[..., dict[str, Tensor]]:  # type: ignore[override]
        """Return a ``forward`` with the source's arguments, to be filled by name -> its logits, and its ``x``."""

        @functools.wraps(self.source.forward)
        def answer(*inputs: Any, **named: Any) -> dict[str, Tensor]:
            given = inspect.signature(self.source.forward).bind(*inputs, **named)
            place = "x" if "x" in given.arguments else next(iter(given.arguments))
            given.arguments[place] = x = self.attack(given.arguments[place])
            shown = self.source(*given.args, **given.kwargs)
            return {**({"logits": shown} if isinstance(shown, Tensor) else shown), "x": x}

        return answer


def white_box_directions(
    source: nn.Module, batch: Batch, epsilon: float = 0.03, *, steps: int = 10, call: Call | None = None
) -> Tensor:
    """Attack what a model answers to each row, and tell which way features went, in [0, 1]: -> (N, F).

    (change / epsilon + 1) / 2, the change that of ``attacked`` from zeros by ``steps`` of epsilon / 4 against the class
    that the model itself gives a row, so that no labels are asked for. In eval mode; costs steps + 1 passes forward and
    ``steps`` backward.
    """
    check_positive("epsilon", epsilon)
    answers = Frozen(source, call=call)(batch)["logits"].argmax(dim=-1)
    x, own, start = batch["x"], changed(batch, y=answers), torch.zeros_like(batch["x"])
    with evaluating(source):
        worse = attacked(source, own, CE(where="all"), epsilon, steps=steps, start=start, call=call)
    return (((worse - x) / epsilon + 1) / 2).clamp(0, 1)


@method(
    "white_to_black",
    family="robust",
    paper="Gil et al., NAACL 2019",
    arxiv="1904.02405",
    survey=(160,),
    cannot={
        "ensemble": "its attack follows gradients through its teacher's model",
        "student": "it trains an attacking net, from features to their changes",
    },
)
def white_to_black(
    problem: Problem, *, epsilon: float = 0.03137254901960784, steps: int = 10, inner: int = 128
) -> nn.Module:
    """Learn to attack in one pass as a white-box attack does in many; choose it to test models of hidden weights.

    A white-box attack on the teacher, the source model, says of all nodes at once which way their features go
    (``white_box_directions``); a net of one hidden layer, ``inner`` wide, learns these ways by ``BCE`` from the
    features alone. Gives an ``OnePassAttack``, whose ``attack(x)`` serves new nodes and other models: where these
    learnt the same thing they err with the source. ``result.scores`` are the source's under the attack, the lower the
    better it is. No labels
    are read. Runs to the last epoch. Costs the white-box attack once, ``steps`` passes forward and backward; an attack
    after that costs one pass of the net. epsilon: how far every feature is changed, by default 8/255, ARD's for images:
    say what is little for yours.

    The paper's attack flips characters of a text, its net learns the flip that was taken by cross-entropy; of features,
    a flip is the way up or down of each. Its net edits one character a pass, ours changes all features in one. Features
    are continuous here, and have no range that they must keep to; edges stay. Embeddings of items do as features where
    both models read them; such as a model has learnt for itself have nothing in common with those of another.

    Raises ValueError for an ``epsilon`` that is not above 0.

    Example::

        result = graphkd.distil("white_to_black", None, source, data, epsilon=0.1)
        accuracy(hidden_model, changed(data, x=result.model.attack(data.x)))
    """
    source, call = copy.deepcopy(problem.teacher.model), problem.call_of(problem.teacher)

    def directions(batch: Any) -> Tensor:
        here = on_device(batch, problem.device)
        return white_box_directions(source, here, epsilon, steps=steps, call=call).to(batch["x"].device)

    data = problem.with_values(y=problem.once("directions", lambda: problem.gather(directions)))
    net = problem.made(lambda: AttackNet(problem.features, inner))
    served = OnePassAttack(net, source.requires_grad_(False), epsilon)
    distiller = problem.distiller(net, None, BCE(where="all"))
    return problem.train(distiller, data=data, serve=lambda _: served, choose=False)
