"""Pairs of adversarial networks by name, so that a method meets the networks of any paper through one door."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from latent_ot.errors import choose
from latent_ot.networks import (
    dcgan,
    infogan,
    iwgan,
    mlp_gan,
    sdkl,
    sngan,
    sngan_resnet,
    toy,
    vaegan,
    wgan_div_resnet,
    wgan_qc,
)

Range = tuple[float, float]
UNIT, SIGNED = (0.0, 1.0), (-1.0, 1.0)
"""Ranges of images: of a generator that ends in a sigmoid, and of one that ends in a hyperbolic tangent."""


class Family(NamedTuple):
    """Generator(latent_dim, shape, width), critic(shape, out_dim, width, norm), and the range of their images."""

    generator: Callable[..., nn.Module]
    critic: Callable[..., nn.Module]
    data_range: Range


FAMILIES: dict[str, Family] = {
    "infogan": Family(infogan.Generator, infogan.Encoder, UNIT),
    "mlp": Family(mlp_gan.Generator, mlp_gan.Critic, UNIT),
    "dcgan": Family(dcgan.Generator, dcgan.Critic, SIGNED),
    "sngan": Family(sngan.Generator, sngan.Critic, SIGNED),
    "sngan_resnet": Family(sngan_resnet.Generator, sngan_resnet.Critic, SIGNED),
    "iwgan_celeba": Family(iwgan.CelebaGenerator, iwgan.CelebaCritic, SIGNED),
    "iwgan_mnist": Family(iwgan.MnistGenerator, iwgan.MnistCritic, UNIT),
    "toy": Family(toy.Generator, toy.Critic, UNIT),
    "wgan_div_resnet": Family(wgan_div_resnet.Generator, wgan_div_resnet.Critic, SIGNED),
    "wgan_qc": Family(wgan_qc.Generator, wgan_qc.Critic, SIGNED),
    "sdkl": Family(sdkl.Generator, sdkl.Critic, SIGNED),
    "vaegan": Family(vaegan.Generator, vaegan.Critic, SIGNED),
}


class Nets(NamedTuple):
    """A generator (n, latent_dim) -> examples and a critic examples -> (n, out_dim), with the range that both speak."""

    generator: nn.Module
    critic: nn.Module
    data_range: Range


def networks(
    family: str,
    latent_dim: int,
    shape: tuple[int, ...],
    width: float = 1.0,
    norm: str | None = None,
    out_dim: int = 1,
) -> Nets:
    """Build the networks of a family for examples of ``shape``.

    Args:
        family: a key of ``FAMILIES``.
        latent_dim: code length.
        shape: (C, H, W) of images, (d,) of points.
        width: factor on hidden widths.
        norm: of the critic; "batch", "layer", "none" or what else the family has; none: the published critic's own.
        out_dim: of the critic; the code length makes it an encoder.

    Raises:
        InputError: for an unknown family, or a shape or norm that the family does not take.
    """
    generator, critic, data_range = FAMILIES[choose("networks", family, FAMILIES)]
    chosen = {} if norm is None else {"norm": norm}
    return Nets(generator(latent_dim, shape, width), critic(shape, out_dim, width, **chosen), data_range)
