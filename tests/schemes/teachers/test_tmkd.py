"""A head for each teacher: both stages by loops, and what comes back."""

from __future__ import annotations

import pytest
import torch

from graphkd import Frozen
from graphkd.losses import cross_entropy, logit_mse
from graphkd.schemes import Together, changed, each_its_own, shared_trunk, soft_target, tmkd
from graphkd.tasks import accuracy
from tests.core.models import gcn, graph

TEACHERS = [gcn(11), gcn(12)]


def test_peers_are_taught_each_by_its_own():
    told = torch.randn(2, 4, 3)
    ((weight, targets),) = each_its_own(told).targets
    assert weight == 1.0
    assert targets is told


def test_both_stages(monkeypatch):
    from graphkd.schemes import heads as scheme

    data, stages = graph(), []
    fitted = scheme.fit

    def watched(task, batch, **options):
        logits = [model(data.x, data.edge_index) for model in task.student]
        with torch.no_grad():
            stages.append((logits, task(batch).loss, options))
        return fitted(task, batch, **options)

    monkeypatch.setattr(scheme, "fit", watched)
    found = tmkd([gcn(1), gcn(2)], TEACHERS, data, alpha=0.3, epochs=2)
    assert isinstance(found, Together)
    taught = [Frozen(teacher)(data)["logits"] for teacher in TEACHERS]
    mask, wants = data.train_mask, []
    for share, alpha in ((0.0, 1.0), (0.7, 0.3)):
        logits = stages[len(wants)][0]
        hard = sum(cross_entropy(one[mask], data.y[mask]) for one in logits)
        soft = sum(logit_mse(one, other) for one, other in zip(logits, taught, strict=True))
        wants.append(share * hard + alpha * soft)
    torch.testing.assert_close([float(loss) for _, loss, _ in stages], [float(want.detach()) for want in wants])


def test_the_heads_share_their_trunk_and_answer_together():
    data, models = graph(), [gcn(1), gcn(2)]
    shared_trunk(models, "convs.0")
    measured = []

    def metric(model):
        measured.append(model)
        return accuracy(model, data, "val_mask")

    found = tmkd(models, TEACHERS, data, epochs=60, metric=metric, patience=50)
    assert models[0].convs[0] is models[1].convs[0]
    assert all(model is found for model in measured)
    assert len(measured) <= 60
    assert not found.training
    answers = torch.stack([Frozen(model)(data)["logits"] for model in models])
    torch.testing.assert_close(Frozen(found)(data)["logits"], soft_target(answers))


def test_labels_do_not_count_where_the_teachers_are_all():
    data, want = graph(), None
    for y in (data.y, 0 * data.y):
        found = tmkd([gcn(1), gcn(2)], TEACHERS, changed(data, y=y), alpha=1.0, epochs=5)
        got = Frozen(found)(data)["logits"]
        assert want is None or torch.equal(got, want)
        want = got


def test_wrong_arguments():
    with pytest.raises(ValueError, match="'heads' must be as many as the 2 teachers, got 1"):
        tmkd([gcn(1)], TEACHERS, graph(), epochs=1)
    with pytest.raises(ValueError, match=r"'alpha' must be in \[0, 1\], got 2"):
        tmkd([gcn(1), gcn(2)], TEACHERS, graph(), alpha=2, epochs=1)
