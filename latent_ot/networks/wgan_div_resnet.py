"""The residual networks of WGAN-div for 64 pixels, and their natural form at other sizes.

Wu, Huang, Thoma, Acharya and Van Gool, "Wasserstein Divergence for GANs", ECCV 2018, https://arxiv.org/abs/1712.01026;
layers and widths are those of the authors' release, https://github.com/musikisomorphie/wgan-div (they are WGAN-GP's
64-pixel ResNet, too). Where an image has side H / 2^l the networks are 64 * 2^l wide, never more than 512; they go
from or to a side of 4. Blocks have their activations first; in the critic a layer normalisation stands before each.
Main paths start from He's distribution, all else from Glorot's. The generator's blocks have no biases, which the
release's have: its last normalisation takes away what they add to a channel, as that of every main path does.
"""

import itertools

from torch import Tensor, nn

from latent_ot.errors import choose
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import Norm, doublings, norm_layer, scaled


class Residual(nn.Module):
    """The sum of two paths."""

    def __init__(self, main: nn.Sequential, shortcut: nn.Sequential) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum for feature maps (n, C, H, H)."""
        return self.main(x) + self.shortcut(x)


def conv(before: int, after: int, size: int = 3, bias: bool = True, he: bool = False) -> nn.Conv2d:
    """Return a convolution that keeps the side, from He's or Glorot's initial weights."""
    layer = nn.Conv2d(before, after, size, padding=size // 2, bias=bias)
    if he:
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    else:
        nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def linear(before: int, after: int) -> nn.Linear:
    """Return a linear layer from Glorot's initial weights."""
    layer = nn.Linear(before, after)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def up(before: int, after: int) -> Residual:
    """Return a block that doubles the side, with batch normalisation."""
    main = nn.Sequential(
        nn.BatchNorm2d(before),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        conv(before, after, bias=False, he=True),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        conv(after, after, bias=False, he=True),
    )
    # A 1 x 1 convolution and repeated pixels may change places: in this order it is four times cheaper.
    return Residual(main, nn.Sequential(conv(before, after, 1, bias=False), nn.Upsample(scale_factor=2)))


def down(before: int, after: int, norm: Norm) -> Residual:
    """Return a block that halves the side."""
    main = nn.Sequential(
        norm_layer(norm, before),
        nn.ReLU(),
        conv(before, before, bias=norm == "none", he=True),
        norm_layer(norm, before),
        nn.ReLU(),
        conv(before, after, he=True),
        nn.AvgPool2d(2),
    )
    return Residual(main, nn.Sequential(nn.AvgPool2d(2), conv(before, after, 1)))


def widths(shape: tuple[int, ...], width: float) -> list[int]:
    """Return the channels of the feature maps of side H, H / 2, ..., 4.

    Raises:
        InputError: unless the shape is (C, H, H) with H = 8, 16, 32, ...
    """
    levels = doublings(shape, "wgan_div_resnet")
    return scaled(width, *(min(64 * 2**level, 512) for level in range(levels + 1)))


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        w = widths(shape, width)[::-1]
        super().__init__(
            linear(latent_dim, w[0] * 4 * 4),
            nn.Unflatten(1, (w[0], 4, 4)),
            *(up(before, after) for before, after in itertools.pairwise(w)),
            nn.BatchNorm2d(w[-1]),
            nn.ReLU(),
            conv(w[-1], shape[0]),
            nn.Tanh(),
        )


class Critic(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim).

    ``norm``: "layer" as in the paper, or "none"; "batch" makes the output for one image depend on the others, which no
    penalty on its gradient allows.

    Raises:
        InputError: for another norm, or an image that is not square with H = 8, 16, 32, ...
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: Norm = "layer") -> None:
        choose("critic norm of the wgan_div_resnet networks", norm, ("batch", "layer", "none"))
        w = widths(shape, width)
        super().__init__(
            conv(shape[0], w[0]),
            *(down(before, after, norm) for before, after in itertools.pairwise(w)),
            nn.Flatten(),
            linear(w[-1] * 4 * 4, out_dim),
        )


class WganDivResnetNetworks(Family):
    """WGAN-div's residual ones."""

    version = 1
    name = "wgan_div_resnet"
    data_range = SIGNED
    generator = Generator
    critic = Critic
