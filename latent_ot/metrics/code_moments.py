"""Whether codes of held-out data have the prior's moments: the largest error of an entry of mean and covariance.

iWGAN shows its codes as scatter plots of every two coordinates (Section 5.1, Figure 3) and calls them close to the
prior. In units of the prior's standard deviations, so that a rescaling of codes, prior and decoder moves neither; for
N(0, I) they are the entries of the mean and of the covariance less the identity. They grow with the code length by
chance alone, so that methods are not ranked by them.
"""

import torch
from torch import Tensor

from latent_ot.metrics.base import Metric
from latent_ot.metrics.inputs import rows, same_width


def moment_errors(codes: Tensor, drawn: Tensor) -> dict[str, float]:
    """Return ``code_mean_error`` and ``code_covariance_error``, both 0 or more.

    ``codes``: (n, d), n >= 2, of held-out examples. ``drawn``: (m, d), m >= 2, of the prior. A coordinate in which the
    prior does not vary is measured in code units.

    Raises:
        InputError: no matrices of equal width, too few rows, or values that are not finite.
    """
    codes, drawn = rows(codes, "codes").double(), rows(drawn, "drawn codes").double()
    same_width(drawn, codes)
    scale = drawn.std(dim=0)
    scale = torch.where(scale > 0, scale, 1.0)
    x, y = codes / scale, drawn / scale
    covariances = [torch.atleast_2d(torch.cov(part.T)) for part in (x, y)]
    return {
        "code_mean_error": float((x.mean(dim=0) - y.mean(dim=0)).abs().max()),
        "code_covariance_error": float((covariances[0] - covariances[1]).abs().max()),
    }


class CodeMoments(Metric):
    """Moments of codes beside the prior's."""

    version = 1
    quantities = {
        "code_mean_error": {"label": "code mean error", "direction": "none", "digits": 3},
        "code_covariance_error": {"label": "code covariance error", "direction": "none", "digits": 3},
    }
    measures = "prior"
    compute = staticmethod(moment_errors)
