"""A head for each teacher: every one keeps a teacher's own opinion, and they answer together (TMKD)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from graphkd.core.ensemble import Ensemble, stacked
from graphkd.core.fit import fit
from graphkd.core.loss import Loss
from graphkd.core.teachers import Frozen, cached
from graphkd.core.view import Batch
from graphkd.losses.response.ce import CE
from graphkd.losses.response.logit_mse import LogitMSE
from graphkd.schemes.augment import changed
from graphkd.schemes.self.ban import Together
from graphkd.schemes.peers import Peers, Taught


def each_its_own(taught: Tensor) -> Taught:
    """Peer k is taught by teacher k: (K, N, C). A rule for ``Peers``; the batch has ``taught``."""
    return Taught([(1.0, taught)])


def tmkd(
    heads: Sequence[nn.Module],
    teachers: Sequence[nn.Module | Frozen],
    data: Batch,
    *,
    alpha: float = 0.5,
    soft: Loss | None = None,
    where: str = "train_mask",
    **options: Any,
) -> Together:
    """Heads of one student, each taught by its own teacher in two stages. Yang et al., WSDM 2020, arXiv:1910.08381.

    Choose it where several good teachers disagree: a student of their mean loses what each knows, and heads cost little
    beside the trunk that they share. ``heads``: as many models as teachers, branches of one trunk by ``shared_trunk``.
    First ``soft`` alone on all rows, labels unused, to its last epoch; then, for each head,
    (1 - alpha) CE(rows ``where``) + alpha ``soft``. soft: by default ``LogitMSE``, a regression of the teacher's
    scores. Returned are the heads as one model, the logarithm of their mean probabilities, of which ``metric`` is
    taken. data is one batch: the teachers' answers are computed once. options go to ``fit``, in both stages. The
    paper's texts, and its weights, are not ours.
    """
    if len(heads) != len(teachers):
        raise ValueError(f"'heads' must be as many as the {len(teachers)} teachers, got {len(heads)}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"'alpha' must be in [0, 1], got {alpha}")
    known = [cached(teacher, data) for teacher in teachers]
    batch = changed(data, taught=Ensemble(known, stacked)(data)["logits"].transpose(0, 1))
    soft = LogitMSE() if soft is None else soft
    student, metric = Together(heads), options.pop("metric", None)
    first = {**options, "patience": None}
    fit(Peers(heads, each_its_own, labels=0.0 * CE(where=where), soft=soft), batch, **first)
    if metric is not None:
        options["metric"] = lambda _: metric(student)
    task = Peers(heads, each_its_own, labels=(1 - alpha) * CE(where=where), soft=soft, weight=alpha)
    fit(task, batch, **options)
    return student.eval()
