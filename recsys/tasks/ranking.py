"""Rankings: which items a user takes, judged by full ranking or by leave-one-out among candidates."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.task import Part
from graphkd.core.view import Call
from graphkd.losses._checks import choose
from recsys.data.batches import RankingBatches, Source
from recsys.data.interactions import Interactions, Split, check_sizes
from recsys.evaluate.ranking import draw_candidates, full_ranking, held_out, leave_one_out
from recsys.losses.bpr import BPR
from recsys.losses.cd import CD
from recsys.losses.log_loss import LogLoss
from recsys.losses.recbole import RecBoleLoss
from recsys.models.base import Recommender
from recsys.models.own_loss import is_fitted, kind_of, why_not
from recsys.tasks._base import RecommenderTask, refuse_rows

Protocol = Literal["full", "leave_one_out"]
_log = logging.getLogger(__name__)
_USUAL: Mapping[str, tuple[str, ...]] = {
    "full": ("ndcg@10", "recall@10"),
    "leave_one_out": tuple(f"{kind}@{k}" for k in (5, 10, 20) for kind in ("hit", "ndcg", "mrr")),
}
_CANDIDATES: WeakKeyDictionary[Interactions, Tensor] = WeakKeyDictionary()  # of a split, by its training pairs


@dataclass(frozen=True)
class Ranking(RecommenderTask):
    """Which items a user takes: a ``Split`` of pairs, judged by how high held-out items are ranked.

    metrics: RecBole's names, the first chooses the epoch; by default ndcg@10 and recall@10. protocol: "full" ranks all
    items but those seen; "leave_one_out" ranks each user's one held-out item among 499 drawn ones, by hit, ndcg and mrr
    at 5, 10 and 20, of which all hits count for patience. batch_size: training pairs a batch; where a method's loss is
    a mean over rows, its weight is times this number, beside a base loss that is summed.

    Example::

        recsys.distil("rrd", student, teacher, split, task=Ranking(metrics=("recall@20", "ndcg@20")))
    """

    kind: ClassVar[str] = "ranking"
    labelled: ClassVar[str] = "positives"
    training: ClassVar[Mapping[str, Any]] = {
        "epochs": 500,
        "patience": 50,
        "metric_every": 5,
        "lr": 1e-3,
        "weight_decay": 1e-3,
    }

    metrics: tuple[str, ...] = ()
    protocol: Protocol = "full"
    batch_size: int = 1024

    def __post_init__(self) -> None:
        choose("protocol", self.protocol, tuple(_USUAL))

    @property
    def wanted(self) -> tuple[str, ...]:
        """The metrics, those of the protocol where none are given."""
        return self.metrics or _USUAL[self.protocol]

    def prepare(self, data: Any) -> Split:
        """Take a ``Split``, or what ``recsys.bridge.load`` gives; its parts must be over the same users and items."""
        split = getattr(data, "split", data)
        if not isinstance(split, Split):
            raise TypeError(
                "'split' must be a recsys.Split(train, valid, test), or what recsys.bridge.load gives, got "
                f"{type(data).__name__}"
            )
        for name in ("valid", "test"):
            check_sizes(name, getattr(split, name), split.train)
        return split

    def batches(self, pairs: Interactions, sources: Mapping[str, Source]) -> Any:
        """Make the training batches of some pairs, with the lists of ``sources``."""
        return RankingBatches(pairs, batch_size=self.batch_size, sources=sources)

    def supervised(self, where: str | None = None) -> Loss:
        """BPR, summed over the batch."""
        refuse_rows(where, "rankings")
        return 1.0 * BPR()

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:
        """Cross-entropy with the teacher's softened probabilities of the batch's pairs, observed and drawn ones."""
        refuse_rows(where, "rankings")
        positive, negative = (CD(temperature, reduction="sum", on=name) for name in ("positive", "negative"))
        return positive + negative

    def targets(self, batch: Any) -> Tensor:
        """The observed items of a batch's rows."""
        positives: Tensor = batch["positives"]
        return positives

    def has(self, part: Part, data: Any) -> bool:
        """Whether a part of the split has pairs."""
        return len(_part(data, part)) > 0

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:  # noqa: ARG002 - recommenders rank by themselves
        """Measure all metrics on a part of the split."""
        assert isinstance(model, Recommender)
        wanted = self.wanted
        if self.protocol == "leave_one_out":
            cutoffs = sorted({int(number) for name in wanted for number in re.findall(r"@(\d+)$", name)})
            targets, removed = (held_out(_part(data, each)) for each in (part, "val" if part == "test" else "test"))
            found = leave_one_out(model, targets, _candidates(data), removed=removed, cutoffs=cutoffs)
            return {name: found[name] for name in wanted}
        seen = [data.train, data.valid] if part == "test" else [data.train]
        return full_ranking(model, _part(data, part), seen, wanted)

    def progress(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, float]:
        """Measure the first metric on validation pairs, or in leave-one-out all hits."""
        found = self.score(model, data, "val", call)
        hits = [name for name in found if name.startswith("hit@")] if self.protocol == "leave_one_out" else []
        return {name: found[name] for name in hits or list(found)[:1]}


def base_loss(model: nn.Module) -> Loss:
    """What a model is trained by, summed over the batch: a RecBole model by its own loss, all others by BPR.

    RecBole's BPR and NeuMF have BPR and the log loss for their own. Where a model's loss alone does not train it
    (RaCT, RecVAE), BPR stands in for it, and a warning says so.
    """
    inner: Any = getattr(model, "model", None)
    if not hasattr(model, "own_loss") or kind_of(inner) == "BPR":
        return 1.0 * BPR()
    if kind_of(inner) == "NeuMF":
        return 1.0 * LogLoss(reduction="sum")
    reason = why_not(inner)
    if reason and not is_fitted(inner):
        _log.warning("%s is trained by BPR here, not by its own loss: %s", kind_of(inner), reason)
        return 1.0 * BPR()
    return 1.0 * RecBoleLoss(reduction="sum")


def _part(split: Split, part: str) -> Interactions:
    return split.test if part == "test" else split.valid


def _candidates(split: Split) -> Tensor:
    """The fixed candidates of a split, drawn once."""
    if split.train not in _CANDIDATES:
        _CANDIDATES[split.train] = draw_candidates(split.train.union(split.valid, split.test))
    return _CANDIDATES[split.train]
