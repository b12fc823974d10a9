"""PGGAN's networks, which grow from 4 pixels to the full size, each doubling faded in.

Karras, Aila, Laine and Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR
2018, https://arxiv.org/abs/1710.10196, Table 2 and Section 4; gains and order of layers as in the authors' release,
https://github.com/tkarras/progressive_growing_of_gans. Level l has 4 * 2^l pixels a side. How far the networks have
grown is one number ``detail`` in [0, levels - 1]: at 2.0 level 2 is the whole output, at 2.25 level 3 is a quarter of
it and level 2, doubled in size, the rest. All levels exist from the start; those not reached take no part.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import register_parametrization

from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import doublings, scaled
from latent_ot.ranks import gather, share

CHANNELS = 512  # of the widest layer; Table 2
GROUP = 4  # images over which a standard deviation is taken; authors' release


def level_widths(levels: int, width: float = 1.0, channels: int = CHANNELS) -> list[int]:
    """Return the channels of each level: ``channels`` up to 32 pixels, halved with each doubling above."""
    return scaled(width, *(min(channels, 8 * channels // 2**level) for level in range(levels)))


def split(detail: float) -> tuple[int, float]:
    """Return the highest level that takes part and its share alpha of the image, in (0, 1]."""
    level = math.ceil(detail)
    return level, detail - level + 1


def double(x: Tensor) -> Tensor:
    """Return maps (n, c, h, w) at (n, c, 2h, 2w), each pixel four times."""
    return F.interpolate(x, scale_factor=2)


def shrink(x: Tensor, detail: float, levels: int) -> Tensor:
    """Return full-size images (n, C, H, H) as the networks see them at ``detail``: mean-pooled, blended in a fade."""
    level, alpha = split(detail)
    x = F.avg_pool2d(x, 2 ** (levels - 1 - level))
    return x if alpha == 1 else torch.lerp(double(F.avg_pool2d(x, 2)), x, alpha)


class Scale(nn.Module):
    """A stored weight of variance 1 -> the weight in use."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight times the factor."""
        return weight * self.factor


def equalised(layer: nn.Linear | nn.Conv2d, gain: float = 2**0.5) -> nn.Module:
    """Draw the layer's weights from N(0, 1) and scale them at run time to He's standard deviation gain / sqrt(fan in).

    Section 4.1: Adam's steps, whose size does not depend on the gradient's, then move all layers at one speed.
    """
    nn.init.normal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return register_parametrization(layer, "weight", Scale(gain / math.sqrt(layer.weight[0].numel())))


class PixelNorm(nn.Module):
    """Scale each pixel's vector of channels to a mean square of 1; Section 4.2."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised maps (n, c, h, w)."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class MinibatchStd(nn.Module):
    """Append one map: the standard deviation over a group of 4 images, mean of all channels and pixels; Section 3.

    Of a batch of 4m images, i, i + m, i + 2m and i + 3m are a group; smaller batches are one group.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return maps (n, c + 1, h, w) of (n, c, h, w)."""
        batch = gather(x)
        group = min(GROUP, len(batch))
        variance = batch.reshape(group, -1, *x.shape[1:]).var(dim=0, correction=0)
        std = share((variance + 1e-8).sqrt().mean(dim=(1, 2, 3)).repeat(group))
        return torch.cat([x, std.view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], dim=1)


def _conv(before: int, after: int, kernel: int, padding: int) -> list[nn.Module]:
    return [equalised(nn.Conv2d(before, after, kernel, padding=padding)), nn.LeakyReLU(0.2)]


class Generator(nn.Module):
    """Codes (n, latent_dim) and a detail -> images (n, C, h, h), unbounded, of data in (-1, 1); h = 4 * 2^ceil(detail).

    Codes are normalised like pixels, so that their length does not matter.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0, channels: int = CHANNELS) -> None:
        super().__init__()
        c = level_widths(doublings(shape, "pggan") + 1, width, channels)
        # A kernel of 4 over one padded pixel is the dense layer to 4 x 4 pixels with one bias for each channel.
        first = [nn.Unflatten(1, (latent_dim, 1, 1)), PixelNorm(), *_conv(latent_dim, c[0], 4, 3), PixelNorm()]
        self.blocks = nn.ModuleList([nn.Sequential(*first, *_conv(c[0], c[0], 3, 1), PixelNorm())])
        for before, after in itertools.pairwise(c):
            layers = [*_conv(before, after, 3, 1), PixelNorm(), *_conv(after, after, 3, 1), PixelNorm()]
            self.blocks.append(nn.Sequential(nn.Upsample(scale_factor=2), *layers))
        self.to_rgb = nn.ModuleList(equalised(nn.Conv2d(n, shape[0], 1), gain=1.0) for n in c)

    def forward(self, z: Tensor, detail: float) -> Tensor:
        """Return images of codes (n, latent_dim)."""
        level, alpha = split(detail)
        below = x = z
        for block in self.blocks[: level + 1]:
            below, x = x, block(x)
        image = self.to_rgb[level](x)
        return image if alpha == 1 else torch.lerp(double(self.to_rgb[level - 1](below)), image, alpha)


class Critic(nn.Module):
    """Images (n, C, h, h) of a detail -> scores (n, 1); the generator's mirror image.

    Images of one group see each other (``MinibatchStd``): n is a multiple of 4, or smaller.
    """

    def __init__(self, shape: tuple[int, ...], width: float = 1.0, channels: int = CHANNELS) -> None:
        super().__init__()
        c = level_widths(doublings(shape, "pggan") + 1, width, channels)
        dense = [nn.Flatten(), equalised(nn.Linear(16 * c[0], c[0])), nn.LeakyReLU(0.2)]
        last = equalised(nn.Linear(c[0], 1), gain=1.0)
        self.blocks = nn.ModuleList([nn.Sequential(MinibatchStd(), *_conv(c[0] + 1, c[0], 3, 1), *dense, last)])
        for after, before in itertools.pairwise(c):
            layers = [*_conv(before, before, 3, 1), *_conv(before, after, 3, 1)]
            self.blocks.append(nn.Sequential(*layers, nn.AvgPool2d(2)))
        self.from_rgb = nn.ModuleList(nn.Sequential(*_conv(shape[0], n, 1, 0)) for n in c)

    def forward(self, x: Tensor, detail: float) -> Tensor:
        """Return scores of images (n, C, h, h), h = 4 * 2^ceil(detail)."""
        level, alpha = split(detail)
        h = self.from_rgb[level](x)
        for number in range(level, -1, -1):
            h = self.blocks[number](h)
            if number == level and alpha < 1:
                h = torch.lerp(self.from_rgb[level - 1](F.avg_pool2d(x, 2)), h, alpha)
        return h


class PgganNetworks(Family):
    """PGGAN's, which take a detail, too."""

    version = 1
    data_range = SIGNED
    generator = Generator
    critic = Critic
