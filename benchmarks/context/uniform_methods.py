"""KDCRec's methods for the click-through benchmark, by name: what a model of uniform ratings teaches one of biased."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor, nn

from datasets.clicks import UniformSplit
from graphkd import Distiller, Frozen, Loss
from graphkd.losses import FitNet
from recsys.data.ratings import BlockBatches, PairBatches, Ratings, dense
from recsys.losses import Bridge, CausalPull, Decay, LearnedConfidence, RatingError, Refine, SoftLabels
from recsys.methods._alternating import Alternating
from recsys.models.clicks import show
from recsys.models.ratings import AutoRec, BiasedMF, Concat, Side, initialise, rated, rating_logits


class Plan(NamedTuple):
    """A task to fit on batches, and the model that serves."""

    task: nn.Module
    served: nn.Module
    batches: Iterable[Any]


class Lesson:
    """Students of one kind on a split; ``train`` fits a plan and gives back what serves."""

    name: str
    lamb: float  # weight of the L2
    first: Side  # the side that "alter" trains most
    rate: float  # times the benchmark's learning rate
    passes: int  # times the benchmark's epochs and patience

    def __init__(self, split: UniformSplit, train: Callable[[Plan], nn.Module]) -> None:
        self.split, self.train = split, train

    def model(self) -> Any:
        """A fresh student."""
        raise NotImplementedError

    def batches(self, uniform: bool = False, **options: Any) -> Any:
        """Of the logged ratings, and of uniform ones too."""
        raise NotImplementedError

    def alone(self) -> Iterable[Any]:
        """Batches of the uniform ratings."""
        raise NotImplementedError

    def score(self, model: nn.Module, pairs: Ratings) -> Tensor:
        """Logits of liking."""
        raise NotImplementedError

    def bridge(self) -> Plan:
        """Agree with the uniform model on random pairs."""
        raise NotImplementedError

    def learned(self) -> Plan:
        """Both samples, with a confidence for every logged rating."""
        raise NotImplementedError

    @cached_property
    def uniform(self) -> nn.Module:
        """The model of the uniform ratings alone: the teacher."""
        return self.train(self.plan(self.model(), RatingError(), self.alone()))

    @cached_property
    def biased(self) -> nn.Module:
        """The model of the logged ratings alone, from which label-based students start."""
        return self.train(self.plain())

    def plan(self, served: nn.Module, loss: Loss, batches: Iterable[Any], teacher: nn.Module | None = None) -> Plan:
        """A loss and the L2."""
        taught = Frozen(teacher, call=show) if teacher is not None else None
        return Plan(Distiller(served, taught, loss + self.lamb * Decay(), call=show), served, batches)

    def plain(self) -> Plan:
        """Logged ratings alone."""
        return self.plan(self.model(), RatingError(), self.batches())

    def refine(self) -> Plan:
        """Refined labels."""
        return self.plan(initialise(self.model(), self.biased), Refine(), self.batches(), self.uniform)

    def init(self) -> Plan:
        """Items start where the uniform model's are."""
        return self.plan(initialise(self.model(), self.uniform, ["item"]), RatingError(), self.batches())

    def alter(self) -> Plan:
        """The same, one side at a time."""
        plan = self.init()
        assert isinstance(plan.task, Distiller)
        return plan._replace(task=Alternating(plan.task, self.first))

    def concat(self) -> Plan:
        """Beside the frozen uniform model."""
        return self.plan(Concat(self.model(), self.uniform), RatingError(), self.batches())

    def union(self) -> Plan:
        """Both samples, the logged one counting less."""
        return self.plan(self.model(), RatingError(0.5), self.batches(uniform=True))

    def delay(self) -> Plan:
        """Uniform batches, or epochs, in between."""
        return self.plan(self.model(), RatingError(), self.batches(uniform=True, how="delay"))


