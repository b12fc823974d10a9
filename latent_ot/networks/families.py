"""Networks by name, so that a method meets those of any paper through one door; each file's families are found."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from torch import nn

from latent_ot.discovery import discover, plugin_of
from latent_ot.errors import choose
from latent_ot.networks.base import Family, Range


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
    return Nets(nets.generator(latent_dim, shape, width), nets.critic(shape, 1, width, **chosen), nets.data_range)


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
    return Autoencoder(decoder, encoder, nets.data_range)


def families_of(module: nn.Module) -> list[type[Family]]:
    """Return the families whose files define a class of a submodule, or a base of one."""
    modules = {base.__module__ for part in module.modules() for base in type(part).__mro__}
    return [family for family in discover("networks", Family).values() if family.__module__ in modules]
