"""Which modes of a known Gaussian mixture a set of points covers, and how many points lie on one."""

from typing import Any

import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import of_share
from latent_ot.metrics.inputs import draws, rows, same_width

POINTS = 10_000  # generated ones behind the coverage of a mixture (iWGAN's 2-D studies)
REACH = 3.0  # standard deviations; a 2-D Gaussian keeps 1 - exp(-9/2) = 98.9 % of its points within


def mode_coverage(points: Any, modes: Any, std: float) -> dict[str, float]:
    """Return ``modes``, how many are covered, and ``high_quality``, the share of points on any mode.

    A point is on its nearest mode if it lies within three standard deviations of it; a mode is covered if at least
    1 / (20 K) of all points are on it. ``points``: (n, d). ``modes``: (K, d). ``std`` > 0.

    Raises:
        InputError: shapes that do not match, values that are not finite, or ``std`` <= 0.
    """
    nearest, on_mode = nearest_mode(points, modes, std)
    held = torch.bincount(nearest[on_mode], minlength=len(modes))
    return {
        "modes": int((20 * len(modes) * held >= len(points)).sum()),
        "high_quality": of_share(on_mode),
    }


def nearest_mode(points: Any, modes: Any, std: float) -> tuple[Tensor, Tensor]:
    """Return the index (n,) of each point's nearest mode, and whether the point is on it (n,); see ``mode_coverage``.

    Raises:
        InputError: shapes that do not match, values that are not finite, or ``std`` <= 0.
    """
    points, modes = rows(points, "points", least=1).double(), rows(modes, "modes", least=1).double()
    same_width(modes, points)
    if not std > 0:
        raise InputError(f"mode coverage: std = {std}; allowed: greater than 0")
    distance, nearest = torch.cdist(points, modes, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
    return nearest, distance <= REACH * std


class Modes(Metric):
    """Mode coverage."""

    version = 1
    quantities = {
        "modes": {"label": "modes", "direction": "up", "digits": 1, "group": "main"},
        "high_quality": {
            "label": "high quality",
            "direction": "up",
            "digits": 3,
            "group": "main",
            "floor": "data.high_quality",
        },
    }
    measures = "points"

    @staticmethod
    def compute(real: Any, fake: Any, modes: Any, std: float | None) -> dict[str, float]:
        """Return the coverage of a mixture by the first ``POINTS`` generated points; nothing where there is none."""
        if modes is None or std is None:
            return {}
        return mode_coverage(torch.cat(draws(fake, "generated"))[:POINTS], modes, std)
