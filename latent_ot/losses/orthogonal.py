"""Orthogonal regularisation, which holds the rows of every weight matrix near an orthonormal set.

Brock, Lim, Ritchie and Weston, "Neural Photo Editing with Introspective Adversarial Networks", ICLR 2017,
https://arxiv.org/abs/1609.07093: the sum over layers of |W W^T - I|, entry by entry.
"""

import torch
from torch import Tensor, nn


def orthogonality(network: nn.Module) -> Tensor:
    """Return the sum over linear and convolutional layers of the absolute entries of W W^T - I, a scalar.

    A row of W holds all weights of one output. Zero where every layer's rows are orthonormal, which a layer with more
    rows than columns cannot reach.
    """
    weights = [m.weight.flatten(1) for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return torch.stack(
        [(w @ w.T - torch.eye(len(w), dtype=w.dtype, device=w.device)).abs().sum() for w in weights]
    ).sum()
