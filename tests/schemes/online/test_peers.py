"""Peers: what a rule is told, what is never read, and how the losses add up."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from graphkd import Distiller, fit
from graphkd.losses import CE, KL, kl
from graphkd.schemes import Auxiliary, Collaboration, Peers, PeerTargets, each_other, peer_losses, shared_trunk
from tests.core.models import CLASSES, FEATURES, gcn, graph
from tests.losses.example import LABELS, STUDENT, TEACHER

LOGITS = torch.stack([STUDENT, TEACHER, STUDENT - TEACHER])
LABEL = CE(where="train_mask")


def peers(count=2, **options):
    return [gcn(seed, **options) for seed in range(1, count + 1)]


def mutual(models, *, soft=None, labels=LABEL, **options):
    return Peers(models, each_other, labels=labels, soft=soft or KL(1.0), **options)


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items() if isinstance(value, torch.Tensor))


# ---------------------------------------------------------------- the sum
def test_the_sum_and_its_terms():
    further, extra = Auxiliary(STUDENT.flip(0), TEACHER), torch.tensor(0.7).double()
    made = PeerTargets(
        [(0.5, LOGITS.roll(1, 0)), (2.0, TEACHER)], {"fused": further, "alone": Auxiliary(TEACHER)}, {"e": extra}
    )
    views = [{"logits": peer} for peer in LOGITS]
    loss, terms = peer_losses(views, made, {"y": LABELS}, 0.3 * CE(), KL(2.0), weight=0.1)
    label = [0.3 * CE()(shown, y=LABELS) for shown in (*LOGITS, further.logits, TEACHER)]
    soft = [0.5 * kl(LOGITS[k], LOGITS[k - 1], 2.0) + 2 * kl(LOGITS[k], TEACHER, 2.0) for k in range(3)]
    soft.append(kl(further.logits, TEACHER, 2.0))
    torch.testing.assert_close(loss, sum(label) + 0.1 * sum(soft) + extra)
    names = ["0", "1", "2", "fused"]
    want = {f"label_{name}": value for name, value in zip([*names, "alone"], label, strict=True)}
    want |= {f"soft_{name}": value for name, value in zip(names, soft, strict=True)}
    torch.testing.assert_close(terms, want | {"e": extra})


def test_without_labelled_rows_there_is_no_term():
    data, task = graph(), mutual(peers(), soft=KL(where="train_mask"))
    data.train_mask[:] = False
    loss, terms = task(data)
    loss.backward()
    assert loss == 0
    assert terms == {}


# ---------------------------------------------------------------- what a rule is told
def test_a_rule_gets_what_it_asks_for():
    data, told = graph(), {}

    def rule(logits, hidden, averaged, edge_index, *, n_id=None, absent=None):
        told.update(locals())
        return PeerTargets()

    models = [gcn(1, width=8), gcn(2, width=5)]
    data.n_id = torch.arange(30)
    task = Peers(models, rule, labels=LABEL, hidden="convs.0")
    task(data)
    assert told["logits"].shape == told["averaged"].shape == (2, 30, CLASSES)
    assert [h.shape[1] for h in told["hidden"]] == [8, 5]
    torch.testing.assert_close(told["averaged"], told["logits"].detach())  # of the first step
    assert told["edge_index"] is data.edge_index
    assert told["n_id"] is data.n_id
    assert told["absent"] is None
    task.close()
    assert not models[0].convs[0]._forward_hooks


def test_every_peer_has_a_view_of_its_own():
    data, seen = graph(), []

    def view(batch):
        changed = batch.clone()
        changed.x = batch.x * len(seen)
        seen.append(changed)
        return changed

    answers = []
    task = Peers(
        [gcn(1), gcn(1)], lambda logits: answers.append(logits.detach()) or PeerTargets(), labels=LABEL, views=view
    )
    task(data)
    assert len(seen) == 2
    for answer, changed in zip(answers[0], seen, strict=True):
        torch.testing.assert_close(answer, gcn(1)(changed.x, changed.edge_index).detach())


# ---------------------------------------------------------------- training
def test_the_weight_rises():
    data, task = graph(), mutual(peers(), ramp=0.4)
    task.set_epoch(0, 10)
    start, terms = task(data)
    task.set_epoch(4, 10)
    end, _ = task(data)
    soft = terms["soft_0"] + terms["soft_1"]
    torch.testing.assert_close(end - start, (1 - math.exp(-5)) * soft)


def test_peers_alone_are_students_alone():
    """Without targets each learns what it would without the others."""
    data = graph()
    got = fit(Peers(peers(), lambda logits: PeerTargets(), labels=LABEL), data, epochs=4)
    for seed, peer in enumerate(got, 1):
        want = fit(Distiller(gcn(seed), losses=LABEL), data, epochs=4)
        torch.testing.assert_close(peer.state_dict(), want.state_dict(), rtol=1e-5, atol=1e-6)


def test_peers_grow_alike():
    data, seen = graph(), []
    got = fit(mutual(peers(), labels=0.01 * LABEL), data, epochs=40, log=seen.append)
    assert isinstance(got, nn.ModuleList)
    assert seen[-1]["soft_0"] < 0.2 * seen[0]["soft_0"]
    assert [name for name in seen[0] if name[-1].isdigit()] == ["label_0", "soft_0", "label_1", "soft_1"]


def test_moving_averages_resume(tmp_path):
    def run(**options):
        torch.manual_seed(3)
        task = Peers(
            peers(dropout=0.5), Collaboration([8, 8], CLASSES), labels=LABEL, hidden="convs.0", decay=0.9, ramp=1.0
        )
        fit(task, graph(), epochs=5, **options)
        return task.state_dict()

    def stop(report):
        if report["epoch"] == 2:
            raise KeyboardInterrupt

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path, log=stop, save_every=1)
    assert same(whole, run(checkpoint=tmp_path, resume=True))
    assert any(name.startswith("moving.1.model.") for name in whole)


def test_a_shared_trunk_is_one():
    models = shared_trunk(peers(3), "convs.0")
    assert models[0].convs[0] is models[1].convs[0] is models[2].convs[0]
    assert models[0].convs[1] is not models[1].convs[1]
    task = Peers(models, each_other, labels=LABEL)
    alone = sum(p.numel() for p in gcn(1).parameters())
    assert sum(p.numel() for p in task.parameters()) == 3 * alone - 2 * (FEATURES + 1) * 8
    task(graph()).loss.backward()
    assert models[0].convs[0].lin.weight.grad.any()
    with pytest.raises(AttributeError, match="nowhere"):
        shared_trunk(peers(), "nowhere")


def test_a_tap_path_names_a_trunk():
    models = shared_trunk(peers(), "convs.0:in")
    assert models[0].convs[0] is models[1].convs[0]


def test_each_peer_is_called_in_its_own_way():
    data = graph()
    calls = [None, lambda model, batch: 2 * model(batch.x, batch.edge_index)]
    answers = []
    rule = lambda logits: answers.append(logits.detach()) or PeerTargets()  # noqa: E731
    Peers([gcn(1), gcn(1)], rule, labels=LABEL, call=calls)(data)
    torch.testing.assert_close(answers[0][1], 2 * answers[0][0])


def test_arguments():
    with pytest.raises(ValueError, match="'models' must hold two peers at least, got 1"):
        mutual([gcn()])
    with pytest.raises(ValueError, match=r"'ramp' must be in \[0, 1\], a share of training, got 80"):
        mutual(peers(), ramp=80)
    with pytest.raises(ValueError, match="'hidden' must be one for all, or one for each of 2 peers, got 3"):
        mutual(peers(), hidden=["convs.0"] * 3)
    with pytest.raises(KeyError, match=r"the rule reads 'hidden' of the peers, which show \['logits'\]"):
        Peers(peers(), lambda hidden: PeerTargets(), labels=LABEL)(graph())
    with pytest.raises(ValueError, match=r"peers must answer in one shape, got \[\(30, 3\), \(30, 6\)\]"):
        mutual([gcn(), nn.Linear(FEATURES, FEATURES)], call=[None, lambda model, batch: model(batch.x)])(graph())
