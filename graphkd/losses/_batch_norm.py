"""Batch norm for layers of losses, whose batches may have a single row or equal rows."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkd.kernels.norms import constants


class BatchNorm(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` of any number of rows (N, d), in float32 at least.

    A batch of at most one row has no statistics: even in training it is normalised by the running statistics and leaves
    them unchanged. A channel that is constant over the batch returns its bias, without gradient for the rows; torch
    would divide the rounding of the mean by sqrt(eps).
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        mean, variance, weight, bias = (
            held.to(wide) for held in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        x, learns = x.to(wide), self.training and x.size(0) > 1
        if learns:
            weight = weight * ~constants(x, 0).squeeze(0)
        found = F.batch_norm(x, mean, variance, weight, bias, learns, self.momentum or 0.0, self.eps)
        if learns:
            self.num_batches_tracked.add_(1)
        if learns and mean is not self.running_mean:  # float32 copies of narrower buffers
            self.running_mean.copy_(mean)
            self.running_var.copy_(variance)
        return found
