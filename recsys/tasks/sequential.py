"""Task of sequences: predict a user's next item; evaluated by full ranking after leaving the last two items out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.core.task import Part
from graphkd.core.view import Call
from graphkd.losses._checks import choose
from recsys.data.sequence_batches import By, SequenceBatches
from recsys.data.sequence_rows import SequenceRows, SequenceSplit
from recsys.data.source import Source
from recsys.evaluate.next_item import Seen, next_item_ranking
from recsys.losses.next_item import NextItem
from recsys.losses.sequence_kl import SequenceKL
from recsys.models.sequential import SequentialRecommender
from recsys.tasks._base import RecommenderTask, refuse_rows


@dataclass(frozen=True)
class Sequential(RecommenderTask):
    """Predict a user's next item: a ``SequenceSplit``, of which the last item tests, the one before validates.

    metrics: RecBole's names; the first chooses the epoch. seen: "ranked", as in RecBole, ranks all items; "left_out"
    leaves out the user's earlier items, except the target. negatives: number of uniform items drawn for a batch, over
    which the softmax goes; None: all items. batch_size: users' stretches or, by rows, histories. by: "positions" learns
    the next item after every position of a stretch, "rows" the one after each history; None: by positions if the
    student is causal. Losses are summed over the rows of a batch; a method's loss that is a mean over rows is
    multiplied by their average number.

    Example::

        >>> from recsys.data import Sequences
        >>> from recsys.models import GRU4Rec
        >>> split = SequenceSplit.leave_one_out(Sequences.from_events([1, 2] * 6, torch.arange(12) % 5 + 1))
        >>> student, teacher = (GRU4Rec(split.num_items, width) for width in (4, 8))
        >>> task = Sequential(metrics=("hit@2",), seen="left_out")
        >>> list(recsys.distil("kd", student, teacher, split, task=task, epochs=2, progress=False).scores["test"])
        ['hit@2']
    """

    kind: ClassVar[str] = "sequential"
    labelled: ClassVar[str] = "targets"
    training: ClassVar[Mapping[str, Any]] = {
        "epochs": 100,
        "patience": 10,
        "metric_every": 1,
        "lr": 1e-3,
        "weight_decay": 0.0,
    }

    metrics: tuple[str, ...] = ("ndcg@10", "hit@10")
    seen: Seen = "ranked"
    negatives: int | None = None
    batch_size: int = 256
    by: By | None = None

    def __post_init__(self) -> None:
        choose("seen", self.seen, ("ranked", "left_out"))
        if self.by is not None:
            choose("by", self.by, ("positions", "rows"))

    def prepare(self, data: Any) -> SequenceSplit:
        """Take a ``SequenceSplit``, or the result of ``recsys.bridge.load`` for a sequential model."""
        split = getattr(data, "sequences", None) if not isinstance(data, SequenceSplit) else data
        if not isinstance(split, SequenceSplit):
            raise TypeError(
                "sequences are learnt from recsys.data.SequenceSplit.leave_one_out(...), or what recsys.bridge.load "
                f"gives for a sequential model, got {type(data).__name__}"
            )
        return split

    def batches(self, rows: SequenceRows, sources: Mapping[str, Source], by: By) -> Any:
        """Make the training batches of some rows, with the lists of ``sources``."""
        return SequenceBatches(rows, batch_size=self.batch_size, by=by, shared=self.negatives, sources=sources)

    def supervised(self, where: str | None = None) -> Loss:
        """Return the cross-entropy of the next item, summed over the rows of a batch."""
        refuse_rows(where, "sequences")
        return 1.0 * NextItem()

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:
        """Return the KL to the teacher's softened distribution of the next item, over the softmax's items, summed."""
        refuse_rows(where, "sequences")
        return 1.0 * SequenceKL(temperature)

    def targets(self, batch: Any) -> Tensor:
        """Return the next items of a batch's rows."""
        targets: Tensor = batch["targets"]
        return targets

    def has(self, part: Part, data: Any) -> bool:
        """Tell whether a part has rows."""
        return len(_part(data, part)) > 0

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:  # noqa: ARG002 - recommenders rank by themselves
        """Measure all metrics on a part of the split."""
        assert isinstance(model, SequentialRecommender)
        return next_item_ranking(model, _part(data, part), self.metrics, seen=self.seen)

    def progress(self, model: nn.Module, data: Any, call: Call | None = None) -> dict[str, float]:
        """Measure the first metric on validation rows."""
        found = self.score(model, data, "val", call)
        return dict([next(iter(found.items()))])


def _part(split: SequenceSplit, part: str) -> SequenceRows:
    return split.test if part == "test" else split.valid
