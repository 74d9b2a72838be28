"""The classes other than the label's, which DKD and NCKD read."""

import torch
from torch import Tensor

from graphkd.losses._checks import check_same_shape, class_ids_of


def decoupled_labels(student: Tensor, teacher: Tensor, y: Tensor) -> Tensor:
    """Read labels as class ids (N,); raise ValueError unless logits have one shape and two classes at least."""
    check_same_shape(student, teacher)
    if student.size(-1) < 2:
        raise ValueError(f"'student' must have a class besides the label's, got {student.size(-1)}")
    return class_ids_of(student, y)


def other_logits(logits: Tensor, y: Tensor) -> Tensor:
    """Leave out the logit of the label: (N, C), (N,) -> (N, C - 1)."""
    columns = torch.arange(logits.size(1) - 1, device=logits.device)
    return logits.gather(1, columns + (columns >= y[:, None]))
