"""The DCGAN generator and discriminator with 5 x 5 kernels, the standard networks of WGAN-div at 64 pixels.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", ICLR 2016, https://arxiv.org/abs/1511.06434, in the sizes of the public code of WGAN-div, which are those of
WGAN-GP's: 64 channels at 32 pixels, 128 at 16, 256 at 8 and 512 at 4. Other sizes also have 64 channels at half the
image's size and twice as many at half of that, never more than 512, down to 4 pixels. Initial weights N(0, 0.02^2),
DCGAN, Section 4. Layers that a batch normalisation follows have no bias.
"""

import itertools

from torch import nn

from latent_ot.errors import choose
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import Norm, doublings, init_normal, norm_layer, scaled

WIDEST = 512
INIT_STD = 0.02


def _channels(shape: tuple[int, ...], width: float) -> list[int]:
    """Return the channels at H/2, H/4, ..., 4 pixels."""
    return scaled(width, *(min(64 * 2**level, WIDEST) for level in range(doublings(shape, "dcgan"))))


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        channels = _channels(shape, width)[::-1]
        first, last = channels[0], channels[-1]
        layers = [nn.Linear(latent_dim, first * 16, bias=False), nn.Unflatten(1, (first, 4, 4))]
        layers += [nn.BatchNorm2d(first), nn.ReLU()]
        for before, after in itertools.pairwise(channels):
            up = nn.ConvTranspose2d(before, after, 5, 2, 2, output_padding=1, bias=False)
            layers += [up, nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.ConvTranspose2d(last, shape[0], 5, 2, 2, output_padding=1), nn.Tanh())
        init_normal(self, INIT_STD)


class Critic(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim), with a normalisation after every convolution but the first.

    ``norm``: "batch", or "none", with leaky units of slope 0.2 as DCGAN's discriminator; "layer" with rectified units
    as WGAN-div's critic.

    Raises:
        InputError: for another norm, or an image that is not square with H = 8, 16, 32, ...
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: Norm = "batch") -> None:
        choose("critic norm of the dcgan networks", norm, ("batch", "layer", "none"))
        channels = _channels(shape, width)
        slope = 0.0 if norm == "layer" else 0.2
        layers: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 5, 2, 2), nn.LeakyReLU(slope)]
        for before, after in itertools.pairwise(channels):
            down = nn.Conv2d(before, after, 5, 2, 2, bias=norm != "batch")
            layers += [down, norm_layer(norm, after), nn.LeakyReLU(slope)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels[-1] * 16, out_dim))
        init_normal(self, INIT_STD)


class DcganNetworks(Family):
    """DCGAN's."""

    version = 1
    name = "dcgan"
    data_range = SIGNED
    generator = Generator
    critic = Critic
