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
    """Network that changes features, in front of the model that it attacks; returns ``logits`` and the changed ``x``.

    ``attack(x)`` returns the changed features alone, in one pass of the net, for any model that reads such features.
    ``forward`` takes the arguments of ``source``, the attacked model. epsilon: how far each feature is changed.
    """

    def __init__(self, net: nn.Module, source: nn.Module, epsilon: float) -> None:
        super().__init__()
        self.net, self.source, self.epsilon = net, source, epsilon

    def attack(self, x: Tensor) -> Tensor:
        """Change each feature by epsilon in the direction that the net predicts: (N, F) -> (N, F)."""
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
    """Attack a model's own answer to each row, and return which way its features moved, in [0, 1]: -> (N, F).

    (change / epsilon + 1) / 2 for the change that ``attacked`` makes, from zeros in ``steps`` steps of epsilon / 4,
    against the class that the model itself gives a row, so that no labels are needed. The model is in eval mode. call:
    replaces its by-name call. Costs steps + 1 passes forward and ``steps`` backward. Raises ValueError unless
    ``epsilon`` is above 0.
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
        "sparse": "it changes the features adversarially",
        "ensemble": "its attack follows gradients through its teacher's model",
        "student": "it trains an attacking net, from features to their changes",
    },
)
def white_to_black(
    problem: Problem, *, epsilon: float = 0.03137254901960784, steps: int = 10, inner: int = 128
) -> nn.Module:
    """Learn to attack in one pass as a white-box attack does in many; choose it to test models of hidden weights.

    A white-box attack on the teacher, the source model, computes for all nodes at once in which direction to change
    each feature (``white_box_directions``); a net with one hidden layer of width ``inner`` learns these directions by
    ``BCE`` from the features alone. Returns a ``OnePassAttack``, whose ``attack(x)`` also applies to new nodes and
    other models: where these learnt the same patterns as the source, they err as it does. ``result.scores`` are the
    source's under the attack: the lower, the better the attack. No labels are read. Runs to the last epoch. Costs the
    white-box attack once, ``steps`` passes forward and backward; each attack after that costs one pass of the net.
    epsilon: how far every feature is changed, by default 8/255, ARD's for images: set it to a small change of your
    features.

    The paper's attack flips characters of a text, and its net learns the chosen flip by cross-entropy; for features a
    flip becomes the direction, up or down, of each. Its net edits one character per pass, ours changes all features in
    one. Features are continuous here and not clipped to a range; edges stay. Embeddings of items can be the features
    where both models read the same ones; embeddings that a model learns itself do not transfer to another model.

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
