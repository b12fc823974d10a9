"""Fully connected networks of the latent samplers."""

import itertools
from collections.abc import Sequence

from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "softplus": nn.Softplus, "elu": nn.ELU}


def mlp(sizes: Sequence[int], activation: str = "relu", norm: bool = False, bias: bool = True) -> nn.Sequential:
    """Return a network from ``sizes[0]`` to ``sizes[-1]`` dimensions through hidden layers of the sizes between.

    Args:
        sizes: input, hidden and output dimensions.
        activation: after each hidden layer, a key of ``ACTIVATIONS``.
        norm: whether a batch normalisation stands before each activation.
        bias: whether linear layers have one.
    """
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(itertools.pairwise(sizes), start=2):
        layers.append(nn.Linear(before, after, bias=bias))
        if number < len(sizes):
            layers += [nn.BatchNorm1d(after)] if norm else []
            layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers)
