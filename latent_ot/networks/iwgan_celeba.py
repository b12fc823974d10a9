"""The convolutional networks of iWGAN for CelebA: Appendix D3; see ``iwgan_mnist`` for what the paper leaves open."""

from torch import Tensor, nn

from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import doublings
from latent_ot.networks.iwgan_mnist import Norm, down, up, widths


class CelebaGenerator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1).

    Raises:
        InputError: unless H is 4 times a power of two and C is 1 or 3.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        first, *rest = reversed(widths(width, doublings(shape, "iwgan"), 1024))
        start = [nn.Linear(latent_dim, first * 16), nn.Unflatten(1, (first, 4, 4))]
        super().__init__(*start, *up([first, *rest, shape[0]], norm=True), nn.Tanh())


class MeanMap(nn.Conv2d):
    """A convolution whose maps are averaged, (n, C, h, w) -> (n, out_channels): one linear layer."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the mean of each map."""
        return super().forward(input).mean(dim=(2, 3))


def _celeba_layers(shape: tuple[int, ...], width: float, norm: Norm) -> tuple[list[nn.Module], int, int]:
    """Return the layers that encoder and critic share, with the channels and the side of what they make."""
    halvings = max(1, doublings(shape, "iwgan") - 1)
    hidden = widths(width, halvings, 512)
    return down([shape[0], *hidden], norm, slope=0.2), hidden[-1], shape[1] >> halvings


class CelebaCritic(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim), unbounded; ``norm``: the published "instance", or another.

    Raises:
        InputError: unless H is 4 times a power of two and C is 1 or 3, or for an unknown norm.
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: Norm = "instance") -> None:
        layers, channels, _ = _celeba_layers(shape, width, norm)
        super().__init__(*layers, MeanMap(channels, out_dim, 3, 1, 1))


class CelebaEncoder(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> codes (n, latent_dim), unbounded.

    The code is the last convolution's maps, as published, if ``latent_dim`` is a whole number of them (8x8 at 16 pixels
    or more); a dense layer makes a code of any other length.

    Raises:
        InputError: unless H is 4 times a power of two and C is 1 or 3.
    """

    def __init__(self, shape: tuple[int, ...], latent_dim: int, width: float = 1.0) -> None:
        layers, channels, side = _celeba_layers(shape, width, "instance")
        maps, rest = divmod(latent_dim, side * side)
        if rest:
            layers += [nn.Flatten(), nn.Linear(channels * side * side, latent_dim)]
        else:
            layers += [nn.Conv2d(channels, maps, 3, 1, 1), nn.Flatten()]
        super().__init__(*layers)


class IwganCelebaNetworks(Family):
    """iWGAN's for CelebA."""

    version = 1
    name = "iwgan_celeba"
    data_range = SIGNED
    generator = CelebaGenerator
    critic = CelebaCritic
    encoder = CelebaEncoder
