"""Cross-entropy of softened answers, row by row."""

import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype
from graphkd.losses._checks import check_positive


def soft_entropies(student: Tensor, teacher: Tensor, temperature: float, class_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of every row of softened logits: (N, C), (N, C) -> (N,), in float32 at least."""
    check_positive("temperature", temperature)
    s, t = (logits.to(accumulation_dtype(logits)) / temperature for logits in (student, teacher))
    terms = t.softmax(dim=-1) * F.log_softmax(s, dim=-1)
    if class_weights is not None:
        if class_weights.shape != student.shape[-1:]:
            raise ValueError(
                f"'class_weights' must hold one of each of the {student.size(-1)} classes, "
                f"got shape {tuple(class_weights.shape)}"
            )
        terms = terms * class_weights.to(terms.dtype)
    return -terms.sum(dim=-1)
