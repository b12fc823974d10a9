"""The convolutional networks of iWGAN for MNIST, and what both of its sets are made of.

Appendix D2 and D3 of "iWGAN: an Autoencoder WGAN for Inference", which print widths and activations alone. Kernels and
strides are ours: 4 and 2, with which the one 8x8 map at the end of CelebA's encoder is its 64-dimensional code, and no
image has a pattern of the stride's period (WGAN-GP's public MNIST networks of the same widths have 5 and 2). The MNIST
set, made for 28 pixels, here begins and ends at 4x4, which gives the published widths at 32. Other sizes take as many
layers as reach 4x4 (CelebA's encoder and critic: 8x8), of widths that double from 128 up to the widest published one.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from torch import nn

from latent_ot.errors import choose
from latent_ot.networks.base import UNIT, Family
from latent_ot.networks.infogan import doublings, norm_layer, scaled

Norm = Literal["none", "instance", "layer", "batch"]


def widths(width: float, layers: int, most: int) -> list[int]:
    """Return widths that double from 128 up to ``most``, times the factor ``width``."""
    return scaled(width, *(min(128 << i, most) for i in range(layers)))


def down(sizes: Sequence[int], norm: Norm, slope: float) -> list[nn.Module]:
    """Return convolutions that each halve the side; all but the first are normalised. ``slope``: of x < 0."""
    choose("critic norm of the iWGAN networks", norm, get_args(Norm))
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        normed = bool(layers) and norm != "none"
        bias = not normed or norm == "layer"  # the others subtract each channel's mean, and with it a bias
        layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=bias))
        if normed:
            layers.append(nn.InstanceNorm2d(after) if norm == "instance" else norm_layer(norm, after))
        layers.append(nn.LeakyReLU(slope) if slope else nn.ReLU())
    return layers


def up(sizes: Sequence[int], norm: bool) -> list[nn.Module]:
    """Return transposed convolutions that each double the side; the last one is left as it is."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        layers.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=not norm))
        layers += [*([nn.BatchNorm2d(after)] if norm else []), nn.ReLU()]
    return [*layers, nn.ConvTranspose2d(sizes[-2], sizes[-1], 4, 2, 1)]


class MnistGenerator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (0, 1).

    Raises:
        InputError: unless H is 4 times a power of two and C is 1 or 3.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        first, *rest = reversed(widths(width, doublings(shape, "iwgan"), 512))
        start = [nn.Linear(latent_dim, first * 16), nn.ReLU(), nn.Unflatten(1, (first, 4, 4))]
        super().__init__(*start, *up([first, *rest, shape[0]], norm=False), nn.Sigmoid())


class MnistCritic(nn.Sequential):
    """Images (n, C, H, H) in [0, 1] -> (n, out_dim), unbounded; ``norm``: the published "none", or another.

    Raises:
        InputError: unless H is 4 times a power of two and C is 1 or 3, or for an unknown norm.
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: Norm = "none") -> None:
        hidden = widths(width, doublings(shape, "iwgan"), 512)
        layers = down([shape[0], *hidden], norm, slope=0.0)
        super().__init__(*layers, nn.Flatten(), nn.Linear(hidden[-1] * 16, out_dim))


MnistEncoder = MnistCritic  # Appendix D2: their last layers differ in width and nothing else does


class IwganMnistNetworks(Family):
    """iWGAN's for MNIST."""

    version = 2
    name = "iwgan_mnist"
    data_range = UNIT
    generator = MnistGenerator
    critic = MnistCritic
    encoder = MnistEncoder
