"""The third generator of GLDO: that of its LSUN bedrooms and of all its images of 128 pixels.

Last column of Table 7 of "Optimizing Latent Distributions for Non-Adversarial Generative Networks", as printed for 128
pixels: 12.0 million parameters with 100 codes. At half the size the last doubling falls away, at a quarter the last
two, and the head reads what is then the last map; the paper, which has LSUN at 64 pixels, is silent there. Layers that
a batch normalisation follows have no bias. Its head is a hyperbolic tangent, though all images are called [0, 1] there.
"""

import itertools

from torch import nn

from latent_ot.errors import InputError
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import doublings, scaled

CHANNELS = (512, 512, 512, 256, 128, 64)  # at 4, 8, ..., 128 pixels


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1).

    Raises:
        InputError: for an image that is not square with H = 8, 16, 32, 64 or 128.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        steps = doublings(shape, "gldo")
        if steps >= len(CHANNELS):
            raise InputError(f"gldo networks: shape {shape}; allowed: (1 or 3, H, H) with H up to 128; nearest: 128")
        first, *_ = channels = scaled(width, *CHANNELS[: steps + 1])
        layers = [nn.Linear(latent_dim, first * 16, bias=False), nn.BatchNorm1d(first * 16), nn.LeakyReLU(0.2)]
        layers.append(nn.Unflatten(1, (first, 4, 4)))
        for before, after in itertools.pairwise(channels):
            up = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
            layers += [up, nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(channels[-1], shape[0], 3, 1, 1), nn.Tanh())


class GldoNetworks(Family):
    """GLDO's third."""

    version = 1
    data_range = SIGNED
    generator = Generator
