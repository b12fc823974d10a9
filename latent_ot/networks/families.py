"""Networks by name, so that a method meets those of any paper through one door; each file's families are found."""

from typing import NamedTuple

from torch import nn

from latent_ot.discovery import defined, modules
from latent_ot.errors import choose
from latent_ot.networks.base import Family, Range

BY_MODULE = {module.__name__: defined(module, Family) for module in modules("latent_ot.networks")}
FAMILIES = {family.name: family for kinds in BY_MODULE.values() for family in kinds if family.name is not None}


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
    nets = FAMILIES[choose("networks", family, FAMILIES)]
    chosen = {} if norm is None else {"norm": norm}
    return Nets(nets.generator(latent_dim, shape, width), nets.critic(shape, out_dim, width, **chosen), nets.data_range)


def families_of(module: nn.Module) -> dict[str, int]:
    """Return class name -> version of the families whose files define a class of a submodule, or a base of one."""
    classes = {base for part in module.modules() for base in type(part).__mro__}
    kinds = [kind for name in sorted({c.__module__ for c in classes}) for kind in BY_MODULE.get(name, ())]
    return {kind.__name__: kind.version for kind in kinds}
