"""How much of a straight walk between two codes lies on modes of a known mixture.

iWGAN's Appendix E: walks G(l z_1 + (1 - l) z_2), l = 0, 0.05, ..., 1, between draws of the prior "would fall around the
modes"; the paper shows pictures. A walk whose ends lie on one mode tests little, so that those between two are shown
apart.
"""

from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.modes import nearest_mode


def walks_on_modes(walks: Tensor, modes: Tensor, std: float) -> dict[str, float]:
    """Return ``interp_on_mode``, the share of all points of walks (rows, steps, d) that lie on a mode, in [0, 1].

    ``interp_on_mode_across`` is that of the walks whose ends have different nearest modes, absent if there are none. A
    point is on its nearest mode within three standard deviations of it, as for ``modes.mode_coverage``.

    Raises:
        InputError: shapes that do not match, values that are not finite, or ``std`` <= 0.
    """
    if walks.ndim != 3 or walks.shape[1] < 2:
        raise InputError(f"walks have shape {tuple(walks.shape)}; allowed: (rows, steps, d) with 2 steps or more")
    nearest, on_mode = (found.view(walks.shape[:2]) for found in nearest_mode(walks.flatten(0, 1), modes, std))
    across = nearest[:, 0] != nearest[:, -1]
    found = {"interp_on_mode": _share(on_mode)}
    return found | ({"interp_on_mode_across": _share(on_mode[across])} if bool(across.any()) else {})


def _share(on_mode: Tensor) -> float:
    """Return the share of true in (rows, steps); what was sampled are the rows."""
    return by_influence(float(on_mode.double().mean()), on_mode.double().mean(dim=1))


class WalkModes(Metric):
    """Share of walks on modes."""

    version = 1
    quantities = {
        "interp_on_mode": {"label": "walks on modes", "direction": "up", "digits": 3},
        "interp_on_mode_across": {"label": "walks between modes on modes", "direction": "up", "digits": 3},
    }
    measures = "point_walks"
    compute = staticmethod(walks_on_modes)
