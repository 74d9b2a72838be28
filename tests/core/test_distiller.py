from __future__ import annotations

import copy
import pickle

import pytest
import torch

from graphkd import Cached, Distiller, Frozen, Step
from graphkd.losses import AT, CE, KL, LSP
from tests.core.models import Labels, Match, gcn, graph

TAPS = {"hidden": "convs.0"}


def test_a_step_is_the_weighted_sum_and_the_terms_before_their_weights():
    data, student, teacher = graph(), gcn(1), gcn(2).eval()
    losses = {"ce": CE(where="train_mask"), "kd": 0.9 * KL(4.0), "lsp": 100 * LSP()}
    step = Distiller(student, teacher, losses, taps=TAPS)(data)
    logits, taught = (model(data.x, data.edge_index) for model in (student, teacher))
    hidden = [model.convs[0](data.x, data.edge_index) for model in (student, teacher)]
    want = {
        "ce": CE()(logits[data.train_mask], y=data.y[data.train_mask]),
        "kd": KL(4.0)(logits, taught),
        "lsp": LSP()(*hidden, edge_index=data.edge_index),
    }
    assert isinstance(step, Step)
    assert list(step.terms) == ["ce", "kd", "lsp"]
    torch.testing.assert_close(step.terms, want)
    torch.testing.assert_close(step.loss, want["ce"] + 0.9 * want["kd"] + 100 * want["lsp"])
    assert not step.terms["ce"].requires_grad


def test_terms_of_a_sum_are_named_after_their_classes():
    task = Distiller(gcn(1), gcn(2), 0.5 * KL() + KL(4.0) + AT(), taps=TAPS)
    assert list(task(graph()).terms) == ["kl", "kl#2", "at"]
    task = Distiller(gcn(1), gcn(2), {"soft": KL() + AT()}, taps=TAPS)
    assert list(task(graph()).terms) == ["soft.kl", "soft.at"]


def test_with_every_row_masked_the_loss_is_a_differentiable_zero():
    data = graph()
    data.train_mask[:] = False
    step = Distiller(gcn(1), losses=CE(where="train_mask"))(data)
    step.loss.backward()
    assert step.loss == 0
    assert step.terms == {}


def test_both_sides_may_be_tapped_at_different_places():
    student, teacher = gcn(1), gcn(2)
    step = Distiller(student, teacher, {"a": AT()}, taps={"hidden": ("convs.0", "convs.1")})(graph())
    assert step.terms["a"] > 0


def test_the_models_stay_as_they_came():
    student, teacher, data = gcn(1), gcn(2), graph()
    task = Distiller(student, teacher, AT(), taps=TAPS)
    for _ in range(2):
        assert task(data).loss.isfinite()
        assert not student.convs[0]._forward_hooks
        assert not teacher.convs[0]._forward_hooks
        task.close()  # which does nothing


def test_a_teacher_without_layers_is_asked_without_taps():
    class Fixed(Frozen):
        def __call__(self, batch):
            return {"logits": torch.zeros(30, 3)}

    assert Distiller(gcn(1), Fixed(gcn(2)), KL())(graph()).loss > 0


def test_student_and_teacher_may_be_one_model():
    data, model = graph(), gcn(1)
    task = Distiller(model, model, KL() + AT(), taps=TAPS)
    assert task(data).loss == 0
    with torch.no_grad():
        model.convs[1].lin.weight.mul_(2)
    assert task(data).loss > 0


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="'losses' must hold at least one loss, got none"):
        Distiller(gcn(1), gcn(2))
    with pytest.raises(TypeError, match="'losses' must hold Loss objects, got float for 'kd'"):
        Distiller(gcn(1), gcn(2), {"kd": 0.5})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"losses \['kl'\] compare with a teacher: give 'teacher', got None"):
        Distiller(gcn(1), losses=KL())
    with pytest.raises(ValueError, match="GCN has no sub-module 'nowhere'"):
        Distiller(gcn(1), gcn(2), AT(), taps={"hidden": "nowhere"})


def test_set_epoch_reaches_every_loss():
    class Annealed(Match):
        seen = None

        def set_epoch(self, epoch, epochs):
            self.seen = (epoch, epochs)

    loss = Annealed()
    Distiller(gcn(1), gcn(2), Labels() + 2 * loss, taps=TAPS).set_epoch(3, 10)
    assert loss.seen == (3, 10)


@pytest.mark.parametrize("wrap", [lambda model: model, Cached])
def test_compiled_and_copied_distillers_give_the_same_step(wrap):
    data = graph()
    task = Distiller(gcn(1), wrap(gcn(2)), {"ce": CE(where="train_mask"), "lsp": 10 * LSP()}, taps=TAPS)
    want = task(data)
    torch.testing.assert_close(torch.compile(task, backend="eager")(data), want)
    torch.testing.assert_close(copy.deepcopy(task)(data), want)
    assert pickle.loads(pickle.dumps(task.student))(data.x, data.edge_index).shape == (30, 3)
