"""OT divergence of 2-D points (see ``transport.divergence``), as the mean over draws, with the scatter of one draw.

One draw of 1,000 points scatters by 0.01 to 0.02, more than the margins of AE-OTtrans's table.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.estimate import by_influence
from latent_ot.metrics.inputs import draws
from latent_ot.transport.divergence import ot_divergence


def ot_divergences(real: Sequence[Tensor], fake: Sequence[Tensor]) -> dict[str, float]:
    """Return ``ot_divergence``, the mean over pairs of draws (n, 2), and for two or more ``ot_divergence_std``.

    Raises:
        InputError: if the draws of a pair have different sizes, or values that are not finite.
    """
    found = [ot_divergence(x, y) for x, y in zip(real, fake, strict=True)]
    spread = {"ot_divergence_std": float(np.std(found, ddof=1))} if len(found) > 1 else {}
    return {"ot_divergence": by_influence(float(np.mean(found)), torch.tensor(found)), **spread}


class OtDivergence(Metric):
    """OT divergence."""

    version = 1
    quantities = {
        "ot_divergence": {
            "label": "OT divergence",
            "direction": "down",
            "digits": 4,
            "group": "main",
            "floor": "data.ot_divergence",
        },
        "ot_divergence_std": {"label": "scatter of one draw", "direction": "none", "digits": 4, "group": "main"},
    }
    measures = "points"

    @staticmethod
    def compute(real: Any, fake: Any, modes: Any, std: float | None) -> dict[str, float]:
        """Return the mean over draws, and their scatter."""
        return ot_divergences(*(draws(points, name) for points, name in ((real, "real"), (fake, "generated"))))