class Factorisation(Lesson):
    """Biased matrix factorisation of width 10; the authors' lamb is tuned between 1e-5 and 1e-1."""

    name, lamb, first, rate, passes = "mf:10", 1e-3, "user", 5.0, 1

    def model(self, **options: Any) -> BiasedMF:
        """See the base."""
        return BiasedMF(self.split.num_users, self.split.num_items, 10, **options)

    def batches(self, uniform: bool = False, **options: Any) -> PairBatches:
        """See the base."""
        return PairBatches(self.split.logged, self.split.train if uniform else None, batch_size=1024, **options)

    def alone(self) -> PairBatches:
        """See the base."""
        return PairBatches(self.split.train)

    def score(self, model: nn.Module, pairs: Ratings) -> Tensor:
        """See the base."""
        return rating_logits(rated(model, pairs))

    def bridge(self) -> Plan:
        """See the base."""
        random = 0.1 * (Bridge(on="random") + self.lamb * Decay(on="random_decay"))
        batches = self.batches(random=(self.split.num_users, self.split.num_items))
        return self.plan(initialise(self.model(), self.biased), RatingError() + random, batches, self.uniform)

    def learned(self) -> Plan:
        """See the base."""
        batches = self.batches(uniform=True)
        return self.plan(self.model(), LearnedConfidence(len(batches.logged)), batches)

    def cause(self) -> Plan:
        """Items pulled to copies that uniform ratings train."""
        batches = self.batches(uniform=True, how="copies", num_items=self.split.num_items)
        return self.plan(self.model(copies=True), RatingError() + 1e-3 * CausalPull(), batches)


class Autoencoder(Lesson):
    """An autoencoder of rating rows, 200 wide; an epoch has a batch for 128 users only."""

    name, lamb, first, rate, passes = "ae:200", 1e-5, "item", 1.0, 4
    widths: tuple[int, ...] = (200,)

    def __init__(self, split: UniformSplit, train: Callable[[Plan], nn.Module]) -> None:
        super().__init__(split, train)
        sizes = split.num_users, split.num_items
        self.logged, self.few = dense(split.logged, *sizes), dense(split.train, *sizes)

    def model(self) -> AutoRec:
        """See the base."""
        return AutoRec(self.split.num_items, self.widths)

    def batches(self, uniform: bool = False, **options: Any) -> BlockBatches:
        """See the base."""
        return BlockBatches(self.logged, self.few if uniform else None, **options)

    def alone(self) -> BlockBatches:
        """See the base."""
        return BlockBatches(self.few)

    def score(self, model: nn.Module, pairs: Ratings) -> Tensor:
        """See the base."""
        return rating_logits(rated(model, pairs, self.logged))

    def bridge(self) -> Plan:
        """See the base."""
        loss, batches = RatingError() + 0.01 * Bridge(), self.batches(sampled=True)
        return self.plan(initialise(self.model(), self.biased), loss, batches, self.uniform)

    def learned(self) -> Plan:
        """See the base."""
        return self.plan(self.model(), LearnedConfidence(*self.logged.shape), self.batches(uniform=True))

    def structure(self, loss: Loss, confidence: float = 0.2) -> Plan:
        """What the uniform model shows, and the ratings."""
        mixed = confidence * loss + (1 - confidence) * RatingError()
        return self.plan(self.model(), mixed, self.batches(), self.uniform)


class DeepAutoencoder(Autoencoder):
    """The same with two layers on each side."""

    name, widths = "deep:200-100", (200, 100)


LESSONS: dict[str, type[Any]] = {"mf": Factorisation, "ae": Autoencoder, "deep": DeepAutoencoder}
_SHARED = ("bridge", "refine", "init", "alter", "concat", "union", "learned", "delay")

METHODS: dict[str, Callable[[Any], Plan]] = {
    "mf.none": Factorisation.plain,
    **{f"mf.{name}": getattr(Factorisation, name) for name in _SHARED},
    "mf.cause": Factorisation.cause,
    "ae.none": Autoencoder.plain,
    **{f"ae.{name}": getattr(Autoencoder, name) for name in _SHARED},
    "deep.none": DeepAutoencoder.plain,
    "deep.hint": lambda lesson: lesson.structure(FitNet(on="code")),
    "deep.soft_label": lambda lesson: lesson.structure(SoftLabels()),
}
