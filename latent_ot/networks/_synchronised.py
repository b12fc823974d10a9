"""Layers that look at a whole batch, over the rows of all ranks (``latent_ot.ranks``) instead of one rank's.

``nn.SyncBatchNorm`` has no second derivative, which gradient penalties and GLDO need, and takes no batch on a CPU.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from latent_ot.ranks import gather, share, size


class SynchronisedNorm(_BatchNorm):
    """Batch normalisation by mean and variance of the batch of all ranks; differentiable any number of times."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised batch (n, C, ...), this rank's part of it."""
        if size() == 1 or not (self.training or self.running_mean is None):
            return super().forward(x)
        dims = [dim for dim in range(x.dim()) if dim != 1]
        found = torch.stack([x.mean(dims), x.var(dims, correction=0)])
        means, variances = gather(found[None]).unbind(1)  # (ranks, C)
        mean = means.mean(0)
        variance = variances.mean(0) + means.var(0, correction=0)  # all ranks have as many rows
        if self.training and self.running_mean is not None:
            self._follow(mean, variance, size() * x.numel() // x.shape[1])
        shape = [-1 if dim == 1 else 1 for dim in range(x.dim())]
        y = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        return y if self.weight is None else y * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics as torch does, which has the unbiased variance of ``count`` values there."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        weight = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance * (count / (count - 1)), weight)


class SharedDropout(_DropoutNd):
    """Dropout by this rank's part of a mask that is drawn for the batch of all ranks."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the batch (n, ...) with values dropped."""
        if size() == 1 or not self.training:
            return super().forward(x)
        batch = torch.cat([x.detach()] * size())  # laid out in memory as x is, in which order a mask is drawn
        mask = super().forward(torch.ones_like(batch))
        return x * share(mask)


def synchronise(network: nn.Module) -> None:
    """Let those layers of a network, in place, look at the batch of all ranks, where there are several."""
    for module in network.modules() if size() > 1 else ():
        for kind, mixin in ((_BatchNorm, SynchronisedNorm), (_DropoutNd, SharedDropout)):
            if isinstance(module, kind) and not isinstance(module, mixin):
                module.__class__ = type(type(module).__name__, (mixin, type(module)), {})
