"""Whether the quality score exp(-||x - G(Q(x))||) tells likely samples from unlikely ones, where the density is known.

iWGAN's Section 5.1 and Figure 4: scores are close to 1 near the modes of the true distribution and fall with the
distance from them. The measure here is Spearman's rank correlation of the two over a method's own samples.
"""

import numpy as np
import torch
from torch import Tensor

from latent_ot.errors import InputError
from latent_ot.metrics.base import Metric
from latent_ot.metrics.inputs import rows, same_width
from latent_ot.metrics.quality import quality_scores


def mixture_log_density(points: Tensor, modes: Tensor, std: float) -> Tensor:
    """Return, but for a constant, the log density (n,) of points (n, d) under equal Gaussians at modes (K, d).

    Raises:
        InputError: shapes that do not match, values that are not finite, or ``std`` <= 0.
    """
    points, modes = rows(points, "points", least=1).double(), rows(modes, "modes", least=1).double()
    same_width(modes, points)
    if not std > 0:
        raise InputError(f"mixture density: std = {std}; allowed: greater than 0")
    distance = torch.cdist(points, modes, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.logsumexp(-0.5 * (distance / std).square(), dim=1)


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Return Spearman's correlation, in [-1, 1], of two sets (n,), ties at their mean rank; 0 if one is all alike."""
    from scipy.stats import rankdata

    x, y = (ranks - ranks.mean() for ranks in (rankdata(values.double().numpy()) for values in (a, b)))
    lengths = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / lengths) if lengths else 0.0


class QualityRank(Metric):
    """Rank correlation of quality score and true density."""

    version = 1
    quantities = {
        "quality_spearman": {"label": "quality rank correlation", "direction": "up", "digits": 3},
    }
    measures = "qualities"

    @staticmethod
    def compute(points: Tensor, errors: Tensor, modes: Tensor, std: float) -> dict[str, float]:
        """Return it for samples (n, d) with reconstruction errors (n,)."""
        scores = quality_scores(errors.double())
        return {"quality_spearman": rank_correlation(scores, mixture_log_density(points, modes, std))}
