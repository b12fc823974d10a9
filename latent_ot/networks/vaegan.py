"""The networks of VAE/GAN: five-pixel convolutions with batch normalisation, and fully connected ones for MNIST.

Larsen, Sønderby, Larochelle and Winther, "Autoencoding beyond Pixels Using a Learned Similarity Metric", ICML 2016,
https://arxiv.org/abs/1512.09300, Table 1 for 64 pixels; the narrower 32-pixel networks and the two hidden layers of
1024 for 28-pixel digits are those of the authors' release, https://github.com/andersbll/autoencoding_beyond_pixels.
Smaller images have the 32-pixel widths, larger ones the 64-pixel widths. The release's digit generator ends in a
sigmoid; here all images are in [-1, 1], and tanh(x) = 2 sigmoid(2 x) - 1 is the same head. Initial weights are
PyTorch's.
"""

from torch import nn

from latent_ot.errors import InputError, choose
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.infogan import Norm, norm_layer, scaled
from latent_ot.networks.sdkl import Tapped

DIGITS = 28  # the size whose networks are fully connected


def check_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (channels, size) of an image shape (C, H, H).

    Raises:
        InputError: unless the image is square and its size 28 or a multiple of 8.
    """
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] < 8 or (shape[1] % 8 and shape[1] != DIGITS):
        raise InputError(f"VAE/GAN networks: shape {shape}; allowed: (C, H, H) with H 28 or a multiple of 8")
    return shape[0], shape[1]


def _dense(before: int, after: int, norm: Norm = "batch") -> list[nn.Module]:
    return [nn.Linear(before, after, bias=norm != "batch"), norm_layer(norm, after, dims=0), nn.ReLU()]


def _halve(before: int, after: int, norm: Norm = "batch") -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, 5, 2, 2, bias=norm != "batch")
    return [convolution, norm_layer(norm, after), nn.ReLU()]


def _double(before: int, after: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(before, after, 5, 2, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


class Encoder(nn.Sequential):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim), unbounded."""

    def __init__(self, shape: tuple[int, ...], out_dim: int, width: float = 1.0) -> None:
        channels, size = check_shape(shape)
        a, b, c, hidden = scaled(width, 64, 128, 256, 1024)
        if size == DIGITS:
            layers = [nn.Flatten(), *_dense(channels * size**2, hidden), *_dense(hidden, hidden)]
        else:
            layers = [*_halve(channels, a), *_halve(a, b), *_halve(b, c), nn.Flatten()]
            layers += _dense(c * (size // 8) ** 2, hidden)
        super().__init__(*layers, nn.Linear(hidden, out_dim))


class Generator(nn.Sequential):
    """Codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        channels, size = check_shape(shape)
        first, a, b, c, hidden = scaled(width, 256, 192 if size < 64 else 256, 128, 32, 1024)
        side = size // 8
        if size == DIGITS:
            layers = [*_dense(latent_dim, hidden), *_dense(hidden, hidden)]
            layers += [nn.Linear(hidden, channels * size**2), nn.Unflatten(1, shape)]
        else:
            layers = [*_dense(latent_dim, first * side**2), nn.Unflatten(1, (first, side, side))]
            layers += [*_double(first, a), *_double(a, b), *_double(b, c), nn.Conv2d(c, channels, 5, 1, 2)]
        super().__init__(*layers, nn.Tanh())


class Critic(Tapped):
    """Images (n, C, H, H) in [-1, 1] -> (n, out_dim); features: the last convolution's output, not yet normalised.

    Of 28-pixel images the second linear layer's. ``norm``: "batch", "layer" or "none".
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: Norm = "batch") -> None:
        channels, size = check_shape(shape)
        choose("critic norm of the VAE/GAN networks", norm, ["batch", "layer", "none"])
        a, b, c, d, hidden, wide = scaled(width, 32, 128, 192 if size < 64 else 256, 256, 512, 1024)
        if size == DIGITS:
            layers = [nn.Flatten(), *_dense(channels * size**2, wide, norm), *_dense(wide, wide, norm)]
            hidden = wide
        else:
            layers = [nn.Conv2d(channels, a, 5, 1, 2), nn.ReLU()]
            layers += [*_halve(a, b, norm), *_halve(b, c, norm), *_halve(c, d, norm), nn.Flatten()]
            layers += _dense(d * (size // 8) ** 2, hidden, norm)
        super().__init__(*layers, nn.Linear(hidden, out_dim))
        self.tap = 5 if size == DIGITS else 9


class VaeganNetworks(Family):
    """VAE/GAN's."""

    version = 1
    name = "vaegan"
    data_range = SIGNED
    generator = Generator
    critic = Critic
    encoder = Encoder
