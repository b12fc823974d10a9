"""The residual networks of WGAN-QC.

Liu, Gu and Samaras, "Wasserstein GAN With Quadratic Transport Cost", ICCV 2019,
https://openaccess.thecvf.com/content_ICCV_2019/html/Liu_Wasserstein_GAN_With_Quadratic_Transport_Cost_ICCV_2019_paper.html;
layers, widths and initial weights are those of the authors' release, https://github.com/harryliew/WGAN-QC. Up to 64
pixels there are two blocks at each size of the feature maps (the release's resnet2), above it one (its resnet1, which
it runs at 256). At side H / 2^l blocks lead from 64 * 2^l channels to twice as many, or back, never more than 512. The
release's critic fits its last layer from 32 pixels on; here that layer takes what the blocks give at 8 and 16, too.
Its generator's first layer has a bias, which the normalisation behind it removes: left out here.
"""

from typing import Literal

from torch import Tensor, nn

from latent_ot.errors import choose
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import Norm, doublings, norm_layer, scaled

TWO_BLOCKS_UP_TO = 64  # pixels
RESIDUE = 0.1  # weight of a block's main path; authors' release, res_ratio


class Block(nn.Module):
    """leaky(shortcut + 0.1 * main) of feature maps (n, before, H, H) -> (n, after, H, H)."""

    def __init__(self, before: int, after: int, norm: Norm) -> None:
        super().__init__()
        hidden, bias = min(before, after), norm != "batch"
        self.main = nn.Sequential(
            nn.Conv2d(before, hidden, 3, padding=1, bias=bias),
            norm_layer(norm, hidden),
            nn.LeakyReLU(0.2),
            nn.Conv2d(hidden, after, 3, padding=1, bias=bias),
            norm_layer(norm, after),
        )
        project = [] if before == after else [nn.Conv2d(before, after, 1, bias=False), norm_layer(norm, after)]
        self.shortcut = nn.Sequential(*project)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return nn.functional.leaky_relu(self.shortcut(x) + RESIDUE * self.main(x), 0.2)


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        w = _widths(shape, width)
        layers: list[nn.Module] = []
        for level in reversed(range(len(w) - 1)):
            layers.append(Block(w[level + 1], w[level], "batch"))
            if level == 0 or shape[1] <= TWO_BLOCKS_UP_TO:
                layers.append(Block(w[level], w[level], "batch"))
            if level > 0:
                layers.append(nn.Upsample(scale_factor=2))
        first = w[-1] * 4 * 4
        super().__init__(
            nn.Linear(latent_dim, first, bias=False),
            nn.BatchNorm1d(first),
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (w[-1], 4, 4)),
            *layers,
            nn.Conv2d(w[0], shape[0], 3, padding=1),
            nn.Tanh(),
        )
        _initialise(self, "fan_in")


class Critic(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim).

    ``norm``: "none" as in the release, "layer" or "batch".

    Raises:
        InputError: for another norm, or an image that is not square with H = 8, 16, 32, ...
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: Norm = "none") -> None:
        choose("critic norm of the wgan_qc networks", norm, ("batch", "layer", "none"))
        w = _widths(shape, width)
        layers: list[nn.Module] = []
        for level in range(len(w) - 1):
            if level > 0:
                layers.append(nn.AvgPool2d(3, 2, 1))
            if level == 0 or shape[1] <= TWO_BLOCKS_UP_TO:
                layers.append(Block(w[level], w[level], norm))
            layers.append(Block(w[level], w[level + 1], norm))
        super().__init__(
            nn.Conv2d(shape[0], w[0], 3, padding=1),
            nn.LeakyReLU(0.2),
            *layers,
            nn.Flatten(),
            nn.Linear(w[-1] * 4 * 4, out_dim),
        )
        _initialise(self, "fan_out")


def _widths(shape: tuple[int, ...], width: float) -> list[int]:
    levels = doublings(shape, "wgan_qc")
    return scaled(width, *(min(64 * 2**level, 512) for level in range(levels + 2)))


def _initialise(net: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")


class WganQcNetworks(Family):
    """WGAN-QC's."""

    version = 1
    name = "wgan_qc"
    data_range = SIGNED
    generator = Generator
    critic = Critic
