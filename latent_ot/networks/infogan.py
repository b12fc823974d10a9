"""The InfoGAN generator and discriminator, the networks of most 32- and 64-pixel comparisons.

Generator: Table 7 of "Optimizing Latent Distributions for Non-Adversarial Generative Networks" (32x32, 64x64).
Discriminator: its counterpart in the large-scale GAN study of Lucic et al. (2018), here also the encoder. Layers that a
batch normalisation follows have no bias: the normalisation removes it, and Adam would turn its rounding-noise gradient
into a random walk.
"""

from typing import Literal

from torch import nn

from latent_ot.errors import InputError, choose
from latent_ot.networks.base import UNIT, Family

Norm = Literal["batch", "layer", "none"]


def init_normal(module: nn.Module, std: float) -> nn.Module:
    """Draw all weights from N(0, std^2), set biases to 0 and leave normalisation layers at scale 1, shift 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def scaled(width: float, *channels: int) -> list[int]:
    """Return hidden widths times the width factor, each at least 1."""
    return [max(1, round(width * c)) for c in channels]


def check_image_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (channels, size / 4) of an image shape (C, H, H).

    Raises:
        InputError: unless the image is square and its size a multiple of 4.
    """
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 4 or shape[1] < 8:
        raise InputError(f"InfoGAN networks: shape {shape}; allowed: (C, H, H) with H >= 8 a multiple of 4")
    return shape[0], shape[1] // 4


def doublings(shape: tuple[int, ...], family: str) -> int:
    """Return k of an image shape (C, H, H) with H = 4 * 2^k.

    Raises:
        InputError: naming the ``family`` of networks, unless k is 1 or more and C is 1 or 3.
    """
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1] != shape[2] or shape[1] < 8 or shape[1].bit_count() > 1:
        raise InputError(f"{family} networks: shape {shape}; allowed: (1 or 3, H, H) with H = 8, 16, 32, 64, 128, ...")
    return shape[1].bit_length() - 3


def halving(before: int, after: int, size: int, bias: bool = True) -> nn.Conv2d:
    """Return a convolution of 4 x 4 pixels that takes maps of ``size`` pixels to half as many, rounded up.

    Its kernel is a multiple of its stride, so that every pixel is seen by as many of its places as its neighbours are:
    one of 3 or 5 sees them by turns more and less often, and so do gradients and losses that come through it.
    """
    return nn.Conv2d(before, after, 4, 2, 1 + size % 2, bias=bias)


def norm_layer(norm: Norm, channels: int, dims: int = 2) -> nn.Module:
    """Return the normalisation of a critic's activations: maps (n, channels, h, w), or (n, channels) if dims is 0."""
    if norm == "none":
        return nn.Identity()
    if norm == "layer":
        return nn.GroupNorm(1, channels)  # over all features of one sample, scale and shift per channel
    return nn.BatchNorm2d(channels) if dims else nn.BatchNorm1d(channels)


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (0, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        channels, side = check_image_shape(shape)
        hidden, wide, narrow = scaled(width, 1024, 128, 64)
        super().__init__(
            nn.Linear(latent_dim, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, wide * side * side, bias=False),
            nn.BatchNorm1d(wide * side * side),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (wide, side, side)),
            nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(narrow, channels, 4, 2, 1),
            nn.Sigmoid(),
        )


class Encoder(nn.Sequential):
    """Images (n, C, H, H) in [0, 1] -> (n, out_dim): a discriminator (``out_dim`` 1) or an encoder.

    ``norm``: "layer" or "none" for critics whose per-sample gradient is penalised, since batch normalisation would make
    the output for one image depend on the others.
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int, width: float = 1.0, norm: Norm = "batch") -> None:
        channels, side = check_image_shape(shape)
        choose("discriminator norm", norm, ("batch", "layer", "none"))
        hidden, wide, narrow = scaled(width, 1024, 128, 64)
        bias = norm != "batch"
        super().__init__(
            nn.Conv2d(channels, narrow, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(narrow, wide, 4, 2, 1, bias=bias),
            norm_layer(norm, wide),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(wide * side * side, hidden, bias=bias),
            norm_layer(norm, hidden, dims=0),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, out_dim),
        )


class InfoganNetworks(Family):
    """InfoGAN's."""

    version = 1
    name = "infogan"
    data_range = UNIT
    generator = Generator
    critic = Encoder
    encoder = Encoder
