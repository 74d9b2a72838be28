"""Losses of a discriminator of student's and teacher's features, and of a student that fools it.

They have no class: the discriminator is trained against the student, by an optimiser of its own, in a scheme.
"""

import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype


def discrimination(student: Tensor, teacher: Tensor) -> Tensor:
    """The discriminator's loss on its logits of both sides' rows: (N,), (M,) -> scalar. Wang et al., AAAI 2018.

    mean log(1 + exp(-d(t))) + mean log(1 + exp(d(s))): 1 for the teacher's features, 0 for the student's. Give it
    features without gradient: it is the discriminator that learns.
    """
    return fooling(teacher) + fooling(-student)


def fooling(student: Tensor) -> Tensor:
    """The student's loss on the discriminator's logits of its rows, mean log(1 + exp(-d(s))): (N,) -> scalar.

    The non-saturating form of Goodfellow et al., 2014, with a gradient where the discriminator is sure. With a hint and
    ``InfoNCE`` it makes up the contrastive adversarial distillation for regression of Xu et al., Neurocomputing 2022
    (CAKD), whose formula and weights we do not know.
    """
    return F.softplus(-student.to(accumulation_dtype(student))).sum() / max(student.numel(), 1)
