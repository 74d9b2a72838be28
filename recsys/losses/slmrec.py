"""SLMRec: blocks of a large sequential model's layers pulled together with those of a small one."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkd.kernels.norms import cosines
from recsys.losses._scores import wide


def slmrec(
    student: Tensor, teacher: Tensor, blocks: int = 4, *, cosine_weight: float = 1.0, norm_weight: float = 0.1
) -> Tensor:
    """Match the last position after every block of layers. Xu et al., ICLR 2025, arXiv:2405.17890.

    sum_{i = 1..K} [lam (1 - mean_b cos(x_i, y_i)) + 0.1 mean_b |x_i - y_i|], x_i the student's state (L_s // K) i and
    y_i the teacher's (L_t // K) i, at the last position alone; the teacher is a constant.
    student (L_s + 1, B, T, d), teacher (L_t + 1, B, T', d): states after every layer, the inputs first -> scalar.
    ``blocks``: K; ValueError where a side has fewer layers, or for other widths or rows. States that are equal have a
    gradient of 0. O(K B d). Cross-entropy and the heads of inner blocks are no part of it.
    """
    if student.dim() != 4 or teacher.dim() != 4 or student.shape[1::2] != teacher.shape[1::2]:
        raise ValueError(
            "'student' and 'teacher' must be (layers + 1, B, T, d) of the same rows and width, got "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    layers = student.size(0) - 1, teacher.size(0) - 1
    if not 1 <= blocks <= min(layers):
        raise ValueError(f"'blocks' must be from 1 to {min(layers)}, the layers of the smaller side, got {blocks}")
    steps = torch.arange(1, blocks + 1, device=student.device)
    x, y = wide(student[(layers[0] // blocks) * steps, :, -1], teacher[(layers[1] // blocks) * steps, :, -1].detach())
    direction = 1 - cosines(x, y).mean(dim=1)
    length = torch.linalg.vector_norm(x - y, dim=2).mean(dim=1)
    return (cosine_weight * direction + norm_weight * length).sum()
