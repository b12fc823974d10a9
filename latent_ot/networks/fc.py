"""The fully connected autoencoder of AE-OTtrans and AE-OTgen for 28-pixel images.

Zhang et al., "Optimal Transport Based Generative Autoencoders", 2019, Section 5.1, says that all layers are fully
connected; the sizes are those of the authors' public code, https://github.com/oliverzhang42/Generative-Autoencoders:
784-512-512-8 with a batch normalisation and a leaky ReLU of slope 0.01 after each hidden layer, and the mirror image.
Its sigmoid on the code is the autoencoder's setting ``squash``. Layers that a batch normalisation follows have no bias,
which theirs have: the normalisation removes it.
"""

import itertools
from math import prod

from torch import nn

from latent_ot.networks.base import UNIT, Family
from latent_ot.networks.infogan import scaled

HIDDEN = (512, 512)


def _hidden(*sizes: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.LeakyReLU(0.01)]
    return layers


class Encoder(nn.Sequential):
    """Images (n, C, H, W) in [0, 1] -> codes (n, latent_dim), unbounded."""

    def __init__(self, shape: tuple[int, ...], latent_dim: int, width: float = 1.0) -> None:
        hidden = scaled(width, *HIDDEN)
        super().__init__(nn.Flatten(), *_hidden(prod(shape), *hidden), nn.Linear(hidden[-1], latent_dim))


class Decoder(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, W) in (0, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        hidden = scaled(width, *reversed(HIDDEN))
        last = nn.Linear(hidden[-1], prod(shape))
        super().__init__(*_hidden(latent_dim, *hidden), last, nn.Sigmoid(), nn.Unflatten(1, shape))


class FcNetworks(Family):
    """The fully connected autoencoder."""

    version = 1
    data_range = UNIT
    encoder = Encoder
    decoder = Decoder
