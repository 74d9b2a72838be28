"""Task of ranking items for users; evaluated by full ranking, among candidates, or by labelled rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.task import Part
from graphkd.core.view import Call
from recsys.data.batches import RankingBatches
from recsys.data.full_users import without_full_users
from recsys.data.interactions import Interactions, Split, check_sizes
from recsys.data.negatives import Negatives
from recsys.data.source import Source
from recsys.evaluate.ranked import Ties
from recsys.losses.bpr import BPR
from recsys.losses.cd import CD
from recsys.losses.log_loss import LogLoss
from recsys.losses.recbole import RecBoleLoss
from recsys.models.base import Recommender
from recsys.models.own_loss import is_fitted, kind_of, why_not
from recsys.tasks._base import RecommenderTask, refuse_rows
from recsys.tasks._judged import RANKED, USUAL, Protocol, check_metrics, is_smaller_better, judged, modes_of, part_of

_log = logging.getLogger(__name__)
_ONE = Negatives()


@dataclass(frozen=True)
class Ranking(RecommenderTask):
    """Rank items for users: a ``Split`` of pairs, evaluated by how high held-out items are ranked.

    metrics: RecBole's names; the first chooses the epoch; by default ndcg@10 and recall@10. protocol: "full" ranks all
    items but those seen. "leave_one_out" ranks each user's one held-out item among 499 drawn ones, by hit, ndcg and mrr
    at 5, 10 and 20; patience counts improvements in any hit. RecBole's modes: "uni100" and "pop100" rank each user's
    held-out items among 100 items for each, drawn uniformly or by popularity (``drawn_candidates``; by ``seed``, the
    same in every epoch); "labeled" measures the rows of a ``LabelledSplit`` by auc, logloss, mae and rmse; {"valid":
    "uni100", "test": "full"} gives each part its own. repeatable: users may be recommended items that they already
    have: no item is left out of a ranking, and only an event's own item is left out of its candidates. digits: to which
    values are rounded, None for no rounding. tail: RecBole's ``tail_ratio``. ties: see ``full_ranking``. batch_size:
    training pairs in a batch; the weight of a method's loss that is a mean over rows is multiplied by the number of
    rows, beside a summed base loss. negatives: how they are drawn.

    Example::

        >>> from recsys.models import MF
        >>> student, teacher, task = MF(170, 180, 4), MF(170, 180, 8), Ranking(metrics=("recall@20", "hit@5"))
        >>> result = recsys.distil("rrd", student, teacher, split, task=task, epochs=2, progress=False)
        >>> sorted(result.scores["test"])
        ['hit@5', 'recall@20']
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
    negatives: Negatives = _ONE
    repeatable: bool = False
    digits: int | None = None
    tail: float = 0.1
    ties: Ties = "against"
    seed: int | None = 0

    def __post_init__(self) -> None:
        check_metrics(self.wanted, self.modes)

    @cached_property
    def modes(self) -> Mapping[str, str]:
        """Return the protocol of each part."""
        return modes_of(self.protocol)

    @property
    def wanted(self) -> tuple[str, ...]:
        """List the metrics, or those of the protocol where none are given."""
        return tuple(name.lower() for name in self.metrics) or USUAL.get(self.modes["test"], RANKED)

    def prepare(self, data: Any) -> Split:
        """Take a ``Split``, or the result of ``recsys.bridge.load``; ValueError unless its parts have the same ids.

        Users who have every item are left out of training, since no item can rank below theirs: see
        ``without_full_users``.
        """
        split = getattr(data, "split", data)
        if not isinstance(split, Split):
            raise TypeError(
                "'split' must be a recsys.Split(train, valid, test), or what recsys.bridge.load gives, got "
                f"{type(data).__name__}"
            )
        for name in ("valid", "test"):
            check_sizes(name, getattr(split, name), split.train)
        draws = not self.negatives.own and "labeled" not in self.modes.values()
        train = without_full_users(split.train) if draws else split.train
        return split if train is split.train else replace(split, train=train)

    def batches(self, pairs: Interactions, sources: Mapping[str, Source]) -> Any:
        """Make the training batches of some pairs, with the lists of ``sources``."""
        return RankingBatches(pairs, batch_size=self.batch_size, sources=sources, negatives=self.negatives)

    def supervised(self, where: str | None = None) -> Loss:
        """Return BPR, summed over the batch."""
        refuse_rows(where, "rankings")
        return 1.0 * BPR()

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:
        """Return the cross-entropy with the teacher's softened probabilities of a batch's observed and drawn items."""
        refuse_rows(where, "rankings")
        positive, negative = (CD(temperature, reduction="sum", on=name) for name in ("positive", "negative"))
        return positive + negative

    def targets(self, batch: Any) -> Tensor:
        """Return the observed items of a batch's rows."""
        positives: Tensor = batch["positives"]
        return positives

    def has(self, part: Part, data: Any) -> bool:
        """Tell whether a part of the split has pairs."""
        return len(part_of(data, part)) > 0

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:  # noqa: ARG002 - recommenders rank by themselves
        """Measure all metrics on a part of the split."""
        assert isinstance(model, Recommender)
        found = judged(self, model, data, part)
        return found if self.digits is None else {name: round(value, self.digits) for name, value in found.items()}

    def progress(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, float]:
        """Measure the first metric on validation pairs, or all hits in leave-one-out; negated if smaller is better."""
        found = self.score(model, data, "val", call)
        first = next(iter(found))
        if is_smaller_better(first):
            return {f"-{first}": -found[first]}
        hits = [name for name in found if name.startswith("hit@")] if self.modes["val"] == "leave_one_out" else []
        return {name: found[name] for name in hits or [first]}


def base_loss(model: nn.Module, copies: int = 1) -> Loss:
    """Make the base loss of a model, summed over the batch: a RecBole model's own loss, for all other models BPR.

    copies: how often batches repeat each pair, once for each negative. For RecBole's BPR the own loss is ``BPR``, and
    for its NeuMF ``LogLoss`` where ``copies`` is 1. If its loss alone does not train a model (RaCT, RecVAE), BPR
    replaces it, with a warning.

    Example::

        >>> from recsys.models import MF
        >>> student = MF(170, 180, width=4)
        >>> list(base_loss(student).modules())[-1]
        BPR()
        >>> result = recsys.distil(base_loss(student), student, None, split, epochs=2, progress=False)
    """
    inner: Any = getattr(model, "model", None)
    if not hasattr(model, "own_loss") or kind_of(inner) == "BPR":
        return 1.0 * BPR()
    if kind_of(inner) == "NeuMF" and copies == 1:
        return 1.0 * LogLoss(reduction="sum")
    reason = why_not(inner)
    if reason and not is_fitted(inner):
        _log.warning("%s is trained by BPR here, not by its own loss: %s", kind_of(inner), reason)
        return 1.0 * BPR()
    return 1.0 * RecBoleLoss(reduction="sum")
