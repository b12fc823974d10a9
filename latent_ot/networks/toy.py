"""The fully connected networks of 2-D studies: three layers of 512 for the generator and for the critic.

Appendix D1 of "iWGAN: an Autoencoder WGAN for Inference", whose generator and critic are those of WGAN-GP's public toy
experiments; its encoder narrows from 1024 to 128. The paper gives no initial weights: PyTorch's own.
"""

from latent_ot.errors import InputError, choose
from latent_ot.networks.base import UNIT, Family
from latent_ot.networks.infogan import scaled
from latent_ot.networks.mlp import Mlp

HIDDEN = (512, 512, 512)
ENCODER_HIDDEN = (1024, 512, 256, 128)


def _dim(shape: tuple[int, ...]) -> int:
    if len(shape) != 1:
        raise InputError(f"toy networks: shape {shape}; allowed: points (d,)")
    return shape[0]


class Generator(Mlp):
    """Codes (n, latent_dim) -> points (n, d), unbounded.

    Raises:
        InputError: if ``shape`` is not (d,).
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], width: float = 1.0) -> None:
        super().__init__([latent_dim, *scaled(width, *HIDDEN), _dim(shape)])


class Critic(Mlp):
    """Points (n, d) -> (n, out_dim); ``norm``: "none".

    Raises:
        InputError: if ``shape`` is not (d,), or for another norm.
    """

    def __init__(self, shape: tuple[int, ...], out_dim: int = 1, width: float = 1.0, norm: str = "none") -> None:
        choose("critic norm of the toy networks", norm, ["none"])
        super().__init__([_dim(shape), *scaled(width, *HIDDEN), out_dim])


class Encoder(Mlp):
    """Points (n, d) -> codes (n, latent_dim), unbounded.

    Raises:
        InputError: if ``shape`` is not (d,).
    """

    def __init__(self, shape: tuple[int, ...], latent_dim: int, width: float = 1.0) -> None:
        super().__init__([_dim(shape), *scaled(width, *ENCODER_HIDDEN), latent_dim])


class ToyNetworks(Family):
    """Those of 2-D studies."""

    version = 1
    name = "toy"
    data_range = UNIT
    generator = Generator
    critic = Critic
    encoder = Encoder
