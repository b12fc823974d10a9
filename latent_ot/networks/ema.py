"""Average of a network's weights over training, whose samples are steadier than the last weights'."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from latent_ot.networks.base import Family


class Ema(AveragedModel):
    """The average of ``module``, a network of the same kind in the attribute ``module``.

    It begins as a copy at the first ``update_parameters(module)``; each later call takes
    average <- decay * average + (1 - decay) * weights, normalisation statistics included. Its buffer ``n_averaged``
    counts the calls. It takes no gradient itself and is differentiable in its input.

    Args:
        module: the network in training.
        decay: in [0, 1]; None: the plain mean of the weights at all calls.
    """

    def __init__(self, module: nn.Module, decay: float | None) -> None:
        rule = get_swa_multi_avg_fn() if decay is None else get_ema_multi_avg_fn(decay)
        super().__init__(module, multi_avg_fn=rule, use_buffers=True)
        self.requires_grad_(False)
        self.asks = decay is None  # how many weights it holds, which is known on the device
        self.begun = False

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take a network's weights in. A decaying average waits for the device the first time alone."""
        first, self.begun = not self.begun and not bool(self.n_averaged), True
        if self.asks or first:
            super().update_parameters(model)
            return
        kinds: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        ours, theirs = (chain(net.parameters(), net.buffers()) for net in (self.module, model))
        for average, weight in zip(ours, theirs, strict=True):
            for kept, value in zip(kinds.setdefault(average.dtype, ([], [])), (average, weight), strict=True):
                kept.append(value.detach())
        assert self.multi_avg_fn is not None
        for averages, weights in kinds.values():
            self.multi_avg_fn(averages, weights, self.n_averaged)
        self.n_averaged += 1


class EmaNetworks(Family):
    """Averages of other networks."""

    version = 1
