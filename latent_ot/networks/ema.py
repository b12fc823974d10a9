"""Exponential moving average of a network's weights, whose samples are steadier than the last weights'."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def ema(module: nn.Module, decay: float) -> AveragedModel:
    """Return the average of ``module``, a network of the same kind in its attribute ``module``.

    It begins as a copy at the first ``update_parameters(module)``; each later call takes
    average <- decay * average + (1 - decay) * weights, normalisation statistics included. Its buffer ``n_averaged``
    counts the calls. It takes no gradient itself and is differentiable in its input.

    Args:
        module: the network in training.
        decay: in [0, 1].
    """
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    return average.requires_grad_(False)
