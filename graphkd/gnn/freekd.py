"""FreeKD: two graph neural networks teach each other, and policies learn where which one is the teacher.

Feng, Li, Yuan and Wang, "FreeKD: Free-direction Knowledge Distillation for Graph Neural Networks", KDD 2022,
arXiv:2206.06561.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP

from graphkd.core.batches import Mapped, on_device
from graphkd.core.distiller import Step
from graphkd.core.fit import OptimizerFactory
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer, fill
from graphkd.gnn.freekd_transfer import (
    Actions,
    Shown,
    Similarity,
    centre_similarity,
    freekd_objective,
    freekd_reward,
    freekd_transfer,
    neighbourhoods,
    node_cross_entropy,
)
from graphkd.kernels.norms import deviations
from graphkd.losses.response.ce import cross_entropy

Reduction = Literal["mean", "sum"]


@method(
    "freekd",
    family="gnn",
    paper="Feng et al., KDD 2022",
    arxiv="2206.06561",
    needs=("edges",),
    published={"patience": 50},
    teacher=False,
    space={"gamma": (0.01, 1.0)},
)
def freekd_method(
    problem: Problem,
    *,
    peer: nn.Module | None = None,
    mu: float = 10.0,
    rho: float = 1.0,
    gamma: float = 0.5,
    similarity: Similarity = "cosine",
    scale: float = 10.0,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    confidence: float | None = None,
    standardise: bool = True,
    policy_width: int = 64,
    policy_lr: float = 1e-3,
) -> nn.Module:
    """Train the student and a peer that teach each other where a policy says so; choose it where no teacher is at hand.

    The peer is ``peer``, a node classifier, or else a student like the one given with weights of its own; the result is
    the student at its best epoch. See ``FreeKD`` for the algorithm, for our additions, and for the hyper-parameters.
    policy_width, policy_lr: hidden width and learning rate of the policies, which get no weight decay. Nodes are
    compared by the logits, or by the layer ``hidden``. ``result.history`` has the share of nodes that each peer taught.
    Costs two epochs of both peers per epoch.
    """
    phi, psi = problem.student, problem.fresh_student(1) if peer is None else peer
    models: dict[str, Any] = {"hidden": problem.path_of(phi), "calls": (problem.call_of(phi), problem.call_of(psi))}
    weights: dict[str, Any] = {"mu": mu, "rho": rho, "gamma": gamma}
    passed: dict[str, Any] = {"similarity": similarity, "scale": scale, "temperature": temperature}
    policies: dict[str, Any] = {"confidence": confidence, "standardise": standardise, "width": policy_width}
    options = {**models, **weights, **passed, **policies, "reduction": reduction, "where": problem.labelled}
    example = on_device(problem.first, problem.device)
    peers = problem.made(lambda: FreeKD(phi, psi, example, **options))
    optimizer_of, rounds = partial(peers.optimizer_of, policy_lr), FreeKDRounds(problem.data)
    return problem.train(peers, "peers", rounds, serve=lambda both: both[0], optimizer_of=optimizer_of)


class Round(NamedTuple):
    """Half an iteration: the peers learn from ``batch``, or with ``rewards`` the policies do."""

    batch: Any
    rewards: bool


class FreeKDRounds(Mapped):
    """Give every batch of ``data`` (a batch, or an iterable of them) twice in a row: to the peers, then the policies.

    Example::

        >>> [half.rewards for half in FreeKDRounds([data, data])]
        [False, True, False, True]
    """

    def __init__(self, data: Batch | Iterable[Batch]) -> None:
        super().__init__(data, copy.copy)  # moving PyG's Data to a device changes it

    def __iter__(self) -> Iterator[Any]:
        for batch in super().__iter__():
            for rewards in (False, True):
                yield Round(copy.copy(batch), rewards)

    def __len__(self) -> int:
        return 2 * super().__len__()


class _Turn(NamedTuple):
    """Store the policies' inputs and actions until the peers have learnt from them."""

    nodes: Tensor
    labels: Tensor
    states: tuple[Tensor, Tensor]
    actions: Actions


