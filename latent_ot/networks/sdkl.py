"""The convolutional networks of the study of symmetrised-KL training, with exponential linear units throughout.

Berger and Sebag, "New Losses for Generative Adversarial Learning", 2018, https://arxiv.org/abs/1807.01290, Table 1,
whose order and kinds of layers these are. Its sizes are lost in the text that the suite works from and are the suite's
own: 64, 128, 256, 256, 512 channels, kernels of 4 where the side is halved or doubled and of 3 where it stays, and a
generator that starts at an eighth of the image. There is no normalisation anywhere, and initial weights are PyTorch's.
Images of 12, 20, 28 and so on are grown 4 pixels too large; the last convolution then takes no padding and trims them.
"""

import itertools
from typing import Any

from torch import Tensor, nn

from latent_ot.errors import InputError, choose
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import halving, scaled


class Tapped(nn.Sequential):
    """A critic whose raw activations after the first ``tap`` layers serve as features of an image."""

    tap: int

    def __getitem__(self, index: Any) -> Any:
        """Return a layer or, for a slice, a plain network of some of them; nn.Sequential would ask for a critic."""
        layers = list(self)[index]
        return nn.Sequential(*layers) if isinstance(layers, list) else layers

    def features(self, x: Tensor) -> Tensor:
        """Return the features of images (n, C, H, H)."""
        return self[: self.tap](x)

    def score(self, features: Tensor) -> Tensor:
        """Return the output (n, out_dim) for features; ``score(features(x))`` is the critic."""
        return self[self.tap :](features)


def check_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (channels, size) of an image shape (C, H, H).

    Raises:
        InputError: unless the image is square and its size a multiple of 4.
    """
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 4 or shape[1] < 8:
        raise InputError(f"SDKL networks: shape {shape}; allowed: (C, H, H) with H >= 8 a multiple of 4")
    return shape[0], shape[1]


def _features(shape: tuple[int, ...], width: float) -> tuple[list[nn.Module], int]:
    """Return the five convolutions that encoder and critic have in common, flattened, and how many values they give."""
    channels, size = check_shape(shape)
    a, b, c, d, e = scaled(width, 64, 128, 256, 256, 512)
    sizes = [-(-size // 2**halvings) for halvings in range(5)]
    pairs = itertools.pairwise((channels, a, b, c, d))
    convolutions = [halving(before, after, side) for (before, after), side in zip(pairs, sizes, strict=False)]
    convolutions.append(nn.Conv2d(d, e, 3, 1, 1))
    layers = [layer for convolution in convolutions for layer in (convolution, nn.ELU())]
    return [*layers, nn.Flatten()], e * sizes[-1] ** 2


class Encoder(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim), unbounded."""

    def __init__(self, shape: tuple[int, ...], out_dim: int, width: float = 1.0) -> None:
        layers, flat = _features(shape, width)
        (hidden,) = scaled(width, 1024)
        super().__init__(*layers, nn.Linear(flat, hidden), nn.ELU(), nn.Linear(hidden, out_dim))


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        channels, size = check_shape(shape)
        hidden, a, b, c = scaled(width, 1024, 256, 128, 64)
        side = -(-size // 8)
        super().__init__(
            nn.Linear(latent_dim, hidden),
            nn.ELU(),
            nn.Linear(hidden, a * side * side),
            nn.ELU(),
            nn.Unflatten(1, (a, side, side)),
            nn.ConvTranspose2d(a, a, 4, 2, 1),
            nn.ELU(),
            nn.Conv2d(a, b, 3, 1, 1),
            nn.ELU(),
            nn.ConvTranspose2d(b, b, 4, 2, 1),
            nn.ELU(),
            nn.ConvTranspose2d(b, c, 4, 2, 1),
            nn.ELU(),
            nn.Conv2d(c, channels, 5, 1, 0 if size % 8 else 2),
            nn.Tanh(),
        )


class Critic(Tapped):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim); features: the second convolution's output. ``norm``: "none"."""

    tap = 3

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: str = "none") -> None:
        choose("critic norm of the SDKL networks", norm, ["none"])
        layers, flat = _features(shape, width)
        wide, narrow = scaled(width, 512, 128)
        dense = nn.Linear(flat, wide), nn.ELU(), nn.Linear(wide, narrow), nn.ELU(), nn.Linear(narrow, out_dim)
        super().__init__(*layers, *dense)


class SdklNetworks(Family):
    """Those of the study of symmetrised-KL training."""

    version = 2
    name = "sdkl"
    data_range = SIGNED
    generator = Generator
    critic = Critic
    encoder = Encoder
