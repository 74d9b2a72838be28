"""Task of rankings: rank items for users; evaluated by full ranking or by leave-one-out among candidates."""

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

    metrics: RecBole's names, the first chooses the epoch; by default ndcg@10 and recall@10. protocol: "full" ranks all
    items but those seen; "leave_one_out" ranks each user's one held-out item among 499 drawn ones, by hit, ndcg and mrr
    at 5, 10 and 20, of which all hits count for patience. RecBole's modes: "uni100" and "pop100" rank each user's
    held-out items among 100 items for each, drawn uniformly or by popularity (``drawn_candidates``; of a ``seed``, the
    same in every epoch), "labeled" measures the rows of a ``LabelledSplit`` by auc, logloss, mae and rmse; {"valid":
    "uni100", "test": "full"} has one of each. repeatable: what a user has may be recommended again: nothing is left out
    of a ranking, and only an event's own item of its candidates. digits: to which values are rounded, None for all.
    tail: RecBole's ``tail_ratio``. ties: see ``full_ranking``. batch_size: training pairs a batch; where a method's
    loss is a mean over rows, its weight is times its rows, beside a base loss that is summed. negatives: how they
    are drawn.

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
        """Say how each part is evaluated."""
        return modes_of(self.protocol)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The metrics, those of the protocol where none are given."""
        return tuple(name.lower() for name in self.metrics) or USUAL.get(self.modes["test"], RANKED)

    def prepare(self, data: Any) -> Split:
        """Take a ``Split``, or what ``recsys.bridge.load`` gives; its parts must be over the same users and items.

        Users who have every item train nothing, since there is no item to rank below: see ``without_full_users``.
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
        """Tell whether a part of the split has pairs."""
        return len(part_of(data, part)) > 0

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:  # noqa: ARG002 - recommenders rank by themselves
        """Measure all metrics on a part of the split."""
        assert isinstance(model, Recommender)
        found = judged(self, model, data, part)
        return found if self.digits is None else {name: round(value, self.digits) for name, value in found.items()}

    def progress(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, float]:
        """Measure the first metric on validation pairs, or in leave-one-out all hits; minus it where less is better."""
        found = self.score(model, data, "val", call)
        first = next(iter(found))
        if is_smaller_better(first):
            return {f"-{first}": -found[first]}
        hits = [name for name in found if name.startswith("hit@")] if self.modes["val"] == "leave_one_out" else []
        return {name: found[name] for name in hits or [first]}


def base_loss(model: nn.Module, copies: int = 1) -> Loss:
    """Make the base loss of a model, summed over the batch: of a RecBole model its own, of all others BPR.

    RecBole's BPR and NeuMF have BPR and the log loss for their own; copies: how often batches have each pair, for its
    negatives. Where a model's loss alone does not train it (RaCT, RecVAE), BPR replaces it, and a warning says so.

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
