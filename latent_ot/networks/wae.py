"""The convolutional autoencoders of WAE: four halvings to 1,024 channels and a dense layer, and back from 8 x 8 pixels.

Tolstikhin, Bousquet, Gelly and Schoelkopf, "Wasserstein Auto-Encoders", ICLR 2018, https://arxiv.org/abs/1711.01558,
Appendix C: CelebA's with 5 x 5 filters from 64 pixels on, MNIST's with 4 x 4 ones, whose decoder begins at 7 x 7 of 28
pixels and doubles once less, for smaller images. CelebA's kernels are the paper's, although its stride does not divide
them. The paper's last layer, a transposed convolution of stride 1, is a convolution. MNIST's decoder ends in a sigmoid
there; here all images are in [-1, 1], as CelebA's, and tanh(x) = 2 sigmoid(2 x) - 1 is the same head. Initial weights
N(0, 0.01^2), as in the authors' release, https://github.com/tolstikhin/wae, which cuts them off at two deviations.
Layers that a batch normalisation follows have no bias.
"""

import itertools

from torch import nn

from latent_ot.errors import InputError, choose
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import Norm, halving, init_normal, norm_layer, scaled

CHANNELS = (128, 256, 512, 1024)
LARGE = 64  # pixels, from which on the networks are CelebA's
INIT_STD = 0.01


def _doublings(shape: tuple[int, ...]) -> int:
    """Return how often the generator doubles the side: 3 times in CelebA's, 2 in MNIST's.

    Raises:
        InputError: unless the image is square and its size fits.
    """
    doublings = 3 if len(shape) == 3 and shape[1] >= LARGE else 2
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] < 8 or shape[1] % 2**doublings:
        allowed = f"(C, H, H) with H >= 8 a multiple of 4, from {LARGE} on of 8"
        raise InputError(f"WAE networks: shape {shape}; allowed: {allowed}")
    return doublings


class Encoder(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim), unbounded; ``norm``: "batch", "layer" or "none"."""

    def __init__(self, shape: tuple[int, ...], out_dim: int, width: float = 1.0, norm: Norm = "batch") -> None:
        choose("critic norm of the WAE networks", norm, ("batch", "layer", "none"))
        large, side = _doublings(shape) == 3, shape[1]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((shape[0], *scaled(width, *CHANNELS))):
            bias = norm != "batch"
            conv = nn.Conv2d(before, after, 5, 2, 2, bias=bias) if large else halving(before, after, side, bias)
            layers += [conv, norm_layer(norm, after), nn.ReLU()]
            side = -(-side // 2)
        super().__init__(*layers, nn.Flatten(), nn.Linear(after * side**2, out_dim))
        init_normal(self, INIT_STD)


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        doublings = _doublings(shape)
        kernel, side = 2 + doublings, shape[1] >> doublings
        first, *channels = scaled(width, *CHANNELS[::-1][: doublings + 1])
        layers = [nn.Linear(latent_dim, first * side**2), nn.Unflatten(1, (first, side, side)), nn.ReLU()]
        for before, after in itertools.pairwise((first, *channels)):
            up = nn.ConvTranspose2d(before, after, kernel, 2, kernel - 3, kernel % 2, bias=False)
            layers += [up, nn.BatchNorm2d(after), nn.ReLU()]
        edge = ((kernel - 1) // 2, kernel // 2)
        super().__init__(*layers, nn.ZeroPad2d(edge * 2), nn.Conv2d(channels[-1], shape[0], kernel), nn.Tanh())
        init_normal(self, INIT_STD)


class WaeNetworks(Family):
    """WAE's."""

    version = 1
    name = "wae"
    data_range = SIGNED
    generator = Generator
    critic = Encoder
    encoder = Encoder
