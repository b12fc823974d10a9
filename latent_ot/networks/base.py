"""What a file of networks states of them: a family, with the version that results made with it are kept under."""

from collections.abc import Callable
from typing import ClassVar

from torch import nn

Range = tuple[float, float]
UNIT, SIGNED = (0.0, 1.0), (-1.0, 1.0)
"""Ranges of images: of a generator that ends in a sigmoid, and of one that ends in a hyperbolic tangent."""


class Family:
    """Networks that belong together: one subclass at the end of their file, which holds those that they have.

    ``version``: raised when the output of one of them changes. ``name``: under which ``families.networks`` builds a
    pair generator(latent_dim, shape, width) and critic(shape, out_dim, width, norm); none where their arguments are
    others. ``encoder(shape, out_dim, width)``, ``decoder``: where there are some. ``data_range``: of all their images.
    """

    version: ClassVar[int]
    name: ClassVar[str | None] = None
    data_range: ClassVar[Range]
    generator: ClassVar[Callable[..., nn.Module]]
    critic: ClassVar[Callable[..., nn.Module]]
    encoder: ClassVar[Callable[..., nn.Module]]
    decoder: ClassVar[Callable[..., nn.Module]]
