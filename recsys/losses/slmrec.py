"""SLMRec: states after blocks of layers of a small sequential model drawn to those of a large one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkd.core.loss import Loss
from graphkd.kernels.norms import cosines
from recsys.losses._scores import wide
from recsys.losses.next_item import item_logits, next_item


def slmrec(
    student: Tensor, teacher: Tensor, blocks: int = 4, *, cosine_weight: float = 1.0, norm_weight: float = 0.1
) -> Tensor:
    """Match the last position after every block of layers. Xu et al., ICLR 2025, arXiv:2405.17890.

    sum_{i = 1..K} [lam (1 - mean_b cos(x_i, y_i)) + 0.1 mean_b |x_i - y_i|], x_i the student's state (L_s // K) i and
    y_i the teacher's (L_t // K) i, at the last position only; the teacher is a constant. lam: ``cosine_weight``; 0.1:
    ``norm_weight``. student (L_s + 1, B, T, d), teacher (L_t + 1, B, T', d): states after every layer, the inputs first
    -> scalar. ``blocks``: K. Raises ValueError where a side has fewer layers, and for different widths or rows. Equal
    states have gradient 0. O(K B d). Cross-entropy and the heads of inner blocks are not included.
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


class SLMRec(Loss):
    """Pull blocks of a small model's layers to those of a large one. Xu et al., ICLR 2025, arXiv:2405.17890.

    The mean over rows of ``slmrec``; student, teacher: ``layers`` (N, layers + 1, d) of ``LayerView``, at the rows'
    positions, where the authors read the last position of each sequence. Equal states have gradient 0. O(N K d).

    Example::

        >>> teacher = torch.randn(2, 5, 8)  # what enters four layers and leaves each
        >>> student = teacher[:, [0, 2, 4]]  # two layers, each in the place of a block of two
        >>> round(float(SLMRec(blocks=2)(student, teacher)), 3)
        0.0
    """

    on = "layers"

    def __init__(
        self, blocks: int = 4, *, cosine_weight: float = 1.0, norm_weight: float = 0.1, on: str | None = None
    ) -> None:
        super().__init__(on=on)
        if blocks < 1 or min(cosine_weight, norm_weight) < 0:
            got = f"{blocks}, {cosine_weight} and {norm_weight}"
            raise ValueError(f"'blocks' must be at least 1, weights 0 or more, got {got}")
        self.blocks, self.cosine_weight, self.norm_weight = blocks, cosine_weight, norm_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See the class."""
        if not len(student):
            return student.sum() * 0
        x, y = (each.transpose(0, 1)[:, :, None] for each in (student, teacher))
        return slmrec(x, y, self.blocks, cosine_weight=self.cosine_weight, norm_weight=self.norm_weight)


class InnerHeads(Loss):
    """Predict next items from inner blocks, by heads that are dropped later. Xu et al., ICLR 2025, arXiv:2405.17890.

    sum over rows of sum_{i < K} CE(head_i(x_i)), x_i the student's state ((L + 1) // K) i; student: ``layers``
    (N, L + 1, d) and ``item`` (I, d). A head is a linear map before the products with the table of items; targets
    (N,), candidates (M,): as for ``NextItem``. O(N K I d).
    """

    on = ("layers", "item")

    def __init__(self, width: int, blocks: int = 4, *, on: tuple[str, str] | None = None) -> None:
        super().__init__(on=on)
        self.heads = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks - 1))

    def forward(self, student: tuple[Tensor, Tensor], *, targets: Tensor, candidates: Tensor | None = None) -> Tensor:
        """See the class."""
        layers, item = student
        step = layers.size(1) // (len(self.heads) + 1)
        answers = targets if candidates is None else targets * 0
        total = layers.sum() * 0
        for place, head in enumerate(self.heads, 1):
            logits = item_logits(head(layers[:, step * place]), item, targets, candidates)
            total = total + next_item(logits, answers)
        return total
