"""Fully connected adversarial networks for images of any size: three hidden layers of 512 in each.

Of the sizes that "AE-OTtrans and AE-OTgen" leaves open for its GAN and WGAN on 28-pixel images. Their number and width
are those of the fully connected generator and critic in Section 4.3 of Arjovsky, Chintala and Bottou, "Wasserstein
GAN", ICML 2017, with leaky units (slope 0.2) instead of rectified ones.
"""

import itertools
from math import prod

from torch import nn

from latent_ot.errors import choose
from latent_ot.networks.base import UNIT, Family
from latent_ot.networks.infogan import Norm, norm_layer, scaled

HIDDEN = (512, 512, 512)


def _hidden(sizes: list[int], norm: Norm = "none") -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after, bias=norm != "batch"), norm_layer(norm, after, dims=0), nn.LeakyReLU(0.2)]
    return layers


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, W) in (0, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        sizes = [latent_dim, *scaled(width, *HIDDEN)]
        super().__init__(*_hidden(sizes), nn.Linear(sizes[-1], prod(shape)), nn.Sigmoid(), nn.Unflatten(1, shape))


class Critic(nn.Sequential):
    """Images (n, C, H, W) in [0, 1] -> (n, out_dim); ``norm`` of the hidden layers: "none", "layer" or "batch".

    Raises:
        InputError: for another norm.
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: Norm = "none") -> None:
        choose("critic norm of the mlp networks", norm, ("none", "layer", "batch"))
        sizes = [prod(shape), *scaled(width, *HIDDEN)]
        super().__init__(nn.Flatten(), *_hidden(sizes, norm), nn.Linear(sizes[-1], out_dim))


class MlpGanNetworks(Family):
    """Three layers of 512 each."""

    version = 1
    name = "mlp"
    data_range = UNIT
    generator = Generator
    critic = Critic
