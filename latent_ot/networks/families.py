"""Pairs of adversarial networks by name, so that a method meets the networks of any paper through one door."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from latent_ot.errors import choose
from latent_ot.networks import infogan

Range = tuple[float, float]
UNIT, SIGNED = (0.0, 1.0), (-1.0, 1.0)
"""Ranges of images: a generator that ends in a sigmoid has the first, one that ends in a hyperbolic tangent the second."""


class Family(NamedTuple):
    """Generator(latent_dim, shape, width), critic(shape, out_dim, width, norm), and the range of their images."""

    generator: Callable[..., nn.Module]
    critic: Callable[..., nn.Module]
    data_range: Range


FAMILIES: dict[str, Family] = {
    "infogan": Family(infogan.Generator, infogan.Encoder, UNIT),
}


class Nets(NamedTuple):
    """A generator (n, latent_dim) -> examples and a critic examples -> (n, 1), with the range that both speak."""

    generator: nn.Module
    critic: nn.Module
    data_range: Range


def networks(family: str, latent_dim: int, shape: tuple[int, ...], width: float = 1.0, norm: str = "batch") -> Nets:
    """Build the networks of a family for examples of ``shape``.

    Args:
        family: a key of ``FAMILIES``.
        latent_dim: code length.
        shape: (C, H, W) of images, (d,) of points.
        width: factor on hidden widths.
        norm: of the critic; "batch", "layer", "none" or what else the family has.

    Raises:
        InputError: for an unknown family, or a shape or norm that the family does not take.
    """
    generator, critic, data_range = FAMILIES[choose("networks", family, FAMILIES)]
    return Nets(generator(latent_dim, shape, width), critic(shape, 1, width, norm), data_range)