class FreeKD(Trainable):
    """Train two peers and policies that choose, node by node, who teaches whom; ``fit`` it on ``FreeKDRounds(data)``.

    An iteration: both peers run; a node policy draws a_i in {0, 1} from h_i^phi, h_i^psi and both cross-entropies; a
    structure policy draws from the same inputs, and from the mean similarity to the in-neighbours that each peer
    teaches, whether node i's local structure is passed on; both peers take a step on CE + mu L_node + rho L_structure
    (``freekd_transfer``); they run again, and the policies take a REINFORCE step on ``freekd_reward``.

    phi, psi: node classifiers (N, C). example: a batch that gives the widths. hidden: tap path(s) of h, by default
    the logits. calls: how to call each peer. where: the batch's mask of labelled nodes, by name. mu, rho, gamma:
    weights of the node losses, the structure losses, and the neighbours in the reward. similarity, scale, temperature,
    reduction: see ``freekd_transfer``. standardise: scale rewards of a batch to mean 0 and variance 1. width: of the
    policies' two hidden layers. ``student`` is the ``ModuleList`` of both peers. Terms: the losses of each peer,
    ``reward``, and the share of each action: ``phi_teaches``, ``psi_teaches``, ``structure_passed``.

    The authors published no code. Our choices: states without gradients; means over the nodes that can learn (the
    formulas can be read as a "sum"); mu, rho and gamma; cosines at a temperature of 0.1 for SIM, as contrastive losses
    use (at 1 their softmax is flat, and the structure losses were 1e-5 of the objective); tanh in the policies; rewards
    of peers in eval mode; no baseline. Only labelled nodes act and teach neighbours, since states and rewards need
    labels. With ``confidence``, our addition, an unlabelled node acts too if the peers' mean probability of some class
    is at least that, and this class replaces its label. One process only. An iteration costs two runs of each peer,
    O(N C + E d).

    Example::

        >>> peers = FreeKD(student, teacher, data, hidden="convs.0", where="train_mask")
        >>> learn, reward = FreeKDRounds(data)
        >>> {"label_phi", "node_phi", "structure_phi"} <= set(peers(learn).terms)
        True
        >>> list(peers(reward).terms)
        ['reward']
    """

    def __init__(
        self,
        phi: nn.Module,
        psi: nn.Module,
        example: Batch,
        *,
        hidden: str | tuple[str, str] | None = None,
        calls: Sequence[Call | None] = (None, None),
        where: str,
        mu: float = 10.0,
        rho: float = 1.0,
        gamma: float = 0.5,
        similarity: Similarity = "cosine",
        scale: float = 10.0,
        temperature: float = 1.0,
        reduction: Reduction = "mean",
        confidence: float | None = None,
        standardise: bool = False,
        width: int = 64,
    ) -> None:
        super().__init__()
        if confidence is not None and not 0 < confidence <= 1:
            raise ValueError(f"'confidence' must be in (0, 1], got {confidence}")
        self.student = nn.ModuleList((phi, psi))
        paths = (hidden, hidden) if isinstance(hidden, str) else hidden or (None, None)
        taps = [{} if path is None else {"hidden": path} for path in paths]
        sides = zip((phi, psi), taps, calls, strict=True)
        self._viewers = [self.hold(Viewer(peer, taps=tap, call=call)) for peer, tap, call in sides]
        state = 2 + sum(shown.hidden.size(1) for shown in self._evaluate(example))
        widths = [[inputs, width, width, 1] for inputs in (state, state + 2)]
        self.policies = nn.ModuleList(MLP(each, act="tanh", norm=None) for each in widths)
        self.where, self.mu, self.rho, self.gamma = where, mu, rho, gamma
        self.similarity, self.confidence, self.standardise = similarity, confidence, standardise
        self._transfer = partial(
            freekd_transfer, similarity=similarity, scale=scale, temperature=temperature, reduction=reduction
        )
        self._turn: _Turn | None = None

    def optimizer_of(self, policy_lr: float, make: OptimizerFactory) -> OptimizerFactory:
        """Make an optimiser's factory give the policies their own learning rate and no weight decay."""

        def grouped(_: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            policies = {"params": list(self.policies.parameters()), "lr": policy_lr, "weight_decay": 0.0}
            groups: Any = [{"params": [p for p in self.student.parameters() if p.requires_grad]}, policies]
            return make(groups)

        return grouped

    def forward(self, half: Round) -> Step:
        """Compute the peers' losses, or minus the policies' objective for the actions of the previous half.

        Raises TypeError for anything but a round of ``FreeKDRounds``, RuntimeError for rewards without actions.
        """
        if not isinstance(half, Round):
            raise TypeError(f"FreeKD takes what FreeKDRounds(data) gives, got {type(half).__name__}")
        return self._reward(half.batch) if half.rewards else self._learn(half.batch)

    def _learn(self, batch: Batch) -> Step:
        inputs = fill(("y", "edge_index", self.where), batch, "FreeKD")
        y, edge_index, labelled = inputs.values()
        shown = self._show(batch)
        self._turn = turn = self._act(shown, y, edge_index, labelled)
        acts = turn.actions.node >= 0
        terms: dict[str, Tensor] = {}
        total: Any = 0.0
        for name, student, teacher, direction in (("phi", *shown, 1), ("psi", *shown[::-1], 0)):
            label = cross_entropy(student.logits[labelled], y[labelled])
            passed = self._transfer(student, teacher, turn.actions, edge_index, direction=direction, where=acts)
            parts = zip(_PARTS, (1.0, self.mu, self.rho), (label, *passed), strict=True)
            weighed = {f"{part}_{name}": (weight, value) for part, weight, value in parts}
            total = total + self.weighed(weighed)
            terms |= {term: value for term, (_, value) in weighed.items()}
        if turn.nodes.numel():
            node, structure = (action[acts].double().mean() for action in turn.actions)
            terms |= {"phi_teaches": 1 - node, "psi_teaches": node, "structure_passed": structure}
        return Step(total, {name: value.detach() for name, value in terms.items()})

    def _reward(self, batch: Batch) -> Step:
        if self._turn is None:
            raise RuntimeError("FreeKD rewards what it has just done: give the two rounds of a batch in one process")
        nodes, labels, states, actions = self._turn
        self._turn = None
        phi, psi = (peer.logits for peer in self._evaluate(batch))
        reward = freekd_reward(phi, psi, labels, batch["edge_index"], self.gamma, actions.node >= 0)[nodes]
        logits = Actions(*(policy(s).squeeze(1) for policy, s in zip(self.policies, states, strict=True)))
        apart = deviations(reward, 0)
        weights = apart / (apart.square().mean().sqrt() + 1e-8) if self.standardise else reward
        objective = freekd_objective(weights, logits, Actions(*(action[nodes] for action in actions)))
        return Step(-objective, {"reward": reward.mean()} if nodes.numel() else {})

    @torch.no_grad()
    def _act(self, shown: tuple[Shown, Shown], y: Tensor, edge_index: Tensor, labelled: Tensor) -> _Turn:
        """Draw both actions of every node that acts."""
        labels, acts = self._labels(shown, y, labelled)
        nodes = acts.nonzero().squeeze(1)
        costs = [node_cross_entropy(peer.logits, labels) for peer in shown]
        seen = torch.cat([*(peer.hidden for peer in shown), *(cost[:, None] for cost in costs)], dim=1)[nodes]
        node = self._draw(0, seen, acts)
        centres = [
            centre_similarity(peer.hidden, neighbourhoods(edge_index, node, teaches), self.similarity)[nodes, None]
            for peer, teaches in zip(shown, (0, 1), strict=True)
        ]
        seen_around = torch.cat([seen, *centres], dim=1)
        return _Turn(nodes, labels, (seen, seen_around), Actions(node, self._draw(1, seen_around, acts)))

    def _draw(self, level: int, state: Tensor, acts: Tensor) -> Tensor:
        action = torch.full(acts.shape, -1, device=acts.device)
        action[acts] = self.policies[level](state).squeeze(1).sigmoid().bernoulli().long()
        return action

    def _labels(self, shown: tuple[Shown, Shown], y: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N,), 0 where there is none, and the mask of nodes with one; y is not read elsewhere."""
        labels = torch.where(labelled, y, 0)
        if self.confidence is None:
            return labels, labelled
        phi, psi = (peer.logits.softmax(1) for peer in shown)
        probability, guess = ((phi + psi) / 2).max(dim=1)
        return torch.where(labelled, labels, guess), labelled | (probability >= self.confidence)

    def _show(self, batch: Batch) -> tuple[Shown, Shown]:
        views = [viewer(batch) for viewer in self._viewers]
        phi, psi = (Shown(view["logits"], view.get("hidden", view["logits"])) for view in views)
        return phi, psi

    @torch.no_grad()
    def _evaluate(self, batch: Batch) -> tuple[Shown, Shown]:
        training = self.student.training
        self.student.eval()
        try:
            return self._show(batch)
        finally:
            self.student.train(training)


_PARTS = ("label", "node", "structure")
