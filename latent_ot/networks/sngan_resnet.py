"""The residual networks of SNGAN.

Miyato, Kataoka, Koyama and Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018,
https://arxiv.org/abs/1802.05957: Table 4 at 32 pixels, and the widths of the authors' release,
pfnet-research/sngan_projection, at 64, 128 and 256. Smaller images have as many blocks of the 32-pixel generator as
double 4 pixels to their size. Initial weights are Glorot's, with gain sqrt 2 on the blocks' main paths, as in the
release. Upsampling is nearest, downsampling the mean of 2 x 2 pixels; a 1 x 1 convolution commutes with both, so it
stands where there are fewer pixels.

Layers that a batch normalisation follows have no bias. In the generator these are all convolutions but the last: the
shortcuts carry a channel's constant on to the last normalisation, which takes it away, as that of every block does.
"""

import itertools

from torch import Tensor, nn

from latent_ot.errors import InputError
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import Norm, doublings, norm_layer, scaled
from latent_ot.networks.sngan import CriticNorm, of_activations, spectral
from latent_ot.networks.wgan_div_resnet import Residual

SIZES = {  # channels of the generator from 4 pixels on and of the critic's blocks, and how many of these halve H
    64: ((1024, 512, 256, 128, 64), (64, 128, 256, 512, 1024), 5),
    128: ((1024, 1024, 512, 256, 128, 64), (64, 128, 256, 512, 1024, 1024), 5),
    256: ((1024, 1024, 512, 512, 256, 128, 64), (64, 128, 256, 512, 512, 1024, 1024), 6),
}


def _plan(shape: tuple[int, ...], width: float) -> tuple[list[int], list[int], int]:
    levels = doublings(shape, "sngan_resnet")
    if shape[1] > max(SIZES):
        raise InputError(f"sngan_resnet networks: shape {shape}; allowed: at most {max(SIZES)} pixels")
    up, down, halvings = SIZES.get(shape[1], ((256,) * (levels + 1), (128,) * 4, 2))
    return scaled(width, *up), scaled(width, *down), halvings


def _glorot(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _up(before: int, after: int) -> Residual:
    """Return a block of the generator, which doubles the side."""
    main = nn.Sequential(
        nn.BatchNorm2d(before),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        _glorot(nn.Conv2d(before, after, 3, 1, 1, bias=False), 2**0.5),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        _glorot(nn.Conv2d(after, after, 3, 1, 1, bias=False), 2**0.5),
    )
    return Residual(main, nn.Sequential(_glorot(nn.Conv2d(before, after, 1, bias=False)), nn.Upsample(scale_factor=2)))


def _down(before: int, after: int, halves: bool, norm: Norm, first: bool = False) -> Residual:
    """Return a block of the critic, which halves the side if ``halves``; the ``first`` one takes images as they are."""
    hidden, pool = after if first else before, [nn.AvgPool2d(2)] if halves else []
    main = nn.Sequential(
        *([] if first else [norm_layer(norm, before), nn.ReLU()]),
        _glorot(nn.Conv2d(before, hidden, 3, 1, 1, bias=norm != "batch"), 2**0.5),
        norm_layer(norm, hidden),
        nn.ReLU(),
        _glorot(nn.Conv2d(hidden, after, 3, 1, 1), 2**0.5),
        *pool,
    )
    same = before == after and not halves
    return Residual(main, nn.Sequential(*([] if same else [*pool, _glorot(nn.Conv2d(before, after, 1))])))


class SumPool(nn.Module):
    """Maps (n, c, h, w) -> their sums over pixels (n, c)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums."""
        return x.sum(dim=(2, 3))


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        c, _, _ = _plan(shape, width)
        super().__init__(
            _glorot(nn.Linear(latent_dim, c[0] * 16)),
            nn.Unflatten(1, (c[0], 4, 4)),
            *(_up(before, after) for before, after in itertools.pairwise(c)),
            nn.BatchNorm2d(c[-1]),
            nn.ReLU(),
            _glorot(nn.Conv2d(c[-1], shape[0], 3, 1, 1)),
            nn.Tanh(),
        )


class Critic(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim).

    ``norm``: "spectral" of all weights, or of activations "batch", "layer" or "none"; not of the first block's.

    Raises:
        InputError: for another norm, or an image that is not square with H of 8, 16, 32, 64, 128 or 256.
    """

    def __init__(
        self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: CriticNorm = "spectral"
    ) -> None:
        _, c, halvings = _plan(shape, width)
        kind = of_activations(norm)
        blocks = [_down(shape[0], c[0], True, "none", first=True)]
        for i, (before, after) in enumerate(itertools.pairwise(c), start=1):
            blocks.append(_down(before, after, i < halvings, kind))
        # The release's last layer has no bias at 32 pixels and has one in the larger networks.
        last = _glorot(nn.Linear(c[-1], out_dim, bias=shape[1] > 32))
        super().__init__(*blocks, nn.ReLU(), SumPool(), last)
        if norm == "spectral":
            spectral(self)


class Encoder(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim): the generator's mirror image, block by block; not SNGAN's.

    The critic is none: its sum over all pixels leaves as many numbers of an image as it has channels, fewer than a code
    may have at small widths, and at 32 pixels it has a quarter of the generator's parameters.
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int, width: float = 1.0) -> None:
        c = _plan(shape, width)[0][::-1]
        super().__init__(
            _glorot(nn.Conv2d(shape[0], c[0], 3, 1, 1)),
            *(_down(before, after, True, "batch") for before, after in itertools.pairwise(c)),
            nn.BatchNorm2d(c[-1]),
            nn.ReLU(),
            nn.Flatten(),
            _glorot(nn.Linear(c[-1] * 16, out_dim)),
        )


class SnganResnetNetworks(Family):
    """SNGAN's residual ones."""

    version = 2
    name = "sngan_resnet"
    data_range = SIGNED
    generator = Generator
    critic = Critic
    encoder = Encoder
