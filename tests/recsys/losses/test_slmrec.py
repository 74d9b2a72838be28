"""SLMRec's matching of blocks against its formula as loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.losses.slmrec import slmrec


def states(layers: int, seed: int, length: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(layers + 1, 3, length, 5, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_it_is_its_formula(blocks: int) -> None:
    student, teacher, total = states(4, 0), states(9, 1, length=6), 0.0
    for i in range(1, blocks + 1):
        x, y = student[4 // blocks * i, :, -1], teacher[9 // blocks * i, :, -1]
        cosines = [(x[b] @ y[b] / (x[b].norm() * y[b].norm())).item() for b in range(3)]
        total += 0.8 * (1 - sum(cosines) / 3) + 0.2 * sum((x[b] - y[b]).norm().item() for b in range(3)) / 3
    found = slmrec(student, teacher, blocks, cosine_weight=0.8, norm_weight=0.2)
    assert found.item() == pytest.approx(total, rel=1e-12)


def test_without_its_weights_it_is_nothing_and_only_last_positions_of_blocks_are_moved() -> None:
    student, teacher = states(4, 0).requires_grad_(), states(8, 1).requires_grad_()
    assert slmrec(student, teacher, 2, cosine_weight=0, norm_weight=0).item() == 0
    slmrec(student, teacher, 2).backward()
    moved = student.grad.abs().sum(dim=(1, 3)).nonzero()
    assert moved.tolist() == [[2, 3], [4, 3]]
    assert teacher.grad is None


def test_equal_states_cost_nothing_and_have_no_gradient() -> None:
    student = states(4, 0).requires_grad_()
    loss = slmrec(student, student.detach(), 4)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(student.grad, torch.zeros_like(student))


def test_errors() -> None:
    with pytest.raises(ValueError, match="'blocks' must be from 1 to 4, the layers of the smaller side, got 5"):
        slmrec(states(4, 0), states(8, 1), 5)
    with pytest.raises(ValueError, match=r"must be \(layers \+ 1, B, T, d\) of the same rows and width"):
        slmrec(states(4, 0), states(8, 1)[..., :3])
