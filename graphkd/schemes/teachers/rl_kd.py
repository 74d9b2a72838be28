"""RL-KD: a policy that chooses, row by row, which of several teachers a student listens to.

Yuan, Shou, Pei, Lin, Gong, Fu and Jiang, "Reinforced Multi-Teacher Selection for Knowledge Distillation", AAAI 2021,
arXiv:2012.06048.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.core.batches import node_ids
from graphkd.core.distiller import Step
from graphkd.core.ensemble import Ensemble, stacked
from graphkd.core.method import method
from graphkd.core.problem import Problem
from graphkd.core.teachers import Frozen
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer
from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import choose
from graphkd.losses.response.ce import cross_entropy
from graphkd.losses.response.kd import kl
from graphkd.schemes._rows import chosen_rows
from graphkd.schemes.teachers._combine import check_stack, soft_target

Reward = Literal["labels", "objective", "validation"]


class TeacherPolicy(nn.Module):
    """Policy of a row's probability of each teacher, sigmoid(w_k . s_ik + b_k): (N, K, S) -> (N, K) logits."""

    def __init__(self, teachers: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(teachers, width).uniform_(-(width**-0.5), width**-0.5))
        self.bias = nn.Parameter(torch.zeros(teachers))

    def forward(self, state: Tensor) -> Tensor:
        """See the class."""
        return (state * self.weight).sum(dim=-1) + self.bias


def teacher_states(features: Tensor, teachers: Tensor, y: Tensor) -> Tensor:
    """Build the policy's inputs, [x_i, softmax(t_ki), CE(t_ki, y_i)]: (N, d), (K, N, C), (N,) -> (N, K, d + C + 1)."""
    check_stack(teachers)
    logs = teachers.to(accumulation_dtype(teachers)).log_softmax(dim=-1).transpose(0, 1)
    wrong = -logs.gather(2, y[:, None, None].expand(-1, logs.size(1), 1))
    return torch.cat([features[:, None].expand(-1, logs.size(1), -1), logs.exp(), wrong], dim=2)


def policy_loss(logits: Tensor, actions: Tensor, reward: Tensor) -> Tensor:
    """Compute REINFORCE, -mean_i r_i sum_k log pi(a_ik): (N, K), (N, K), (N,) -> scalar; choices are independent."""
    chances = -F.binary_cross_entropy_with_logits(logits, actions.to(logits.dtype), reduction="none")
    return -(reward * chances.sum(dim=1)).sum() / max(logits.size(0), 1)


def listened(student: Tensor, teachers: Tensor, actions: Tensor, temperature: float) -> Tensor:
    """Measure T^2 KL of each row from the teachers chosen for it: (N, C), (K, N, C), (N, K) -> (N,).

    Where none was chosen all teachers count: else the reward would be highest without any.
    """
    weights = torch.where(actions.any(dim=1, keepdim=True), actions, True).t()
    q, p = (
        (x / temperature).log_softmax(dim=1) for x in (student, soft_target(teachers, temperature, weights=weights))
    )
    return temperature**2 * (p.exp() * (p - q)).sum(dim=1)


