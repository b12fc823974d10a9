"""BEGAN's networks: a convolutional decoder as generator, an autoencoder with the same decoder as critic.

Berthelot, Schumm and Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", 2017,
https://arxiv.org/abs/1703.10717, Section 3.5 and Figure 1, without its optional skip connections. Two 3 x 3
convolutions with ELU at each size down to 8 pixels, n channels wide, in the encoder n more with each halving; the
dense layers and the last convolution are linear. Where the text is silent (the convolution that halves has no
activation and keeps the channels; Glorot's initial weights) this follows the public code
https://github.com/carpedm20/BEGAN-tensorflow, not the ReLU that it has by its library's default.
"""

from torch import nn

from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import doublings, scaled

FILTERS = 64  # n


def init_glorot(module: nn.Module) -> None:
    """Draw all weights from Glorot's uniform distribution and set biases to 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _pair(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.ELU(), nn.Conv2d(after, after, 3, padding=1), nn.ELU()]


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H), unbounded, of data in (-1, 1). ``filters``: the paper's n."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0, filters: int = FILTERS) -> None:
        sizes, (n,) = doublings(shape, "began"), scaled(width, filters)
        layers = [nn.Linear(latent_dim, 64 * n), nn.Unflatten(1, (n, 8, 8)), *_pair(n, n)]
        for _ in range(sizes - 1):
            layers += [nn.Upsample(scale_factor=2), *_pair(n, n)]
        super().__init__(*layers, nn.Conv2d(n, shape[0], 3, padding=1))
        init_glorot(self)


class Encoder(nn.Sequential):
    """Images (n, C, H, H) -> codes (n, code_dim), unbounded."""

    def __init__(self, shape: tuple[int, ...], code_dim: int, width: float = 1.0, filters: int = FILTERS) -> None:
        sizes, (n,) = doublings(shape, "began"), scaled(width, filters)
        layers = [nn.Conv2d(shape[0], n, 3, padding=1), nn.ELU(), *_pair(n, n)]
        for i in range(1, sizes):
            layers += [nn.Conv2d(i * n, i * n, 3, 2, 1), *_pair(i * n, (i + 1) * n)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(64 * sizes * n, code_dim))
        init_glorot(self)


class Critic(nn.Sequential):
    """Images (n, C, H, H) -> their reconstructions, of the same shape, through codes of ``code_dim`` numbers."""

    def __init__(self, shape: tuple[int, ...], code_dim: int, width: float = 1.0, filters: int = FILTERS) -> None:
        super().__init__(Encoder(shape, code_dim, width, filters), Generator(code_dim, shape, width, filters))


class BeganNetworks(Family):
    """BEGAN's: the critic is an autoencoder, its ``encoder`` and the generator."""

    version = 1
    data_range = SIGNED
    generator = Generator
    critic = Critic
    encoder = Encoder
