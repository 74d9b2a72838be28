"""KDGAN: a classifier and its teacher make up labels, and a discriminator tells them from true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.core.distiller import Step
from graphkd.core.loss import Loss
from graphkd.core.method import method
from graphkd.core.modes import evaluating
from graphkd.core.problem import Problem
from graphkd.core.trainable import Trainable
from graphkd.core.view import Batch, Call, Viewer, fill
from graphkd.losses.response.bce import binary_cross_entropy
from graphkd.losses.response.logit_mse import logit_mse
from graphkd.schemes._measured import measured
from graphkd.schemes._rows import chosen_rows
from graphkd.schemes.online.peers import with_known

Term = tuple[float, Tensor]  # a weight and a value


def _at(values: Tensor, samples: Tensor) -> Tensor:
    """Select the entries of (N, C) at (row, class) pairs (S, 2)."""
    return values[samples[:, 0], samples[:, 1]]


def pair_discrimination(scores: Tensor, samples: Tensor, is_real: Tensor) -> Tensor:
    """Compute the sigmoid cross-entropy of true and made-up (row, class) pairs: (N, C), (S, 2), (S,) -> scalar."""
    return binary_cross_entropy(_at(scores, samples), is_real)


def pair_policy(logits: Tensor, scores: Tensor, samples: Tensor) -> Tensor:
    """Compute the policy loss of (row, class) pairs that a model drew: logits (N, C), scores (N, C), (S, 2) -> scalar.

    The mean over pairs of the sigmoid cross-entropy of its logit z with sigmoid(score), the discriminator's score being
    constant: the authors' surrogate for policy gradients.
    """
    return binary_cross_entropy(_at(logits, samples), _at(scores.detach(), samples).sigmoid())


class KDGAN(Trainable):
    """Train classifier, teacher and discriminator in one game; ``fit`` returns the classifier.

    The discriminator D scores (row, class) pairs and minimises (1 - share) BCE on true pairs and the classifier's +
    ``share`` BCE on true pairs and the teacher's. The classifier C minimises CE + (1 - share) policy + distil (1 / 2N)
    |z_t - z_c|^2; the teacher the same with ``share``, distilled from C. ``adversarial`` multiplies the policy losses.
    In each distance the other side is constant, and in eval mode as in the authors' code, so that its dropout is not
    learnt.

    The authors start with three trained models, each with its own optimiser, since a trained teacher that is regressed
    on a random student unlearns. Here only the teacher must come trained. In the first ``warm_up`` epochs the
    classifier learns labels, the discriminator pairs, and the teacher is constant. After that the teacher is updated in
    one epoch of ``teacher_every``, in place of a lower rate, since Adam's steps do not depend on the gradient's scale.
    Give 0 and 1 where all models come trained and the optimiser has a parameter group for each.

    classifier, teacher, discriminator: modules whose answers are (N, C); ``calls`` replace their by-name calls. labels:
    the supervised loss of classifier and teacher. where, targets: names of the batch entries that select labelled rows
    (None: all are) and hold their classes. At every step classifier and teacher draw as many pairs as there are
    labelled rows: rows at random with replacement, and a class of each from softmax(z). Raises ValueError for a
    ``share`` outside [0, 1], a negative ``warm_up`` and ``teacher_every`` below 1.
    """

    def __init__(
        self,
        classifier: nn.Module,
        teacher: nn.Module,
        discriminator: nn.Module,
        *,
        labels: Loss,
        where: str | None,
        targets: str,
        distil: float = 1.0,
        share: float = 0.3,
        adversarial: float = 1.0,
        warm_up: int = 20,
        teacher_every: int = 10,
        calls: Sequence[Call | None] = (None, None, None),
    ) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"'share' must be in [0, 1], got {share}")
        if warm_up < 0 or teacher_every < 1:
            raise ValueError(
                f"'warm_up' must be at least 0 and 'teacher_every' at least 1, got {warm_up} and {teacher_every}"
            )
        self.student, self.teacher, self.discriminator = classifier, teacher, discriminator
        models = zip((classifier, teacher, discriminator), calls, strict=True)
        self.viewers = [self.hold(Viewer(model, call=call)) for model, call in models]
        self.labels, self.where, self.targets = labels, where, targets
        self.distil, self.share, self.adversarial = distil, share, adversarial
        self.warm_up, self.teacher_every, self._epoch = warm_up, teacher_every, 0

    def set_epoch(self, epoch: int, epochs: int) -> None:  # noqa: ARG002 - as ``fit`` calls it
        """Set the epoch, which decides which models are updated; ``fit`` calls this before every epoch."""
        self._epoch = epoch

    def forward(self, batch: Batch) -> Step:
        """Sum the losses; terms ``label_``, ``policy_``, ``distil_``, ``discrimination_`` of classifier and teacher."""
        true = self.true_pairs(batch)
        student, teacher, scores = (viewer(batch)["logits"] for viewer in self.viewers)
        played = self._epoch - self.warm_up
        moves = {"classifier": True, "teacher": played >= 0 and played % self.teacher_every == 0}
        terms: dict[str, Tensor] = {}
        total: Any = 0.0 * scores.sum()
        sides = ("classifier", student, 1, 1 - self.share), ("teacher", teacher, 0, self.share)
        for name, logits, other, weight in sides:
            drawn = _draw(logits.detach(), len(true))
            found = self.judged(name, scores, true, drawn, weight)
            if moves[name]:
                found |= self._learnt(name, logits, batch)
                if played >= 0:
                    found |= self._game(name, (logits, self._steady(other, batch), scores), drawn, weight)
            terms |= {term: value.detach() for term, (_, value) in found.items()}
            total = total + self.weighed(found)
        return Step(total, terms)

    def true_pairs(self, batch: Batch) -> Tensor:
        """Return labelled rows and their classes, (S, 2)."""
        y = fill((self.targets,), batch, "targets of KDGAN")[self.targets]
        rows = chosen_rows(batch, self.where, y.size(0), y.device).nonzero()[:, 0]
        return torch.stack([rows, y[rows]], dim=1)

    @staticmethod
    def judged(name: str, scores: Tensor, true: Tensor, drawn: Tensor, weight: float) -> dict[str, Term]:
        """Compute the discriminator's loss on true pairs and a model's; empty where there is no labelled row."""
        is_real = torch.arange(2 * len(true), device=true.device) < len(true)
        found = weight, pair_discrimination(scores, torch.cat([true, drawn]), is_real)
        return {f"discrimination_{name}": found} if len(true) else {}

    @torch.no_grad()
    def _steady(self, maker: int, batch: Batch) -> Tensor:
        """Compute the logits of the classifier (0) or the teacher (1) in eval mode."""
        with evaluating((self.student, self.teacher)[maker]):
            return self.viewers[maker](batch)["logits"]

    def _learnt(self, name: str, logits: Tensor, batch: Batch) -> dict[str, Term]:
        """Compute the label loss of classifier or teacher."""
        label = measured(self.labels, {"logits": logits}, {}, batch)
        return {} if label is None else {f"label_{name}": (1.0, label)}

    def _game(self, name: str, shown: tuple[Tensor, Tensor, Tensor], drawn: Tensor, weight: float) -> dict[str, Term]:
        """Compute a model's distance and policy losses; ``shown``: its logits, the other model's, the scores."""
        logits, other, scores = shown
        found: dict[str, Term] = {f"distil_{name}": (self.distil, logit_mse(logits, other))}
        if len(drawn):
            found[f"policy_{name}"] = self.adversarial * weight, pair_policy(logits, scores, drawn)
        return found


class Judging(Trainable):
    """Train the discriminator of a game alone, classifier and teacher constant; ``fit`` returns it."""

    def __init__(self, game: KDGAN) -> None:
        super().__init__()
        self.student, self._game = game.discriminator, (game,)  # a tuple: does not register its parameters

    def forward(self, batch: Batch) -> Step:
        """Compute the discriminator's loss on the pairs of classifier and teacher."""
        (game,) = self._game
        true, (*makers, judge) = game.true_pairs(batch), game.viewers
        scores = judge(batch)["logits"]
        terms: dict[str, Term] = {}
        for name, maker, weight in zip(("classifier", "teacher"), makers, (1 - game.share, game.share), strict=True):
            with torch.no_grad():
                drawn = _draw(maker(batch)["logits"], len(true))
            terms |= game.judged(name, scores, true, drawn, weight)
        total = 0.0 * scores.sum() + self.weighed(terms)
        return Step(total, {name: value.detach() for name, (_, value) in terms.items()})


