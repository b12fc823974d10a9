"""Average of a network's weights over training, whose samples are steadier than the last weights'."""

from torch import nn
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


class EmaNetworks(Family):
    """Averages of other networks."""

    version = 1
