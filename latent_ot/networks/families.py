"""Networks by name, so that a method meets those of any paper through one door; each file's families are found."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from torch import nn

from latent_ot.discovery import broken, discover, plugin_of
from latent_ot.errors import choose
from latent_ot.networks.base import Family, Range

LOOKED_AT = 3  # codes that a user's own generator is given when it is built


def families() -> dict[str, type[Family]]:
    """Return the families that methods choose by name."""
    return {kind.name: kind for kind in discover("networks", Family).values() if kind.name is not None}


@dataclass(frozen=True)
class Among:
    """The type of a setting that names a family: one of those that a method was made for, or a user's own."""

    names: tuple[str, ...]

    def __call__(self, name: str) -> str:
        """Return the name.

        Raises:
            InputError: for one that is neither.
        """
        own = [name for name, kind in families().items() if plugin_of(kind)]
        return choose("networks", name, [*self.names, *own])

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to check a name by a call."""
        return core_schema.no_info_after_validator_function(self, handler(source))


def among(*names: str) -> Among:
    """Return what stands beside ``str`` in ``Annotated`` for a setting that names a family."""
    return Among(names)


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
) -> Nets:
    """Build the networks of a family for examples of ``shape``.

    Args:
        family: a key of ``families``.
        latent_dim: code length.
        shape: (C, H, W) of images, (d,) of points.
        width: factor on hidden widths.
        norm: of the critic; "batch", "layer", "none" or what else the family has; none: the published critic's own.

    Raises:
        InputError: for an unknown family, or a shape or norm that the family does not take.
    """
    known = families()
    nets = known[choose("networks", family, known)]
    chosen = {} if norm is None else {"norm": norm}
    made = nets.generator(latent_dim, shape, width), nets.critic(shape, 1, width, **chosen)
    if plugin_of(nets):
        _look_at(nets, *made, latent_dim, shape, 1)
    return Nets(*made, nets.data_range)


@torch.no_grad()
def _look_at(
    family: type[Family], generator: nn.Module, critic: nn.Module, latent_dim: int, shape: tuple[int, ...], out: int
) -> None:
    """See that the networks of a user's own family make examples and scores; the suite's have tests for it.

    Raises:
        ContractError: naming its file and what is wrong.
    """
    for network in (generator, critic):
        if not isinstance(network, nn.Module):
            raise broken(family, f"it builds {type(network).__name__}; allowed: a torch.nn.Module")
    low, high = family.data_range
    modes = generator.training, critic.training
    made = generator.eval()(torch.zeros(LOOKED_AT, latent_dim))
    if tuple(made.shape) != (LOOKED_AT, *shape):
        raise broken(family, f"generator returns {tuple(made.shape)}; allowed: {(LOOKED_AT, *shape)}")
    if len(shape) == 3 and not (low - 1e-3 <= float(made.min()) and float(made.max()) <= high + 1e-3):
        span = f"{float(made.min()):.4g} to {float(made.max()):.4g}"
        raise broken(family, f"generator returns values from {span}; allowed: {low:g} to {high:g}, its data_range")
    score = critic.eval()(made)
    if tuple(score.shape) not in {(LOOKED_AT, out), *([(LOOKED_AT,)] if out == 1 else [])}:
        raise broken(family, f"critic returns {tuple(score.shape)}; allowed: {(LOOKED_AT, out)}")
    generator.train(modes[0]), critic.train(modes[1])


class Autoencoder(NamedTuple):
    """A decoder (n, latent_dim) -> examples and an encoder examples -> (n, out_dim), with the range that both speak."""

    decoder: nn.Module
    encoder: nn.Module
    data_range: Range


def autoencoder(
    family: str, latent_dim: int, shape: tuple[int, ...], width: float = 1.0, out_dim: int | None = None
) -> Autoencoder:
    """Build the mirror images of a family: its own encoder, or where it has none its critic with the code for a score.

    Args:
        family: a key of ``families``.
        latent_dim: code length.
        shape: (C, H, W) of images.
        width: factor on hidden widths.
        out_dim: of the encoder; none: the code length.

    Raises:
        InputError: for an unknown family, or a shape that the family does not take.
    """
    known, out = families(), latent_dim if out_dim is None else out_dim
    nets = known[choose("networks", family, known)]
    decoder = nets.generator(latent_dim, shape, width)
    own = hasattr(nets, "encoder")
    encoder = nets.encoder(shape, out, width) if own else nets.critic(shape, out, width, norm="batch")
    if plugin_of(nets):
        _look_at(nets, decoder, encoder, latent_dim, shape, out)
    return Autoencoder(decoder, encoder, nets.data_range)


def families_of(module: nn.Module) -> list[type[Family]]:
    """Return the families whose files define a class of a submodule, or a base of one."""
    modules = {base.__module__ for part in module.modules() for base in type(part).__mro__}
    return [family for family in discover("networks", Family).values() if family.__module__ in modules]
