"""The standard networks of SNGAN, and spectral normalisation.

Miyato, Kataoka, Koyama and Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR 2018,
https://arxiv.org/abs/1802.05957, Table 3: from H/8 pixels up and down to them, as the paper has it for 32 and 48
pixels. Initial weights N(0, 0.02^2), as in pfnet-research/chainer-gan-lib. Layers that a batch normalisation follows
have no bias.
"""

import itertools
from typing import Literal

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from latent_ot.errors import choose
from latent_ot.networks.base import SIGNED, Family
from latent_ot.networks.dcgan import INIT_STD
from latent_ot.networks.infogan import Norm, doublings, init_normal, norm_layer, scaled

CriticNorm = Literal["spectral", "batch", "layer", "none"]


def spectral(module: nn.Module) -> None:
    """Divide the weights of all linear layers and convolutions by their largest singular value.

    Paper, Section 2.1 and Algorithm 1: each forward in training mode takes one step of the power iteration, on vectors
    that are kept as buffers; in eval mode they stay. A convolution's weights count as a matrix (out, in * k * k). The
    weights must have their initial values by then: writing into them afterwards has no effect.
    """
    for layer in [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv2d)]:
        spectral_norm(layer, n_power_iterations=1)


def of_activations(norm: CriticNorm) -> Norm:
    """Return the normalisation of activations that a critic's ``norm`` asks for.

    Raises:
        InputError: for an unknown norm.
    """
    choose("critic norm of SNGAN networks", norm, ("spectral", "batch", "layer", "none"))
    return "none" if norm == "spectral" else norm


class Generator(nn.Sequential):
    """Standard: codes (n, latent_dim) -> images (n, C, H, H) in (-1, 1)."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        doublings(shape, "sngan")
        side = shape[1] // 8
        c = scaled(width, 512, 256, 128, 64)
        layers = [nn.Linear(latent_dim, c[0] * side * side, bias=False), nn.BatchNorm1d(c[0] * side * side), nn.ReLU()]
        layers.append(nn.Unflatten(1, (c[0], side, side)))
        for before, after in itertools.pairwise(c):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(c[-1], shape[0], 3, 1, 1), nn.Tanh())
        init_normal(self, INIT_STD)


class Critic(nn.Sequential):
    """Standard: images (n, C, H, H) in [-1, 1] -> (n, out_dim).

    ``norm``: "spectral" of all weights, or of activations "batch", "layer" or "none"; not of the first convolution's.

    Raises:
        InputError: for another norm, or an image that is not square with H = 8, 16, 32, ...
    """

    def __init__(
        self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: CriticNorm = "spectral"
    ) -> None:
        doublings(shape, "sngan")
        kind = of_activations(norm)
        c, before = scaled(width, 64, 128, 256, 512), shape[0]
        layers: list[nn.Module] = []
        for after, kernel, stride in [(n, *k) for n in c[:3] for k in ((3, 1), (4, 2))] + [(c[3], 3, 1)]:
            layers.append(nn.Conv2d(before, after, kernel, stride, 1, bias=not layers or kind != "batch"))
            layers += [norm_layer(kind if len(layers) > 1 else "none", after), nn.LeakyReLU(0.1)]
            before = after
        super().__init__(*layers, nn.Flatten(), nn.Linear(before * (shape[1] // 8) ** 2, out_dim))
        init_normal(self, INIT_STD)
        if norm == "spectral":
            spectral(self)


class SnganNetworks(Family):
    """SNGAN's standard ones."""

    version = 1
    name = "sngan"
    data_range = SIGNED
    generator = Generator
    critic = Critic
