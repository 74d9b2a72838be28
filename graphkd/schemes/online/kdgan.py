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
    """Take the sigmoid cross-entropy of true and made-up pairs: scores (N, C), pairs (S, 2), (S,) -> scalar."""
    return binary_cross_entropy(_at(scores, samples), is_real)


def pair_policy(logits: Tensor, scores: Tensor, samples: Tensor) -> Tensor:
    """Compute a maker's policy loss: logits (N, C) at pairs (S, 2) that it drew, and the discriminator's scores.

    mean over pairs of the sigmoid cross-entropy of z with sigmoid(score), the code's surrogate for policy gradients.
    """
    return binary_cross_entropy(_at(logits, samples), _at(scores.detach(), samples).sigmoid())


class KDGAN(Trainable):
    """Train classifier, teacher and discriminator in one game; ``fit`` it, and it gives back the classifier.

    The discriminator D scores pairs of row and class: (1 - share) BCE on true pairs and the classifier's + ``share``
    BCE on true pairs and the teacher's. Classifier C: CE + (1 - share) policy + distil (1 / 2N) |z_t - z_c|^2;
    teacher: the same with ``share``, distilled from C. Of a distance the other's side is constant, and in eval mode as
    in the authors' code: no dropout is learnt from.

    The authors start with three trained players, each with an optimiser of its own, since a trained teacher that is
    regressed on a random student unlearns. So in the first ``warm_up`` epochs the classifier learns labels and the
    discriminator pairs, and the teacher, which is to come trained, stays; then it moves in one epoch of ``teacher_
    every``, which under Adam, whose steps do not know how small a gradient is, stands for a rate of its own. Give 0 and
    1 where all come trained and the optimiser has a group for each.

    classifier, teacher, discriminator: modules that show (N, C) for a batch, in ways of their own; ``calls`` one each.
    labels: the supervised loss of both makers. where, targets: names of the entries of a batch that select labelled
    rows (None: all are) and hold their classes. Every step draws as many rows as have labels, at random with
    replacement, and a class of each from softmax(z).
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
        """Set the epoch, which decides who plays; ``fit`` calls this before every epoch."""
        self._epoch = epoch

    def forward(self, batch: Batch) -> Step:
        """Sum three losses; terms ``label_``, ``policy_`` and ``discrimination_`` of both makers, and ``distil``."""
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
        """Compute the discriminator's loss on true pairs and a maker's; nothing where there is no labelled row."""
        is_real = torch.arange(2 * len(true), device=true.device) < len(true)
        found = weight, pair_discrimination(scores, torch.cat([true, drawn]), is_real)
        return {f"discrimination_{name}": found} if len(true) else {}

    @torch.no_grad()
    def _steady(self, maker: int, batch: Batch) -> Tensor:
        """Compute a maker's logits in eval mode, the classifier's (0) or the teacher's (1)."""
        with evaluating((self.student, self.teacher)[maker]):
            return self.viewers[maker](batch)["logits"]

    def _learnt(self, name: str, logits: Tensor, batch: Batch) -> dict[str, Term]:
        """Compute a maker's loss of labels."""
        label = measured(self.labels, {"logits": logits}, {}, batch)
        return {} if label is None else {f"label_{name}": (1.0, label)}

    def _game(self, name: str, shown: tuple[Tensor, Tensor, Tensor], drawn: Tensor, weight: float) -> dict[str, Term]:
        """Compute a maker's losses by its pairs' scores and the other's logits; ``shown``: its, others, scores."""
        logits, other, scores = shown
        found: dict[str, Term] = {f"distil_{name}": (self.distil, logit_mse(logits, other))}
        if len(drawn):
            found[f"policy_{name}"] = self.adversarial * weight, pair_policy(logits, scores, drawn)
        return found


class Judging(Trainable):
    """Train the discriminator of a game alone, against constant makers; ``fit`` returns it."""

    def __init__(self, game: KDGAN) -> None:
        super().__init__()
        self.student, self._game = game.discriminator, (game,)  # whose other parameters are nobody's here

    def forward(self, batch: Batch) -> Step:
        """Compute the discriminator's loss on both makers' pairs."""
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

    Choose it where a teacher has more to see (privileged features, the graph) but labels are few, and made-up ones may
    help; both learn the labels and each other's logits besides, see ``KDGAN``. As the authors do, all three are trained
    before the game: the teacher comes so, the student learns the labels first, then the discriminator the pairs of
    both, each with an optimiser of its own. What the survey says of it (student for generator, teacher for
    discriminator) is not the paper's ("KDGAN: Knowledge Distillation with Generative Adversarial Networks"). Ours:
    classes drawn outright where the paper has Gumbel-softmax with a falling temperature, the game's steps at once, CE
    throughout too, no common factor (training size over batch size), distances on all rows.

    distil: weight of the logits' distance. share: of the teacher in the game. adversarial: weight of the verdict.
    teacher_every: the teacher moves in one of so many epochs, in place of a lower rate. discriminator: a model of as
    many answers as there are classes, called as the student is; by default a fresh one of the student's kind. Costs
    three trainings, the last that of student, teacher and discriminator.
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