class TeacherChoice(Trainable):
    """Student of several teachers among which a policy chooses; choose it where teachers are good at different rows.

    At every step the policy draws a_ik in {0, 1} for the rows of ``where``; the student learns (1 - weight) CE + weight
    T^2 KL from the mean softened answer of the chosen teachers, or the label alone where none is chosen. When a row
    comes again, which for a single graph is at the next step, its choice gets a reward, and the policy learns by
    ``policy_loss``. The rewards are the paper's three: "labels", the student's -CE on the row; "objective", -(CE + T^2
    KL from the chosen teachers), see ``listened``; "validation", the latter plus ``balance`` times the student's
    ``score``, () -> float, evaluated before every epoch from ``warm`` on. The policy learns from a row's reward minus
    the reward that all teachers had there when the policy acted, minus the mean of these gains over rows, plus
    ``balance`` times the gain of the score. These baselines are ours (without the first, rows' difficulty hides the
    effect of a choice), and so is the one loop over both; the paper states no baseline and updates after an epoch.

    In the first ``warm`` epochs all teachers are chosen. Rows outside ``where`` (None: all are inside), of which the
    paper has none, learn from all teachers, weighted by how often each is chosen in the step. The policy's state
    represents a row by the student's logits, constant. nodes: their number; the last state and choice of each are
    stored in buffers, O(nodes (K + C)). The policy is not needed afterwards. Raises ValueError for
    ``reward="validation"`` without ``score``.
    """

    seen: Tensor
    actions: Tensor
    acted: Tensor
    scores: Tensor

    def __init__(
        self,
        student: nn.Module,
        teachers: Sequence[nn.Module | Frozen],
        classes: int,
        nodes: int,
        *,
        where: str | None,
        weight: float = 0.5,
        temperature: float = 4.0,
        warm: int = 20,
        reward: Reward = "labels",
        balance: float = 1.0,
        score: Callable[[], float] | None = None,
        call: Call | None = None,
    ) -> None:
        super().__init__()
        if choose("reward", reward, get_args(Reward)) == "validation" and score is None:
            raise ValueError("reward='validation' asks for 'score', () -> how good the student is, got None")
        self.student = student
        self.policy = TeacherPolicy(len(teachers), 2 * classes + 1)
        self.weight, self.temperature, self.warm, self.where = weight, temperature, warm, where
        self.reward, self.balance, self.score = reward, balance, score
        self.register_buffer("seen", torch.zeros(nodes, classes))  # the student's logits when the policy acted
        self.register_buffer("actions", torch.zeros(nodes, len(teachers), dtype=torch.bool))
        self.register_buffer("acted", torch.zeros(nodes, dtype=torch.bool))
        self.register_buffer("scores", torch.zeros(2))  # before the last epoch and before this one
        self._teachers, self._viewer = self.hold(Ensemble(teachers, stacked)), self.hold(Viewer(student, call=call))
        self._epoch = 0

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - as ``fit`` calls it
        """Set the epoch, and evaluate the score where the reward needs it; ``fit`` calls this before every epoch."""
        self._epoch = epoch
        if self.reward == "validation" and self.score is not None and epoch >= self.warm:
            self.scores[0], self.scores[1] = self.scores[1].clone(), self.score()

    def forward(self, batch: Batch) -> Step:
        """Compute the student's loss, and the policy's for its previous choices on these rows."""
        logits = self._viewer(batch)["logits"]
        mask = chosen_rows(batch, self.where, logits.size(0), logits.device)
        teachers = self._teachers(batch)["logits"].transpose(0, 1)
        s, t, y = logits[mask], teachers[:, mask], batch["y"][mask]
        chosen, loss, terms = torch.ones_like(t[:, :, 0].t()), s.new_zeros(()), {}
        if self._epoch >= self.warm:
            ids = node_ids(batch)[mask]
            known = self.acted[ids]
            if known.any():
                terms["reward"], loss = self._learn(ids[known], s.detach()[known], t[:, known], y[known])
            chosen = self._act(ids, s.detach(), t, y)
        some = chosen.any(dim=1)
        target = soft_target(t[:, some], self.temperature, weights=chosen[some].t())
        soft = kl(s[some], target, self.temperature) * some.sum() / max(some.numel(), 1)
        often = chosen.mean(dim=0) if some.any() else None  # for rows without a label it is unknown who is right
        others = soft_target(teachers[:, ~mask], self.temperature, weights=often)
        rest = kl(logits[~mask], others, self.temperature)
        terms |= {"labels": cross_entropy(s, y), "chosen": soft, "rest": rest, "teachers": chosen.mean()}
        self.note({"labels": (1 - self.weight) * terms["labels"], "taught": self.weight * (soft + rest)})
        loss = loss + (1 - self.weight) * terms["labels"] + self.weight * (soft + rest)
        return Step(loss, {name: term.detach() for name, term in terms.items()})

    def _act(self, ids: Tensor, student: Tensor, teachers: Tensor, y: Tensor) -> Tensor:
        """Draw teachers, and store states and choices: -> (n, K), 0 and 1."""
        chances = self.policy(teacher_states(student, teachers, y)).sigmoid().detach()
        chosen = torch.bernoulli(chances)
        self.seen[ids], self.actions[ids], self.acted[ids] = student.to(self.seen.dtype), chosen.bool(), True
        return chosen

    def _learn(self, ids: Tensor, student: Tensor, teachers: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the mean reward and the policy's loss."""
        seen, actions = self.seen[ids].to(student.dtype), self.actions[ids]
        now = self._reward(student, teachers, y, actions)
        everyone = torch.ones_like(actions)  # whatever was drawn: else rows that were far off gain most
        before = self._reward(seen, teachers, y, everyone)
        gains = now - before - (now - before).mean()
        if self.reward == "validation":
            gains = gains + self.balance * (self.scores[1] - self.scores[0])
        return now.mean(), policy_loss(self.policy(teacher_states(seen, teachers, y)), actions, gains)

    def _reward(self, student: Tensor, teachers: Tensor, y: Tensor, actions: Tensor) -> Tensor:
        """Compute the reward of rows without the score, which is the same for all: -> (n,)."""
        errors = F.cross_entropy(student, y, reduction="none")
        if self.reward == "labels":
            return -errors
        return -errors - listened(student, teachers, actions, self.temperature)


@method(
    "rl_kd",
    family="teachers",
    paper="Yuan et al., AAAI 2021",
    arxiv="2012.06048",
    survey=(91,),
    needs=("teachers",),
    space={"weight": (0.02, 0.98)},
)
def rl_kd(
    problem: Problem,
    *,
    weight: float = 0.5,
    temperature: float = 4.0,
    warm: int = 20,
    reward: Reward = "labels",
    balance: float = 1.0,
) -> nn.Module:
    """Learn from the teachers that a policy chooses row by row; the policy learns which choices helped.

    Choose it where teachers are good at different rows and the labels are too few to weigh them. ``weight``: of the
    soft targets; labels have 1 - ``weight``. In the first ``warm`` epochs all teachers are chosen. reward: the effect
    of a choice on the student's error on the row ("labels"), on that and the distance from the chosen teachers
    ("objective"), or on both and, ``balance`` times, on the score on validation rows ("validation", one more forward
    pass per epoch). See ``TeacherChoice``, also for where it differs from the paper. Costs a forward pass of the
    student a step, as ``ensemble`` does.
    """
    options: dict[str, Any] = {"weight": weight, "temperature": temperature, "warm": warm, "where": problem.labelled}
    options |= {"reward": reward, "balance": balance, "call": problem.call_of(problem.student)}
    if reward == "validation":
        options["score"] = lambda: problem.score(problem.student)
    sizes = problem.classes, problem.nodes
    return problem.train(TeacherChoice(problem.student, problem.teachers, *sizes, **options))
