"""Losses of a discriminator of student's and teacher's features, and of a student that fools it.

These functions are for schemes that train the discriminator with a separate optimiser; ``FeatureAdversary`` is a loss
class that trains both sides in one backward pass.
"""

import torch.nn.functional as F
from torch import Tensor

from graphkd.kernels.operators import accumulation_dtype


def discrimination(student: Tensor, teacher: Tensor) -> Tensor:
    """The discriminator's loss on its logits of both sides' rows: (N,), (M,) -> scalar. Wang et al., AAAI 2018.

    mean log(1 + exp(-d(t))) + mean log(1 + exp(d(s))): target 1 for the teacher's features, 0 for the student's. Detach
    the features before the discriminator, so that it alone learns.
    """
    return fooling(teacher) + fooling(-student)


def fooling(student: Tensor) -> Tensor:
    """The student's loss on the discriminator's logits of its rows, mean log(1 + exp(-d(s))): (N,) -> scalar.

    This is the non-saturating form of Goodfellow et al., 2014, which keeps a gradient where the discriminator is sure.
    A hint, ``InfoNCE`` and this loss are the parts of the contrastive adversarial distillation for regression of Xu et
    al., Neurocomputing 2022 (CAKD), whose formula and weights we do not know.
    """
    return F.softplus(-student.to(accumulation_dtype(student))).sum() / max(student.numel(), 1)
