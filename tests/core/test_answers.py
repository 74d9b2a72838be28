from __future__ import annotations

import pytest
import torch

from graphkd.core.answers import check_exclusive, check_logits, check_width, is_sigmoid, is_softmax

LOGITS = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))


def test_probabilities_are_told_from_logits():
    assert is_softmax(LOGITS.softmax(1))
    assert is_softmax(LOGITS.softmax(1).half())
    assert is_softmax(LOGITS.reshape(2, 10, 4).softmax(-1))
    for other in (LOGITS, LOGITS.sigmoid(), LOGITS.log_softmax(1), LOGITS.softmax(0), LOGITS[:, :1].softmax(1)):
        assert not is_softmax(other)
    assert not is_softmax(LOGITS[:0].softmax(1))
    assert not is_softmax(LOGITS.softmax(1)[0])


def test_sigmoids_are_told_from_logits_where_there_are_enough():
    assert is_sigmoid(LOGITS.sigmoid())
    assert is_sigmoid((100 * LOGITS).sigmoid())
    for other in (LOGITS, torch.zeros(20, 4), torch.ones(20, 4), LOGITS.sigmoid()[0], LOGITS.sigmoid() + 0.5):
        assert not is_sigmoid(other)


def test_a_look_says_whether_it_could_tell():
    assert check_logits("KL", "classes", LOGITS, "student")
    assert not check_logits("KL", "classes", LOGITS[:0], "student")
    assert check_logits("BCE", "labels", LOGITS, "student")
    assert not check_logits("BCE", "labels", LOGITS[:1], "student")
    assert check_logits("KL", "classes", torch.zeros(3, 2, dtype=torch.long), "student")


def test_widths():
    check_width("KL", LOGITS, "student", 4)
    with pytest.raises(ValueError, match="KL: 'student' must have 5 classes at least, got width 4"):
        check_width("KL", LOGITS, "student", 5)


def test_labels_of_several_classes_are_looked_at_once():
    y = torch.ones(20, 4)
    with pytest.raises(ValueError, match="KL is for classes that exclude each other"):
        check_exclusive("KL", y, LOGITS, "SoftBCE")
    y.copy_(torch.eye(4)[torch.arange(20) % 4])
    check_exclusive("KL", y, LOGITS, "SoftBCE")
    for other in (None, torch.arange(20), torch.ones(20, 3), torch.full((20, 4), 0.5), 7):
        check_exclusive("KL", other, LOGITS, "SoftBCE")