def _draw(logits: Tensor, count: int) -> Tensor:
    """Draw pairs of a random row and a class by its probabilities: (count, 2)."""
    rows = torch.randint(logits.size(0), (count,), device=logits.device)
    return torch.stack([rows, logits[rows].softmax(dim=1).multinomial(1)[:, 0]], dim=1)


@method(
    "kdgan",
    family="online",
    paper="Wang et al., NeurIPS 2018",
    survey=(20, 21),
    tasks=("classes",),
    cannot={"ensemble": "it trains a copy of its teacher"},
    space={"share": (0.01, 0.99)},
)
def kdgan(
    problem: Problem,
    *,
    distil: float = 1.0,
    share: float = 0.3,
    adversarial: float = 1.0,
    teacher_every: int = 10,
    discriminator: nn.Module | None = None,
) -> nn.Module:
    """Train the student and a copy of the teacher to make up labels that a discriminator cannot tell from true ones.

    Choose it where a teacher has more inputs (privileged features, the graph) but labels are few, so that made-up ones
    may help. Student and teacher also learn the labels and each other's logits, see ``KDGAN``. As in the authors' code,
    all three models are trained before the game: the teacher comes trained, then the student learns the labels, then
    the discriminator the pairs of both, each with its own optimiser. The survey's description (student as generator,
    teacher as discriminator) is not the paper's ("KDGAN: Knowledge Distillation with Generative Adversarial Networks").
    Ours: classes are sampled directly, where the paper has Gumbel-softmax with a falling temperature; the game's
    updates are simultaneous and always include CE; there is no common factor (training size over batch size); distances
    are on all rows.

    distil: weight of the logits' distance. share: the teacher's weight in the game. adversarial: weight of the policy
    losses. teacher_every: the teacher is updated in one of so many epochs, in place of a lower rate. discriminator: a
    model with one output per class, called as the student is; by default a fresh one of the student's architecture.
    Costs three trainings, the last one of student, teacher and discriminator together.
    """
    judge = problem.fresh_student(1) if discriminator is None else discriminator.to(problem.device)
    models, labels, where = (problem.student, problem.teacher_to_train(), judge), problem.supervised(), problem.labelled
    game: dict[str, Any] = {
        "distil": distil,
        "share": share,
        "adversarial": adversarial,
        "teacher_every": teacher_every,
    }
    game["calls"] = [problem.call_of(model) for model in models]
    trainable = KDGAN(*models, labels=labels, where=where, targets="known", warm_up=0, **game)
    data = with_known(problem, where)
    problem.train(problem.distiller(problem.student, None, problem.supervised()), "classifier")
    problem.train(Judging(trainable), "discriminator", data, choose=False)
    return problem.train(trainable, "game", data)
