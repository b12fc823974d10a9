"""Fully connected networks of the latent samplers."""

import itertools
from collections.abc import Sequence

from torch import nn

from latent_ot.networks.base import Family

ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "softplus": nn.Softplus, "elu": nn.ELU}


class Mlp(nn.Sequential):
    """A network from ``sizes[0]`` to ``sizes[-1]`` dimensions through hidden layers of the sizes between.

    Args:
        sizes: input, hidden and output dimensions.
        activation: after each hidden layer, a key of ``ACTIVATIONS``.
        norm: whether a batch normalisation stands before each activation.
        bias: whether linear layers have one.
    """

    def __init__(self, sizes: Sequence[int], activation: str = "relu", norm: bool = False, bias: bool = True) -> None:
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(sizes), start=2):
            layers.append(nn.Linear(before, after, bias=bias))
            if number < len(sizes):
                layers += [nn.BatchNorm1d(after)] if norm else []
                layers.append(ACTIVATIONS[activation]())
        super().__init__(*layers)


class MlpNetworks(Family):
    """Fully connected networks of any sizes."""

    version = 1
